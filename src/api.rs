//! The operations of the contract, one file for each, and the OpenAPI document.
//!
//! To add an operation:
//!
//! 1. Write `api/<operation>.rs` as [`obtain`] is written, with `impl Operation`, and declare the module here. A string that must not be
//!    blank needs a type in `api/text.rs`. Rules beyond the schema belong to `auth`, such as `auth/login.rs`.
//! 2. Write `api/examples/<operation>.rs`, and declare and export it in `api/examples.rs`.
//! 3. Add the operation to [`Operations`], [`operations`] and [`documentation`].
//! 4. Add its path to `tests/contract/examples.rs`, and the requests that cause its examples.
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
mod markdown;
pub mod obtain;
pub mod refresh;
mod rejection;
mod response;
mod schema;
mod sender;
mod text;
mod token;

pub use body::{BodyLimits, RequestContext};
pub use claims::{CLAIMS_PATH, claims_schema};
pub use document::Document;
pub use examples::Exchange;
pub(crate) use rejection::INTERNAL_ERROR_MESSAGE;
pub use rejection::Rejection;
pub use schema::Validators;

use obtain::Obtain;
use refresh::Refresh;
use response::Operation;

/// All operations of the contract.
pub type Operations = (Obtain, Refresh);

/// Returns the operations.
#[must_use]
pub fn operations(auth: &AuthService) -> Operations {
    (Obtain(auth.clone()), Refresh(auth.clone()))
}

/// The texts and examples of an operation in the document.
#[derive(Clone, Debug)]
pub struct OperationDocs {
    /// The ID of the operation.
    pub id: &'static str,
    /// The description of the response 200.
    pub ok: &'static str,
    /// The description of the response 400.
    pub bad_request: &'static str,
    /// The examples in the order of the document.
    pub examples: Vec<Exchange>,
}

/// Returns the documentation of all operations. Tokens in the examples expire after `expires_in` seconds.
#[must_use]
pub fn documentation(expires_in: i64) -> Vec<OperationDocs> {
    vec![
        docs_of::<Obtain>(expires_in),
        docs_of::<Refresh>(expires_in),
    ]
}

fn docs_of<O: Operation>(expires_in: i64) -> OperationDocs {
    let mut operations = O::meta()
        .into_iter()
        .flat_map(|api| api.paths)
        .flat_map(|path| path.operations);
    let id = operations.find_map(|operation| operation.operation_id);
    OperationDocs {
        id: id.expect("every operation has an id"),
        ok: O::OK,
        bad_request: O::BAD_REQUEST,
        examples: O::examples(expires_in),
    }
}

/// Returns the IDs of all operations by path.
#[must_use]
pub fn operation_ids() -> HashMap<String, &'static str> {
    let paths = Operations::meta().into_iter().flat_map(|api| api.paths);
    paths
        .filter_map(|path| {
            let mut operations = path.operations.iter();
            let id = operations.find_map(|operation| operation.operation_id)?;
            Some((document::with_slash(&path.path), id))
        })
        .collect()
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

/// Returns the handlers of all operations by path and method. Paths end with a slash, as in the contract.
#[must_use]
pub fn routes(operations: Operations) -> HashMap<String, HashMap<Method, BoxEndpoint<'static>>> {
    let mut routes = HashMap::new();
    operations.add_routes(&mut routes);
    routes
        .into_iter()
        .map(|(path, methods)| (document::with_slash(&path), methods))
        .collect()
}

/// The groups of operations.
#[derive(Tags)]
enum Tag {
    /// Obtain a token with an email and a password, and refresh the token before it expires.
    Authentication,
}
