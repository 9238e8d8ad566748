//! The examples of `POST /v1/auth/jwt/refresh/`.

use super::{Exchange, common, invalid};
use crate::{
    api::{
        refresh::{Refresh, TokenToRefresh},
        rejection::Rejection,
        schema::message::{BLANK, NOT_A_STRING, NUL, NULL, REQUIRED},
        text::PresentedToken,
        token::Token,
    },
    auth::{RefreshError, TokenError},
};

pub(in crate::api) fn refresh(expires_in: i64) -> Vec<Exchange> {
    let presented = |token: &str| TokenToRefresh {
        token: PresentedToken(token.to_owned()),
    };
    let documented = Token::documented(expires_in);
    let expired_request = presented(&documented.token);
    let error = |name, summary, rejection: Rejection| {
        Exchange::response::<Refresh>(name, summary, Err(rejection))
    };
    let refused = |name, summary, cause: RefreshError| error(name, summary, cause.into());
    let mut examples = vec![
        Exchange::response::<Refresh>(
            "refreshed",
            "A token, refreshed in the second of its issue (this one was issued in 2018)",
            Ok(documented),
        )
        .with_expired_request("documented", &expired_request),
        refused(
            "invalid_token",
            "The token is invalid",
            RefreshError::InvalidToken(TokenError::Segments),
        )
        .with_request(&presented("not a token")),
        error("blank_token", "An empty token", invalid([("token", BLANK)])),
        error(
            "null_character",
            "A null character in the token",
            invalid([("token", NUL)]),
        ),
        refused(
            "expired_token",
            "The token has expired",
            RefreshError::Expired,
        ),
        refused(
            "no_subject",
            "The token names no account",
            RefreshError::NoSubject,
        ),
        refused(
            "unknown_user",
            "The account is gone, or has another e-mail by now",
            RefreshError::UnknownAccount,
        ),
        refused(
            "disabled_user",
            "The account is disabled",
            RefreshError::Disabled,
        ),
        refused(
            "no_orig_iat",
            "The token does not tell when its password was given",
            RefreshError::NoOrigIat,
        ),
        refused(
            "window_passed",
            "The refresh window has passed: obtain a new token",
            RefreshError::WindowPassed,
        ),
        error(
            "missing_token",
            "The payload must contain a token",
            invalid([("token", REQUIRED)]),
        ),
        error(
            "null_token",
            "A token that is null",
            invalid([("token", NULL)]),
        ),
        error(
            "not_a_string",
            "A token of another JSON type",
            invalid([("token", NOT_A_STRING)]),
        ),
    ];
    examples.extend(common::<Refresh>());
    examples
}
