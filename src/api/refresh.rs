//! `POST /v1/auth/jwt/refresh/` exchanges a valid token for a newer one.

use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use tracing::info;

use super::{
    Tag,
    body::Body,
    example::{self, Exchange, HasExamples},
    json::Json,
    rejection::Rejection,
    schema::message,
    sender::Sender,
    text::PresentedToken,
    token::Token,
};
use crate::auth::{self, AuthService, RateLimited, RefreshError, TokenError};

/// The operation.
#[derive(Debug)]
pub struct Refresh(pub AuthService);

#[OpenApi(tag = "Tag::Authentication")]
impl Refresh {
    /// Refresh a token
    ///
    /// Exchanges a token that has not expired for a newer one, until {window} after the password
    /// was given. White space around the token is dropped.
    #[oai(
        path = "/v1/auth/jwt/refresh/",
        method = "post",
        operation_id = "refreshToken"
    )]
    async fn refresh(
        &self,
        /// The token to refresh.
        presented: Body<VerifiedClaims>,
        client: Sender,
    ) -> Answer {
        match auth::refresh(&self.0, &client.0, &presented.0.token.0).await {
            Ok(token) => Answer::Ok(Json(token.into())),
            Err(error) => {
                info!(refusal = %error, "refused");
                error.into()
            }
        }
    }
}

/// A token that was issued before.
#[derive(Debug, Object)]
#[oai(rename = "RefreshRequest")]
pub struct VerifiedClaims {
    /// User's token
    pub token: PresentedToken,
}

/// Why no token was issued: the messages by field, or one `detail`.
#[derive(Clone, Debug, Default, Object, Serialize)]
#[oai(rename = "RefreshError", skip_serializing_if_is_none)]
pub struct Errors {
    /// What is wrong with the field `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Vec<String>>,
    /// What is wrong with the request as a whole, such as a token that does not verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_field_errors: Option<Vec<String>>,
    /// Why the request was not looked into at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Every answer of the operation.
#[derive(Debug, ApiResponse)]
#[oai(bad_request_handler = "rejected")]
pub enum Answer {
    /// A newer token was issued; in the second of issue, the same one.
    #[oai(status = 200)]
    Ok(Json<Token>),
    /// The body is malformed, the token is missing or invalid, or its account may not refresh it.
    #[oai(status = 400)]
    BadRequest(Json<Errors>),
    /// The body did not arrive in time.
    #[oai(status = 408)]
    RequestTimeout(Json<Errors>),
    /// The body is larger than 64 KiB.
    #[oai(status = 413)]
    PayloadTooLarge(Json<Errors>),
    /// The body is not declared as `application/json`.
    #[oai(status = 415)]
    UnsupportedMediaType(Json<Errors>),
    /// Too many attempts failed: try again later.
    #[oai(status = 429)]
    TooManyRequests(
        Json<Errors>,
        /// Seconds after which to try again.
        #[oai(header = "Retry-After")]
        u32,
    ),
    /// The service failed, through no fault of the request.
    #[oai(status = 500)]
    InternalServerError(Json<Errors>),
    /// The service cannot answer for the moment.
    #[oai(status = 503)]
    ServiceUnavailable(
        Json<Errors>,
        /// Seconds after which to try again.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

impl From<RefreshError> for Answer {
    fn from(error: RefreshError) -> Self {
        let message = match error {
            // The response does not reveal whether a token was valid before.
            RefreshError::InvalidToken(_) | RefreshError::Revoked { .. } => {
                "Error decoding signature."
            }
            RefreshError::Expired => "Signature has expired.",
            RefreshError::NoSubject => "Invalid payload.",
            RefreshError::UnknownAccount => "User doesn't exist.",
            RefreshError::Disabled => "User account is disabled.",
            RefreshError::NoOrigIat => "orig_iat field is required.",
            RefreshError::WindowPassed => "Refresh has expired.",
            RefreshError::RateLimited(limited) => return Rejection::RateLimited(limited).into(),
            RefreshError::Internal(error) => return Rejection::from(error).into(),
        };
        Self::BadRequest(Json(Errors {
            non_field_errors: Some(vec![message.to_owned()]),
            ..Errors::default()
        }))
    }
}

impl From<Rejection> for Answer {
    fn from(rejection: Rejection) -> Self {
        let errors = Json(Errors {
            detail: Some(rejection.to_string()),
            ..Errors::default()
        });
        match rejection {
            Rejection::Invalid(mut fields) => Self::BadRequest(Json(Errors {
                token: fields.take("token"),
                non_field_errors: fields.take("non_field_errors"),
                detail: None,
            })),
            Rejection::Malformed(_) => Self::BadRequest(errors),
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

fn rejected(error: poem::Error) -> Answer {
    Rejection::from(error).into()
}

impl HasExamples for Refresh {
    fn exchanges(expires_in: i64) -> Vec<Exchange> {
        let presented = |token: &str| VerifiedClaims {
            token: PresentedToken(token.to_owned()),
        };
        let documented = Token::documented(expires_in);
        let old = presented(&documented.token);
        let field = |message: &str| {
            Answer::BadRequest(Json(Errors {
                token: Some(vec![message.to_owned()]),
                ..Errors::default()
            }))
        };
        let refused =
            |name, summary, refusal| Exchange::response(name, summary, Answer::from(refusal));
        let mut exchanges = vec![
            Exchange::response(
                "refreshed",
                "A token, refreshed in the second of its issue (this one was issued in 2018)",
                Answer::Ok(Json(documented)),
            )
            .with_expired_request("documented", &old),
            refused(
                "invalid_token",
                "The token is invalid",
                RefreshError::InvalidToken(TokenError::Segments),
            )
            .with_request(&presented("not a token")),
            Exchange::response("blank_token", "An empty token", field(message::BLANK)),
            Exchange::response(
                "null_character",
                "A null character in the token",
                field(message::NUL),
            ),
            refused(
                "expired_token",
                "The token has expired",
                RefreshError::Expired,
            ),
            refused(
                "no_subject",
                "The token names no account",
                RefreshError::NoSubject,
            ),
            refused(
                "unknown_user",
                "The account is gone, or has another e-mail by now",
                RefreshError::UnknownAccount,
            ),
            refused(
                "disabled_user",
                "The account is disabled",
                RefreshError::Disabled,
            ),
            refused(
                "no_orig_iat",
                "The token does not tell when its password was given",
                RefreshError::NoOrigIat,
            ),
            refused(
                "window_passed",
                "The refresh window has passed: obtain a new token",
                RefreshError::WindowPassed,
            ),
            Exchange::response(
                "missing_token",
                "The payload must contain a token",
                field(message::REQUIRED),
            ),
            Exchange::response("null_token", "A token that is null", field(message::NULL)),
            Exchange::response(
                "not_a_string",
                "A token of another JSON type",
                field(message::NOT_A_STRING),
            ),
        ];
        exchanges.extend(example::common_error_examples(Answer::from));
        exchanges
    }
}
