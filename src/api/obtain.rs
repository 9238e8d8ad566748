//! `POST /v1/auth/jwt/obtain/` exchanges an email and a password for a token.

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::{
    Tag,
    body::Body,
    examples::{self, Exchange},
    rejection::{ErrorMessages, Rejection, record_reason},
    response::{Operation, ResponseOf},
    sender::Sender,
    text::{Email, Password},
    token::Token,
};
use crate::auth::{self, AuthService, LoginError};

/// The operation.
#[derive(Debug)]
pub struct Obtain(pub AuthService);

#[OpenApi(tag = "Tag::Authentication")]
impl Obtain {
    /// Obtain a token
    ///
    /// Exchanges the email and the password of an account for a signed token. White space around
    /// the email is removed, and its case is ignored. The password is used exactly as sent.
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
    ) -> ResponseOf<Obtain> {
        let Credentials { email, password } = credentials.0;
        let token = auth::login(&self.0, &client.0, &email.0, &password.0).await;
        let token = token.inspect_err(record_reason);
        token.map(Token::from).map_err(Rejection::from).into()
    }
}

impl Operation for Obtain {
    type Output = Token;
    type Errors = Errors;
    const OK: &str = "A token was issued.";
    const BAD_REQUEST: &str = "The body is malformed, a field is missing or invalid, or the credentials do not match an active account.";

    fn examples(expires_in: i64) -> Vec<Exchange> {
        examples::obtain(expires_in)
    }
}

/// The email and the password of an account.
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
    /// What is wrong with the email.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Vec<String>>,
    /// What is wrong with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Vec<String>>,
    /// What is wrong with the request as a whole, such as credentials that do not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_field_errors: Option<Vec<String>>,
    /// Why the request was rejected before its validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl From<ErrorMessages> for Errors {
    fn from(mut messages: ErrorMessages) -> Self {
        Self {
            email: messages.take("email"),
            password: messages.take("password"),
            non_field_errors: messages.take("non_field_errors"),
            detail: messages.detail,
        }
    }
}

impl From<LoginError> for Rejection {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::UnknownAccount
            | LoginError::UnusablePassword
            | LoginError::WrongPassword
            | LoginError::Disabled
            | LoginError::ConcurrentModification => {
                Self::refused("Unable to log in with provided credentials.")
            }
            LoginError::RateLimited(limited) => Self::RateLimited(limited),
            // A client that closed only its sending side still reads the response.
            LoginError::ClientDisconnected => Self::Unavailable { retry_after: 1 },
            LoginError::Internal(error) => error.into(),
        }
    }
}
