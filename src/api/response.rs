//! The responses that every operation has.

use poem_openapi::{ApiResponse, OpenApi, types::ToJSON};
use serde::Serialize;

use super::{
    examples::Exchange,
    json::Json,
    rejection::{ErrorMessages, Rejection},
};
use crate::auth::RateLimited;

/// The body of a response.
pub trait ResponseBody: ToJSON + Serialize + Send {}

impl<T: ToJSON + Serialize + Send> ResponseBody for T {}

/// An operation and its part of the document.
pub trait Operation: OpenApi {
    /// The body of the response 200.
    type Output: ResponseBody;
    /// The body of all other responses.
    type Errors: ResponseBody + From<ErrorMessages>;
    /// The description of the response 200.
    const OK: &str;
    /// The description of the response 400.
    const BAD_REQUEST: &str;

    /// Returns the examples in the order of the document. Tokens in the examples expire after `expires_in` seconds; operations without
    /// tokens ignore the parameter.
    fn examples(expires_in: i64) -> Vec<Exchange>;
}

/// Every response of an operation. All operations have the same statuses, because a rate limit, an outage of the database and a bug can
/// affect all of them.
///
/// The document replaces the descriptions of `Ok` and `BadRequest` by [`Operation::OK`] and [`Operation::BAD_REQUEST`].
#[derive(Debug, ApiResponse)]
#[oai(bad_request_handler = "rejected")]
pub enum Response<T: ResponseBody, E: ResponseBody + From<ErrorMessages>> {
    /// The operation succeeded.
    #[oai(status = 200)]
    Ok(Json<T>),
    /// The request was rejected.
    #[oai(status = 400)]
    BadRequest(Json<E>),
    /// The body did not arrive in time.
    #[oai(status = 408)]
    RequestTimeout(Json<E>),
    /// The body is larger than 64 KiB.
    #[oai(status = 413)]
    PayloadTooLarge(Json<E>),
    /// The media type of the body is not `application/json`.
    #[oai(status = 415)]
    UnsupportedMediaType(Json<E>),
    /// Too many attempts failed: try again later.
    #[oai(status = 429)]
    TooManyRequests(
        Json<E>,
        /// Seconds after which the client should retry.
        #[oai(header = "Retry-After")]
        u32,
    ),
    /// The service failed because of an internal error.
    #[oai(status = 500)]
    InternalServerError(Json<E>),
    /// The service is temporarily unavailable.
    #[oai(status = 503)]
    ServiceUnavailable(
        Json<E>,
        /// Seconds after which the client should retry.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

/// The responses of the operation `O`.
pub type ResponseOf<O> = Response<<O as Operation>::Output, <O as Operation>::Errors>;

impl<T: ResponseBody, E: ResponseBody + From<ErrorMessages>> From<Result<T, Rejection>>
    for Response<T, E>
{
    fn from(result: Result<T, Rejection>) -> Self {
        let rejection = match result {
            Ok(output) => return Self::Ok(Json(output)),
            Err(rejection) => rejection,
        };
        let errors = Json(E::from(rejection.messages()));
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

fn rejected<T: ResponseBody, E: ResponseBody + From<ErrorMessages>>(
    error: poem::Error,
) -> Response<T, E> {
    Err(Rejection::from(error)).into()
}
