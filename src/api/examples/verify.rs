//! The examples of `POST /v1/auth/jwt/verify/`.

use super::{Exchange, on_token};

pub(in crate::api) fn examples(expires_in: i64) -> Vec<Exchange> {
    let success = (
        "verified",
        "A token in the second of its issue (issued in 2018)",
    );
    on_token(success, Vec::new(), expires_in)
}
