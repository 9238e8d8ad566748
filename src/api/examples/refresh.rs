//! The examples of `POST /v1/auth/jwt/refresh/`.

use super::{Exchange, on_token};
use crate::auth::TokenRejection;

pub(in crate::api) fn examples(expires_in: i64) -> Vec<Exchange> {
    let success = (
        "refreshed",
        "A token that is refreshed in the second of its issue (issued in 2018)",
    );
    let own = vec![
        Exchange::rejected(
            "no_orig_iat",
            "The token does not contain the time of the login",
            TokenRejection::NoOrigIat,
        ),
        Exchange::rejected(
            "window_passed",
            "The refresh window has ended: obtain a new token",
            TokenRejection::WindowPassed,
        ),
    ];
    on_token(success, own, expires_in)
}
