//! The response with a new token.

use data_encoding::BASE64URL_NOPAD;
use poem_openapi::Object;
use serde::Serialize;

use crate::auth::IssuedToken;

/// The only type of token.
pub(super) const TOKEN_TYPE: &str = "JWT";

/// A signed token.
#[derive(Object, Serialize)]
#[expect(clippy::struct_field_names, reason = "the contract names the fields")]
pub struct Token {
    /// `JWT`
    pub r#type: String,
    /// Token
    pub token: String,
    /// Seconds remaining for the token to expire
    pub expires_in: i64,
}

impl From<IssuedToken> for Token {
    fn from(grant: IssuedToken) -> Self {
        Self {
            r#type: TOKEN_TYPE.to_owned(),
            token: grant.token,
            expires_in: grant.expires_in,
        }
    }
}

/// The header and the signature of the documented token.
pub(super) const HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";
pub(super) const SIGNATURE: &str = "cq9TRU0lPKY1-A_miNEqtOE6Kgi9Fx0Av1JlNu1Nq84";

impl Token {
    /// Returns the example of the contract, issued to user 1, `john.doe@email.com`, in 2018. With another lifetime than the
    /// documented hour, the claim `exp` differs, but the signature is the same, because the secret of the example is unknown.
    pub(super) fn documented(expires_in: i64) -> Self {
        const ISSUED: i64 = 1_539_737_696;
        let expires = ISSUED.saturating_add(expires_in);
        let claims = format!(
            r#"{{"user_id":1,"username":"john.doe@email.com","exp":{expires},"email":"john.doe@email.com","orig_iat":{ISSUED}}}"#
        );
        let claims = BASE64URL_NOPAD.encode(claims.as_bytes());
        IssuedToken {
            token: format!("{HEADER}.{claims}.{SIGNATURE}"),
            expires_in,
        }
        .into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}
