//! The operations of the contract, one file for each, and the OpenAPI document.
//!
//! To add an operation:
//!
//! 1. Write `api/<operation>.rs` as [`obtain`] is written, with `impl Operation`, and declare the module here. Rules beyond the schema belong
//!    to `auth`, such as `auth/login.rs`.
//! 2. Write `api/examples/<operation>.rs`, and declare and export it in `api/examples.rs`.
//! 3. Add the operation to `Contract`, or to `WithVerify` if the operation is optional.
//! 4. If an example depends on a state of the service, add this state to `tests/contract/examples.rs`.
//! 5. Run `make openapi` and `make snapshots`, and describe the change in `openapi/CHANGELOG.md`.
//!
//! Routes, metrics, the log and the access log follow from these steps.

use std::collections::HashMap;

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{OpenApi, Tags};

use crate::auth::AuthService;

mod body;
mod claims;
mod document;
mod examples;
mod json;
mod jwks;
mod markdown;
pub mod obtain;
pub mod refresh;
mod rejection;
mod requests;
mod response;
mod schema;
mod sender;
mod text;
mod token;
pub mod verify;

pub use body::{BodyLimits, RequestContext};
pub use claims::{CLAIMS_PATH, claims_schema};
pub use document::Document;
pub use examples::{Cause, Exchange};
pub use jwks::{JWKS_MEDIA_TYPE, JWKS_PATH, PublicKeys};
pub(crate) use rejection::INTERNAL_ERROR_MESSAGE;
pub use rejection::Rejection;
pub use schema::Validators;

use obtain::Obtain;
use refresh::Refresh;
use response::Operation;
use verify::Verify;

/// The operations that a service has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operations {
    /// The operations of the contract.
    #[default]
    Contract,
    /// The operations of the contract, and `verify`.
    WithVerify,
}

/// A list of operations.
trait OperationList: OpenApi {
    fn new(auth: &AuthService) -> Self;
    fn documentation(expires_in: i64) -> Vec<OperationDocs>;
}

macro_rules! operation_list {
    ($name:ident: $($operation:ident),+) => {
        type $name = ($($operation,)+);

        impl OperationList for $name {
            fn new(auth: &AuthService) -> Self {
                ($($operation(auth.clone()),)+)
            }

            fn documentation(expires_in: i64) -> Vec<OperationDocs> {
                vec![$(docs_of::<$operation>(expires_in)),+]
            }
        }
    };
}

operation_list!(Contract: Obtain, Refresh);
operation_list!(WithVerify: Obtain, Refresh, Verify);

impl Operations {
    /// Returns the documentation of the operations. Tokens in the examples expire after `expires_in` seconds.
    #[must_use]
    pub fn documentation(self, expires_in: i64) -> Vec<OperationDocs> {
        match self {
            Self::Contract => Contract::documentation(expires_in),
            Self::WithVerify => WithVerify::documentation(expires_in),
        }
    }

    /// Returns the handlers of the operations by path and method. Paths end with a slash, as in the contract.
    #[must_use]
    pub fn routes(
        self,
        auth: &AuthService,
    ) -> HashMap<String, HashMap<Method, BoxEndpoint<'static>>> {
        let mut routes = HashMap::new();
        match self {
            Self::Contract => Contract::new(auth).add_routes(&mut routes),
            Self::WithVerify => WithVerify::new(auth).add_routes(&mut routes),
        }
        routes
            .into_iter()
            .map(|(path, methods)| (document::with_slash(&path), methods))
            .collect()
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

fn docs_of<O: Operation>(expires_in: i64) -> OperationDocs {
    let mut paths = O::meta().into_iter().flat_map(|api| api.paths);
    let path = paths.next().expect("every operation has a path");
    let id = path.operations[0].operation_id;
    OperationDocs {
        id: id.expect("every operation has an id"),
        path: document::with_slash(&path.path),
        ok: O::OK,
        bad_request: O::BAD_REQUEST,
        examples: O::examples(expires_in),
    }
}

/// Returns the path of an operation.
///
/// # Panics
/// If the operation has no path.
#[must_use]
pub fn path_of<T: OpenApi>() -> String {
    let mut paths = T::meta().into_iter().flat_map(|api| api.paths);
    let path = paths.next().expect("every operation has a path").path;
    document::with_slash(&path)
}

/// The groups of operations.
#[derive(Tags)]
enum Tag {
    /// Obtain a token with an email and a password, and refresh the token before it expires.
    Authentication,
}
