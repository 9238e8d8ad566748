//! `POST /v1/auth/jwt/refresh/` exchanges a valid token for a newer one.

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::{
    Tag,
    body::Body,
    examples::{self, Exchange},
    rejection::{ErrorMessages, Rejection, record_reason},
    response::{Operation, ResponseOf},
    sender::Sender,
    text::PresentedToken,
    token::Token,
};
use crate::auth::{self, AuthService, TokenRejection};

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
        client: Sender,
    ) -> ResponseOf<Refresh> {
        let token = auth::refresh(&self.0, &client.0, &presented.0.token.0).await;
        let token = token.inspect_err(record_reason);
        token.map(Token::from).map_err(Rejection::from).into()
    }
}

impl Operation for Refresh {
    type Output = Token;
    type Errors = Errors;
    const OK: &str = "A newer token was issued. In the second of issue, it is the same token.";
    const BAD_REQUEST: &str = "The body is malformed, the token is missing or invalid, or its account must not refresh it.";

    fn examples(expires_in: i64) -> Vec<Exchange> {
        examples::refresh(expires_in)
    }
}

/// A token that was issued before.
#[derive(Debug, Object)]
#[oai(rename = "RefreshRequest")]
pub struct TokenToRefresh {
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
    /// Why the request was rejected before its validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl From<ErrorMessages> for Errors {
    fn from(mut messages: ErrorMessages) -> Self {
        Self {
            token: messages.take("token"),
            non_field_errors: messages.take("non_field_errors"),
            detail: messages.detail,
        }
    }
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
