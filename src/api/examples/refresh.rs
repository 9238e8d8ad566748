//! The examples of `POST /v1/auth/jwt/refresh/`.

use super::{Exchange, common, invalid};
use crate::{
    api::{
        refresh::{Refresh, TokenToRefresh},
        schema::message::{BLANK, NOT_A_STRING, NUL, NULL, REQUIRED},
        text::PresentedToken,
        token::Token,
    },
    auth::{RefreshError, TokenError},
};

pub(in crate::api) fn refresh(expires_in: i64) -> Vec<Exchange> {
    let documented = Token::documented(expires_in);
    let expired_request = presented(&documented.token);
    let success = Exchange::response::<Refresh>(
        "refreshed",
        "A token that is refreshed in the second of its issue (issued in 2018)",
        Ok(documented),
    )
    .with_expired_request("documented", &expired_request);
    let mut examples = vec![
        success,
        Exchange::rejected::<Refresh>(
            "invalid_token",
            "The token is invalid",
            RefreshError::InvalidToken(TokenError::Segments),
        )
        .with_request(&presented("not a token")),
        invalid_token("blank_token", "An empty token", BLANK),
        invalid_token("null_character", "A null character in the token", NUL),
    ];
    examples.extend(refusals());
    examples.extend([
        invalid_token(
            "missing_token",
            "The payload must contain a token",
            REQUIRED,
        ),
        invalid_token("null_token", "A token that is null", NULL),
        invalid_token("not_a_string", "A token of another JSON type", NOT_A_STRING),
    ]);
    examples.extend(common::<Refresh>());
    examples
}

fn presented(token: &str) -> TokenToRefresh {
    TokenToRefresh {
        token: PresentedToken(token.to_owned()),
    }
}

fn invalid_token(name: &'static str, summary: &'static str, message: &str) -> Exchange {
    invalid::<Refresh, 1>(name, summary, [("token", message)])
}

fn refusals() -> [Exchange; 6] {
    [
        (
            "expired_token",
            "The token has expired",
            RefreshError::Expired,
        ),
        (
            "no_subject",
            "The token has no account ID",
            RefreshError::NoSubject,
        ),
        (
            "unknown_user",
            "The account was deleted, or has another email",
            RefreshError::UnknownAccount,
        ),
        (
            "disabled_user",
            "The account is disabled",
            RefreshError::Disabled,
        ),
        (
            "no_orig_iat",
            "The token does not contain the time of the login",
            RefreshError::NoOrigIat,
        ),
        (
            "window_passed",
            "The refresh window has ended: obtain a new token",
            RefreshError::WindowPassed,
        ),
    ]
    .map(|(name, summary, error)| Exchange::rejected::<Refresh>(name, summary, error))
}
