//! The operations of the contract, one file for each, and the OpenAPI document.
//!
//! To add an operation:
//!
//! 1. Write `api/<operation>.rs` as [`obtain`] is written, with `impl Operation`, and declare the module here.
//!    - The schemas are called `*Request` and `*Error`. Each text of a `*Request` must not be blank, and has no null character.
//!    - `#[oai(validator(..))]` adds another rule of a field to the schema. `api/schema.rs` has the message of each rule.
//!    - Rules beyond the schema belong to `auth`, such as `auth/login.rs`.
//!    - An operation without `.await` needs `#[expect(clippy::unused_async, reason = "..")]`, because poem-openapi requires `async`.
//! 2. Write `api/examples/<operation>.rs`, and declare it in `api/examples.rs`.
//! 3. Add the operation to `api/operations.rs`: to the two types, to `documentation` and to `routes`. Only an operation that an operator
//!    enables is missing in `Contract`.
//! 4. If an example depends on a state of the service, add this state to `tests/contract/examples.rs`. If a state cannot occur, such as an
//!    outage of a database that the operation does not use, except the state there.
//! 5. Add the path to the lists in `tests/contract/{document,pages,world}.rs`, and the operation to `docs/guides/clients.md`.
//! 6. Run `make openapi` and `make snapshots`, and describe the change in `openapi/CHANGELOG.md`. Then
//!    `cargo nextest run --test contract -E 'test(/document|examples|pages/)'` tests the operation, and `make test-contract` its workflows.
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
