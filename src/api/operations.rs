//! The list of operations.

use std::collections::HashMap;

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{OpenApi, Tags, registry::MetaPath, types::Type};
use serde::Serialize;

use super::{examples::Exchange, obtain::Obtain, refresh::Refresh, verify::Verify};
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

/// The operations of the contract.
pub(super) type Contract = (Obtain, Refresh);
/// The operations of the contract, and the optional operations.
pub(super) type WithVerify = (Obtain, Refresh, Verify);

impl Operations {
    /// Returns the documentation of the operations. Tokens in the examples expire after `expires_in` seconds.
    #[must_use]
    pub fn documentation(self, expires_in: i64) -> Vec<OperationDocs> {
        let mut docs = vec![
            docs_of::<Obtain>(expires_in),
            docs_of::<Refresh>(expires_in),
        ];
        if self == Self::WithVerify {
            docs.push(docs_of::<Verify>(expires_in));
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

/// An operation and its part of the document.
pub trait Operation: OpenApi {
    /// The body of the response 200.
    type Output: Type + Serialize;
    /// The description of the body of all other responses, which is the body of a [`super::Rejection`].
    type Errors: Type;
    /// The description of the response 200.
    const OK: &str;
    /// The description of the response 400.
    const BAD_REQUEST: &str;

    /// Returns the examples in the order of the document. Tokens in the examples expire after `expires_in` seconds; operations without
    /// tokens ignore the parameter.
    fn examples(expires_in: i64) -> Vec<Exchange>;
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

fn docs_of<O: Operation>(expires_in: i64) -> OperationDocs {
    OperationDocs {
        id: id_of::<O>(),
        path: path_of::<O>(),
        ok: O::OK,
        bad_request: O::BAD_REQUEST,
        examples: O::examples(expires_in),
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

fn id_of<O: OpenApi>() -> &'static str {
    let id = meta_of::<O>().operations[0].operation_id;
    id.expect("every operation has an ID")
}

/// Returns the path of an operation.
///
/// # Panics
/// If the operation has no path.
#[must_use]
pub fn path_of<O: OpenApi>() -> String {
    with_slash(&meta_of::<O>().path)
}

fn meta_of<O: OpenApi>() -> MetaPath {
    let mut paths = O::meta().into_iter().flat_map(|api| api.paths);
    paths.next().expect("every operation has a path")
}

/// Adds the final slash of the contract, which poem-openapi removes.
pub(super) fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

/// The groups of operations.
#[derive(Tags)]
pub(super) enum Tag {
    /// Obtain a token with an email and a password, and refresh the token before it expires.
    Authentication,
}
