//! The examples of `POST /v1/auth/jwt/refresh/`.

use super::{Exchange, common, invalid_token_fields, invalid_tokens, rejected_tokens};
use crate::{
    api::{
        refresh::{Refresh, TokenToRefresh},
        text::PresentedToken,
        token::Token,
    },
    auth::TokenRejection,
};

pub(in crate::api) fn refresh(expires_in: i64) -> Vec<Exchange> {
    let documented = Token::documented(expires_in);
    let request = presented(&documented.token);
    let success = Exchange::response::<Refresh>(
        "refreshed",
        "A token that is refreshed in the second of its issue (issued in 2018)",
        Ok(documented),
    )
    .with_expired_request("documented", &request);
    let mut examples = vec![success];
    examples.extend(invalid_tokens::<Refresh>(&presented("not a token")));
    examples.extend(rejected_tokens::<Refresh>());
    examples.extend([
        Exchange::rejected::<Refresh>(
            "no_orig_iat",
            "The token does not contain the time of the login",
            TokenRejection::NoOrigIat,
        ),
        Exchange::rejected::<Refresh>(
            "window_passed",
            "The refresh window has ended: obtain a new token",
            TokenRejection::WindowPassed,
        ),
    ]);
    examples.extend(invalid_token_fields::<Refresh>());
    examples.extend(common::<Refresh>());
    examples
}

fn presented(token: &str) -> TokenToRefresh {
    TokenToRefresh {
        token: PresentedToken(token.to_owned()),
    }
}
