//! `POST /v1/auth/jwt/verify/` checks a token and its account. The operation exists only with `SIGNET_VERIFY=on`.

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
    token::{Token, TokenType},
};
use crate::auth::{self, AuthService};

/// The operation.
#[derive(Debug)]
pub struct Verify(pub AuthService);

#[OpenApi(tag = "Tag::Authentication")]
impl Verify {
    /// Verify a token
    ///
    /// Checks the token and its account, and returns the same token with the seconds that remain until it expires.
    /// A token is also rejected after its account was disabled or its tokens were revoked.
    /// White space around the token is removed.
    #[oai(
        path = "/v1/auth/jwt/verify/",
        method = "post",
        operation_id = "verifyToken"
    )]
    async fn verify(
        &self,
        /// The token to verify.
        presented: Body<TokenToVerify>,
        client: Sender,
    ) -> ResponseOf<Verify> {
        let token = presented.0.token.0;
        let valid = auth::verify(&self.0, &client.0, &token).await;
        let valid = valid.inspect_err(record_reason);
        valid
            .map(|valid| Token {
                r#type: TokenType,
                token,
                expires_in: valid.expires_in,
            })
            .map_err(Rejection::from)
            .into()
    }
}

impl Operation for Verify {
    type Output = Token;
    type Errors = Errors;
    const OK: &str = "The token is valid.";
    const BAD_REQUEST: &str = "The body is malformed, or the token is missing or invalid.";

    fn examples(expires_in: i64) -> Vec<Exchange> {
        examples::verify(expires_in)
    }
}

/// A token that was issued before.
#[derive(Debug, Object)]
#[oai(rename = "VerifyRequest")]
pub struct TokenToVerify {
    /// User's token
    pub token: PresentedToken,
}

/// Why the token was rejected: the messages by field, or one `detail`.
#[derive(Clone, Debug, Default, Object, Serialize)]
#[oai(rename = "VerifyError", skip_serializing_if_is_none)]
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
