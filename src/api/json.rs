//! Responses with the media type `application/json`.
//!
//! `Json` of poem-openapi adds `; charset=utf-8`. The media type has no such parameter (RFC 8259 section 11), and neither has the contract.

use std::marker::PhantomData;

use poem::{IntoResponse, Response};
use poem_openapi::{
    payload::Payload,
    registry::{MetaSchemaRef, Registry},
    types::Type,
};
use serde::Serialize;

/// The media type of all requests and responses.
pub(crate) const MEDIA_TYPE: &str = "application/json";

/// The body of a response. The document describes the body as `D`.
pub struct Json<T, D = T>(T, PhantomData<D>);

impl<T, D> From<T> for Json<T, D> {
    fn from(body: T) -> Self {
        Self(body, PhantomData)
    }
}

impl<T: Send, D: Type> Payload for Json<T, D> {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        D::schema_ref()
    }

    fn register(registry: &mut Registry) {
        D::register(registry);
    }
}

/// Serializes with serde. poem-openapi would create a `Value` first, which is a fortieth of the time of a refresh.
impl<T: Serialize + Send, D: Send> IntoResponse for Json<T, D> {
    fn into_response(self) -> Response {
        // A response with a token fits. A buffer that grows twice costs half a percent of a refresh.
        let mut body = Vec::with_capacity(512);
        serde_json::to_writer(&mut body, &self.0).expect("a response is JSON");
        Response::builder().content_type(MEDIA_TYPE).body(body)
    }
}
