//! The contract: one file per operation, and the one document that describes them all.
//!
//! To add an operation: write `api/<operation>.rs` beside the others and name it in [`Operations`],
//! [`operations`] and [`exchanges`]; its rules go to `auth/<operation>.rs`.

use std::collections::HashMap;

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{OpenApi, Tags};

use crate::auth::AuthService;

mod body;
mod claims;
pub mod corpus;
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

pub use body::{BodyLimits, Reader};
pub use claims::{CLAIMS_PATH, claims_schema};
pub use document::Document;
pub use example::Exchange;
pub(crate) use rejection::FAILED;
pub use rejection::Rejection;
pub use schema::Schemas;

use example::Documented;
use obtain::Obtain;
use refresh::Refresh;

/// Every operation of the contract.
pub type Operations = (Obtain, Refresh);

/// The operations, working with `auth`.
#[must_use]
pub fn operations(auth: &AuthService) -> Operations {
    (Obtain(auth.clone()), Refresh(auth.clone()))
}

/// The documented exchanges of every operation, by operation id, where tokens expire after so many seconds.
#[must_use]
pub fn exchanges(expires_in: i64) -> Vec<(&'static str, Vec<Exchange>)> {
    vec![
        told_by::<Obtain>(expires_in),
        told_by::<Refresh>(expires_in),
    ]
}

fn told_by<T: OpenApi + Documented>(expires_in: i64) -> (&'static str, Vec<Exchange>) {
    let id = T::meta()
        .into_iter()
        .flat_map(|api| api.paths)
        .flat_map(|path| path.operations)
        .find_map(|operation| operation.operation_id)
        .expect("every operation has an id");
    (id, T::exchanges(expires_in))
}

/// The id of every operation, by path, as documented.
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

/// The path of an operation, as documented.
///
/// # Panics
/// When it has none.
#[must_use]
pub fn path_of<T: OpenApi>() -> String {
    let mut paths = T::meta().into_iter().flat_map(|api| api.paths);
    let path = paths.next().expect("every operation has a path").path;
    document::with_slash(&path)
}

/// The endpoints of every operation by path, as documented: with its trailing slash.
#[must_use]
pub fn routes(operations: Operations) -> HashMap<String, HashMap<Method, BoxEndpoint<'static>>> {
    let mut routes = HashMap::new();
    operations.add_routes(&mut routes);
    routes
        .into_iter()
        .map(|(path, methods)| (document::with_slash(&path), methods))
        .collect()
}

/// How the operations are grouped.
#[derive(Tags)]
enum Tag {
    /// Obtain a token with an e-mail and a password, and refresh it before it expires.
    Authentication,
}
