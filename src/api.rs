//! The operations of the contract, one file for each, and the OpenAPI document.
//!
//! To add an operation: write `api/<operation>.rs`, and add the operation to [`Operations`],
//! [`operations`] and [`exchanges`]. Its rules belong to `auth/<operation>.rs`.

use std::collections::HashMap;

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{OpenApi, Tags};

use crate::auth::AuthService;

mod body;
mod claims;
mod document;
mod example;
mod json;
mod markdown;
pub mod obtain;
pub mod refresh;
mod rejection;
mod schema;
mod sender;
mod text;
mod token;

pub use body::{BodyLimits, RequestContext};
pub use claims::{CLAIMS_PATH, claims_schema};
pub use document::Document;
pub use example::Exchange;
pub(crate) use rejection::INTERNAL_ERROR_MESSAGE;
pub use rejection::Rejection;
pub use schema::Validators;

use example::HasExamples;
use obtain::Obtain;
use refresh::Refresh;

/// All operations of the contract.
pub type Operations = (Obtain, Refresh);

/// Returns the operations.
#[must_use]
pub fn operations(auth: &AuthService) -> Operations {
    (Obtain(auth.clone()), Refresh(auth.clone()))
}

/// Returns the examples of all operations by operation ID. The tokens expire after `expires_in` seconds.
#[must_use]
pub fn exchanges(expires_in: i64) -> Vec<(&'static str, Vec<Exchange>)> {
    vec![
        examples_of::<Obtain>(expires_in),
        examples_of::<Refresh>(expires_in),
    ]
}

fn examples_of<T: OpenApi + HasExamples>(expires_in: i64) -> (&'static str, Vec<Exchange>) {
    let id = T::meta()
        .into_iter()
        .flat_map(|api| api.paths)
        .flat_map(|path| path.operations)
        .find_map(|operation| operation.operation_id)
        .expect("every operation has an id");
    (id, T::exchanges(expires_in))
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
    /// Obtain a token with an e-mail and a password, and refresh it before it expires.
    Authentication,
}
