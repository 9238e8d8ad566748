//! The trait of operations, their paths and their groups.

use poem_openapi::{OpenApi, Tags, registry::MetaPath, types::Type};
use serde::Serialize;

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
}

/// Returns the ID of an operation.
pub(super) fn id_of<O: OpenApi>() -> &'static str {
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
