//! `POST /v1/auth/jwt/obtain/` exchanges an email and a password for a token.

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
    text::{Email, Password},
    token::Token,
};
use crate::auth::{self, AuthService, LoginError, RateLimited};

/// The operation.
#[derive(Debug)]
pub struct Obtain(pub AuthService);

#[OpenApi(tag = "Tag::Authentication")]
impl Obtain {
    /// Obtain a token
    ///
    /// Exchanges the e-mail and the password of an account for a signed token. White space around
    /// the e-mail is dropped, and case does not count in it; the password is taken exactly as sent.
    #[oai(
        path = "/v1/auth/jwt/obtain/",
        method = "post",
        operation_id = "obtainToken"
    )]
    async fn obtain(
        &self,
        /// The credentials of an account.
        credentials: Body<Credentials>,
        client: Sender,
    ) -> Answer {
        let Credentials { email, password } = credentials.0;
        match auth::login(&self.0, &client.0, &email.0, &password.0).await {
            Ok(token) => Answer::Ok(Json(token.into())),
            Err(error) => {
                info!(refusal = %error, "refused");
                error.into()
            }
        }
    }
}

/// The e-mail and the password of an account.
#[derive(Debug, Object)]
#[oai(rename = "ObtainRequest")]
pub struct Credentials {
    /// User's email
    pub email: Email,
    /// User's password
    pub password: Password,
}

/// Why no token was issued: the messages by field, or one `detail`.
#[derive(Clone, Debug, Default, Object, Serialize)]
#[oai(rename = "ObtainError", skip_serializing_if_is_none)]
pub struct Errors {
    /// What is wrong with the e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Vec<String>>,
    /// What is wrong with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Vec<String>>,
    /// What is wrong with the request as a whole, such as credentials that do not match.
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
    /// A token was issued.
    #[oai(status = 200)]
    Ok(Json<Token>),
    /// The body is malformed, a field is missing or invalid, or the credentials do not match an active account.
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

impl From<LoginError> for Answer {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::UnknownAccount
            | LoginError::UnusablePassword
            | LoginError::WrongPassword
            | LoginError::Disabled
            | LoginError::ConcurrentModification => Self::BadRequest(Json(Errors {
                non_field_errors: Some(vec![
                    "Unable to log in with provided credentials.".to_owned(),
                ]),
                ..Errors::default()
            })),
            LoginError::RateLimited(limited) => Rejection::RateLimited(limited).into(),
            // A client that closed only its sending side still reads the response.
            LoginError::ClientDisconnected => Rejection::Unavailable { retry_after: 1 }.into(),
            LoginError::Internal(error) => Rejection::from(error).into(),
        }
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
                email: fields.take("email"),
                password: fields.take("password"),
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

impl HasExamples for Obtain {
    fn exchanges(expires_in: i64) -> Vec<Exchange> {
        let credentials = |email: &str, password: &str| Credentials {
            email: Email(email.to_owned()),
            password: Password(password.to_owned()),
        };
        let fields = |email: Option<&str>, password: Option<&str>| {
            Answer::BadRequest(Json(Errors {
                email: email.map(|message| vec![message.to_owned()]),
                password: password.map(|message| vec![message.to_owned()]),
                ..Errors::default()
            }))
        };
        let mut exchanges = vec![
            Exchange::response(
                "documented",
                "The credentials of an account",
                Answer::Ok(Json(Token::documented(expires_in))),
            )
            .with_request(&credentials("jonhdoeqa@email.com", "1234ABCD")),
            Exchange::response(
                "wrong_credentials",
                "An unknown e-mail, a wrong password or a disabled account: all are told alike",
                Answer::from(LoginError::WrongPassword),
            )
            .with_request(&credentials("jonhdoeqa@email.com", "not the password")),
            Exchange::response(
                "blank_fields",
                "Empty fields, or only white space in them",
                fields(Some(message::BLANK), Some(message::BLANK)),
            ),
            Exchange::response(
                "invalid_email",
                "An e-mail that is none",
                fields(Some(message::EMAIL), None),
            )
            .with_request(&credentials("jonhdoeqa@email.c", "1234ABCD")),
            Exchange::response(
                "null_character",
                "A null character in the password",
                fields(None, Some(message::NUL)),
            ),
            Exchange::response(
                "missing_email",
                "The payload must contain an email",
                fields(Some(message::REQUIRED), None),
            ),
            Exchange::response(
                "missing_password",
                "The payload must contain a password",
                fields(None, Some(message::REQUIRED)),
            ),
            Exchange::response(
                "null_fields",
                "Fields that are null",
                fields(Some(message::NULL), Some(message::NULL)),
            ),
            Exchange::response(
                "not_a_string",
                "A password of another JSON type",
                fields(None, Some(message::NOT_A_STRING)),
            ),
        ];
        exchanges.extend(example::common_error_examples(Answer::from));
        exchanges
    }
}
