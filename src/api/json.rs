//! Answers as plain `application/json`.
//!
//! poem-openapi's own `Json` adds `; charset=utf-8`, a parameter that the media type does not have
//! (RFC 8259 section 11) and the contract does not show.

use poem::{IntoResponse, Response};
use poem_openapi::{
    payload::Payload,
    registry::{MetaSchemaRef, Registry},
    types::Type,
};
use serde::Serialize;

/// The media type of every request and answer.
pub(crate) const MEDIA_TYPE: &str = "application/json";

/// An answer's body.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// By serde: poem-openapi would make a `Value` of it first, which takes a fortieth of a refresh. The corpus
/// pins what serde calls the fields.
impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        Response::builder()
            .content_type(MEDIA_TYPE)
            .body(serde_json::to_vec(&self.0).expect("an answer is JSON"))
    }
}
