//! `/verify` verifies the token of a client for a gateway: nginx `auth_request`, and `forward_auth` of Caddy and Traefik. `/ext-authz` does
//! the same for `ext_authz` of Envoy, which accepts only the status 200.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use poem::{
    Response,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};

use crate::{
    api::Rejection,
    auth::{AuthService, TokenRejection, ValidToken, verify_for_gateway},
};

/// The headers that name the account. Each name is one word, because CGI and WSGI map `Signet-User-Id` and `signet_user_id` to the same
/// variable. A client could then set the second header, although the gateway removes the first.
const USER_ID: HeaderName = HeaderName::from_static("signetuserid");
const USER_EMAIL: HeaderName = HeaderName::from_static("signetuseremail");

/// The challenge of RFC 6750 section 3.
const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer error="invalid_token""#);

/// A header has no control characters, and its encoding outside ASCII is undefined. `%` is encoded, so that decoding is unambiguous.
const ENCODED_IN_EMAIL: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Verifies the token in the headers. The database is only queried for a token with a valid signature.
///
/// The status is `accepted` with the account in two headers, 401 without a valid token, or 503 if the service is temporarily unavailable.
pub(super) async fn verify(
    auth: &AuthService,
    headers: &HeaderMap,
    accepted: StatusCode,
) -> Response {
    let token = presented_token(headers).unwrap_or_default();
    match verify_for_gateway(auth, token).await {
        Ok(valid) => identity(&valid, accepted),
        Err(TokenRejection::Internal(error)) => failed(&Rejection::from(error)),
        Err(_) => unauthorized(),
    }
}

/// Returns the token of the only `Authorization` header. The scheme is `Bearer` (RFC 6750), or `JWT` as in djangorestframework-jwt.
fn presented_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let is_known = ["Bearer", "JWT"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| token.trim_matches(' '))
}

fn identity(valid: &ValidToken, status: StatusCode) -> Response {
    let email = utf8_percent_encode(&valid.email, ENCODED_IN_EMAIL).to_string();
    Response::builder()
        .status(status)
        .header(CACHE_CONTROL, "no-store")
        .header(USER_ID, valid.user_id)
        .header(USER_EMAIL, email)
        .finish()
}

fn unauthorized() -> Response {
    Response::builder()
        .status(StatusCode::UNAUTHORIZED)
        .header(CACHE_CONTROL, "no-store")
        .header(WWW_AUTHENTICATE, CHALLENGE)
        .finish()
}

fn failed(rejection: &Rejection) -> Response {
    match rejection {
        Rejection::Unavailable { retry_after } => unavailable(*retry_after),
        _ => super::state(StatusCode::INTERNAL_SERVER_ERROR, "failed"),
    }
}

/// Returns the response while the service is temporarily unavailable.
pub(super) fn unavailable(retry_after: u32) -> Response {
    let mut response = super::state(StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    response
        .headers_mut()
        .insert(RETRY_AFTER, retry_after.into());
    response
}
