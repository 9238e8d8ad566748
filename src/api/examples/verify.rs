//! The examples of `POST /v1/auth/jwt/verify/`.

use super::{Exchange, common, invalid_token_fields, invalid_tokens, rejected_tokens};
use crate::api::{
    text::PresentedToken,
    token::Token,
    verify::{TokenToVerify, Verify},
};

pub(in crate::api) fn verify(expires_in: i64) -> Vec<Exchange> {
    let documented = Token::documented(expires_in);
    let request = presented(&documented.token);
    let success = Exchange::response::<Verify>(
        "verified",
        "A token in the second of its issue (issued in 2018)",
        Ok(documented),
    )
    .with_expired_request("documented", &request);
    let mut examples = vec![success];
    examples.extend(invalid_tokens::<Verify>(&presented("not a token")));
    examples.extend(rejected_tokens::<Verify>());
    examples.extend(invalid_token_fields::<Verify>());
    examples.extend(common::<Verify>());
    examples
}

fn presented(token: &str) -> TokenToVerify {
    TokenToVerify {
        token: PresentedToken(token.to_owned()),
    }
}
