//! `POST /v1/auth/jwt/obtain/` exchanges an email and a password for a token.

use poem::web::Data;
use poem_openapi::{Object, OpenApi};

use super::{
    body::Body,
    operation::{Operation, Tag},
    rejection::Rejection,
    response::Response,
    token::Token,
};
use crate::{
    accounts::email,
    auth::{self, AuthService, ClientInfo, LoginError},
};

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
        client: Data<&ClientInfo>,
    ) -> Response<Obtain> {
        let Credentials { email, password } = credentials.0;
        let email = email::strip(&email);
        Response::new(auth::login(&self.0, client.0, email, &password).await)
    }
}

impl Operation for Obtain {
    type Output = Token;
    type Errors = Errors;
    const OK: &str = "A token was issued.";
    const BAD_REQUEST: &str = "The body is malformed, a field is missing or invalid, or the credentials do not match an active account.";
}

/// The email and the password of an account.
#[derive(Object)]
#[oai(rename = "ObtainRequest")]
pub struct Credentials {
    /// User's email
    pub email: String,
    /// User's password
    // No `format: password`: some SDK generators would turn the field into a type of their own, which they do not serialize as a string.
    pub password: String,
}

/// Why no token was issued: the messages by field, or one `detail`.
#[derive(Object)]
#[oai(rename = "ObtainError")]
pub struct Errors {
    /// What is wrong with the email.
    pub email: Option<Vec<String>>,
    /// What is wrong with the password.
    pub password: Option<Vec<String>>,
    /// What is wrong with the request as a whole, such as credentials that do not match.
    pub non_field_errors: Option<Vec<String>>,
    /// Why the request was rejected before its validation.
    pub detail: Option<String>,
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
