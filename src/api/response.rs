//! The responses that every operation has.

use std::fmt;

use poem_openapi::ApiResponse;
use serde_json::Value;

use super::{
    json::Json,
    operation::Operation,
    rejection::{Rejection, record_reason},
};
use crate::auth::RateLimited;

/// The body of a response to a rejected request.
type ErrorBody<O> = Json<Value, <O as Operation>::Errors>;

/// Every response of the operation `O`. All operations have the same statuses, because a rate limit, an outage of the database and a bug
/// can affect all of them.
///
/// The document replaces the descriptions of `Ok` and `BadRequest` by [`Operation::OK`] and [`Operation::BAD_REQUEST`].
#[derive(ApiResponse)]
#[oai(bad_request_handler = "rejected")]
pub enum Response<O: Operation> {
    /// The operation succeeded.
    #[oai(status = 200)]
    Ok(Json<O::Output>),
    /// The request was rejected.
    #[oai(status = 400)]
    BadRequest(ErrorBody<O>),
    /// The body did not arrive in time.
    #[oai(status = 408)]
    RequestTimeout(ErrorBody<O>),
    /// The body is larger than 64 KiB.
    #[oai(status = 413)]
    PayloadTooLarge(ErrorBody<O>),
    /// The media type of the body is not `application/json`.
    #[oai(status = 415)]
    UnsupportedMediaType(ErrorBody<O>),
    /// Too many attempts failed: try again later.
    #[oai(status = 429)]
    TooManyRequests(
        ErrorBody<O>,
        /// Seconds after which the client should retry.
        #[oai(header = "Retry-After")]
        u32,
    ),
    /// The service failed because of an internal error.
    #[oai(status = 500)]
    InternalServerError(ErrorBody<O>),
    /// The service is temporarily unavailable.
    #[oai(status = 503)]
    ServiceUnavailable(
        ErrorBody<O>,
        /// Seconds after which the client should retry.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

impl<O: Operation> Response<O> {
    /// Returns the response to a request. The log line of the request has the reason of a rejection.
    pub(super) fn new<E: fmt::Display + Into<Rejection>>(
        result: Result<impl Into<O::Output>, E>,
    ) -> Self {
        match result {
            Ok(output) => Self::Ok(output.into().into()),
            Err(error) => {
                record_reason(&error);
                error.into().into()
            }
        }
    }
}

impl<O: Operation> From<Rejection> for Response<O> {
    fn from(rejection: Rejection) -> Self {
        let errors = rejection.body().into();
        match rejection {
            Rejection::Malformed(_) | Rejection::Invalid(_) => Self::BadRequest(errors),
            Rejection::BodyTimeout => Self::RequestTimeout(errors),
            Rejection::PayloadTooLarge => Self::PayloadTooLarge(errors),
            Rejection::UnsupportedMediaType(_) => Self::UnsupportedMediaType(errors),
            Rejection::RateLimited(RateLimited { seconds }) => {
                Self::TooManyRequests(errors, seconds)
            }
            Rejection::Failed => Self::InternalServerError(errors),
            Rejection::Unavailable { retry_after } => Self::ServiceUnavailable(errors, retry_after),
        }
    }
}

fn rejected<O: Operation>(error: poem::Error) -> Response<O> {
    Rejection::from(error).into()
}
