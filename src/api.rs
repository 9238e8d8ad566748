//! The operations of the contract, one file for each, and the OpenAPI document.
//!
//! To add an operation:
//!
//! 1. Write `api/<operation>.rs` as [`obtain`] is written, with `impl Operation`, and declare the module here. Rules beyond the schema belong
//!    to `auth`, such as `auth/login.rs`.
//! 2. Write `api/examples/<operation>.rs`, and declare it in `api/examples.rs`.
//! 3. Add the operation to the lists in `api/operations.rs`.
//! 4. If an example depends on a state of the service, add this state to `tests/contract/examples.rs`.
//! 5. Run `make openapi` and `make snapshots`, and describe the change in `openapi/CHANGELOG.md`.
//!
//! Routes, metrics, the log and the access log follow from these steps.

mod body;
mod claims;
mod document;
mod examples;
mod json;
mod jwks;
mod markdown;
pub mod obtain;
mod operation;
mod operations;
pub mod refresh;
mod rejection;
mod requests;
mod response;
mod schema;
mod text;
mod token;
pub mod verify;

pub use body::{BodyLimits, RequestContext};
pub use claims::CLAIMS_PATH;
pub use document::Document;
pub use examples::{Cause, Exchange};
pub use jwks::{JWKS_MEDIA_TYPE, JWKS_PATH, PublicKeys};
pub use operation::path_of;
pub use operations::{OperationDocs, OperationRoute, Operations};
pub(crate) use rejection::INTERNAL_ERROR_MESSAGE;
pub use rejection::Rejection;
pub use schema::Validators;
