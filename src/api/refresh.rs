//! `POST /v1/auth/jwt/refresh/` exchanges a valid token for a newer one.

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
    auth::{self, AuthService, ClientInfo, TokenRejection},
};

/// The operation.
#[derive(Debug)]
pub struct Refresh(pub AuthService);

#[OpenApi(tag = "Tag::Authentication")]
impl Refresh {
    /// Refresh a token
    ///
    /// Exchanges a token that has not expired for a newer token, until {window} after the login.
    /// White space around the token is removed.
    #[oai(
        path = "/v1/auth/jwt/refresh/",
        method = "post",
        operation_id = "refreshToken"
    )]
    async fn refresh(
        &self,
        /// The token to refresh.
        presented: Body<TokenToRefresh>,
        client: Data<&ClientInfo>,
    ) -> Response<Refresh> {
        let token = email::strip(&presented.0.token);
        Response::new(auth::refresh(&self.0, client.0, token).await)
    }
}

impl Operation for Refresh {
    type Output = Token;
    type Errors = Errors;
    const OK: &str = "A newer token was issued. In the second of issue, it is the same token.";
    const BAD_REQUEST: &str = "The body is malformed, the token is missing or invalid, or its account must not refresh it.";
}

/// A token that was issued before.
#[derive(Object)]
#[oai(rename = "RefreshRequest")]
pub struct TokenToRefresh {
    /// User's token
    pub token: String,
}

/// Why no token was issued: the messages by field, or one `detail`.
#[derive(Object)]
#[oai(rename = "RefreshError")]
pub struct Errors {
    /// What is wrong with the field `token`.
    pub token: Option<Vec<String>>,
    /// What is wrong with the request as a whole, such as a token that does not verify.
    pub non_field_errors: Option<Vec<String>>,
    /// Why the request was rejected before its validation.
    pub detail: Option<String>,
}

impl From<TokenRejection> for Rejection {
    fn from(error: TokenRejection) -> Self {
        Self::refused(match error {
            // The response does not reveal whether a token was valid before.
            TokenRejection::InvalidToken(_) | TokenRejection::Revoked { .. } => {
                "Error decoding signature."
            }
            TokenRejection::Expired => "Signature has expired.",
            TokenRejection::NoSubject => "Invalid payload.",
            TokenRejection::UnknownAccount => "User doesn't exist.",
            TokenRejection::Disabled => "User account is disabled.",
            TokenRejection::NoOrigIat => "orig_iat field is required.",
            TokenRejection::WindowPassed => "Refresh has expired.",
            TokenRejection::RateLimited(limited) => return Self::RateLimited(limited),
            TokenRejection::Internal(error) => return error.into(),
        })
    }
}
