//! The list of operations.

use std::collections::HashMap;

use poem::{endpoint::BoxEndpoint, http::Method};

use super::{
    examples::{self, Exchange},
    obtain::Obtain,
    operation::{Operation, id_of, path_of},
    refresh::Refresh,
    verify::Verify,
};
use crate::auth::AuthService;

/// The operations that a service has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operations {
    /// The operations of the contract.
    #[default]
    Contract,
    /// The operations of the contract, and `verify`.
    WithVerify,
}

/// The operations of the contract, in the order of the document.
pub(super) type Contract = (Obtain, Refresh);
/// The operations of the contract, and the optional operations.
pub(super) type WithVerify = (Obtain, Refresh, Verify);

impl Operations {
    /// Returns the documentation of the operations. Tokens in the examples expire after `expires_in` seconds.
    #[must_use]
    pub fn documentation(self, expires_in: i64) -> Vec<OperationDocs> {
        let mut docs = vec![
            docs_of::<Obtain>(examples::obtain::examples(expires_in)),
            docs_of::<Refresh>(examples::refresh::examples(expires_in)),
        ];
        if self == Self::WithVerify {
            docs.push(docs_of::<Verify>(examples::verify::examples(expires_in)));
        }
        docs
    }

    /// Returns the handlers of the operations.
    #[must_use]
    pub fn routes(self, auth: &AuthService) -> Vec<OperationRoute> {
        let mut routes = vec![route(Obtain(auth.clone())), route(Refresh(auth.clone()))];
        if self == Self::WithVerify {
            routes.push(route(Verify(auth.clone())));
        }
        routes
    }
}

/// The texts and examples of an operation in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationDocs {
    /// The ID of the operation.
    pub id: &'static str,
    /// The path, with the final slash.
    pub path: String,
    /// The description of the response 200.
    pub ok: &'static str,
    /// The description of the response 400.
    pub bad_request: &'static str,
    /// The examples in the order of the document.
    pub examples: Vec<Exchange>,
}

fn docs_of<O: Operation>(examples: Vec<Exchange>) -> OperationDocs {
    OperationDocs {
        id: id_of::<O>(),
        path: path_of::<O>(),
        ok: O::OK,
        bad_request: O::BAD_REQUEST,
        examples,
    }
}

/// The handlers of an operation.
pub struct OperationRoute {
    /// The ID of the operation.
    pub id: &'static str,
    /// The path, with the final slash.
    pub path: String,
    /// The handlers by method.
    pub handlers: HashMap<Method, BoxEndpoint<'static>>,
}

fn route<O: Operation>(operation: O) -> OperationRoute {
    let mut routes = HashMap::new();
    operation.add_routes(&mut routes);
    OperationRoute {
        id: id_of::<O>(),
        path: path_of::<O>(),
        handlers: routes.into_values().next().unwrap_or_default(),
    }
}
