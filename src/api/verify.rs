//! `POST /v1/auth/jwt/verify/` checks a token and its account. The operation exists only with `SIGNET_VERIFY=on`.

use poem::web::Data;
use poem_openapi::{Object, OpenApi};

use super::{
    body::Body,
    operation::{Operation, Tag},
    response::Response,
    token::{TOKEN_TYPE, Token},
};
use crate::{
    accounts::email,
    auth::{self, AuthService, ClientInfo},
};

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
        client: Data<&ClientInfo>,
    ) -> Response<Verify> {
        let token = email::strip(&presented.0.token);
        let valid = auth::verify(&self.0, client.0, token).await;
        Response::new(valid.map(|valid| Token {
            r#type: TOKEN_TYPE.to_owned(),
            token: token.to_owned(),
            expires_in: valid.expires_in,
        }))
    }
}

impl Operation for Verify {
    type Output = Token;
    type Errors = Errors;
    const OK: &str = "The token is valid.";
    const BAD_REQUEST: &str = "The body is malformed, or the token is missing or invalid.";
}

/// A token that was issued before.
#[derive(Object)]
#[oai(rename = "VerifyRequest")]
pub struct TokenToVerify {
    /// User's token
    pub token: String,
}

/// Why the token was rejected: the messages by field, or one `detail`.
#[derive(Object)]
#[oai(rename = "VerifyError")]
pub struct Errors {
    /// What is wrong with the field `token`.
    pub token: Option<Vec<String>>,
    /// What is wrong with the request as a whole, such as a token that does not verify.
    pub non_field_errors: Option<Vec<String>>,
    /// Why the request was rejected before its validation.
    pub detail: Option<String>,
}
