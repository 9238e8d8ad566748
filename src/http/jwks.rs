//! `/.well-known/jwks.json`: the public keys with which other services verify tokens (RFC 7517).

use std::sync::Arc;

use poem::{
    EndpointExt, endpoint::make_sync, http::header::ACCESS_CONTROL_ALLOW_ORIGIN,
    middleware::SetHeader,
};

use super::{
    docs::{Content, StaticFile, boxed},
    method_router::MethodRouter,
    router::Target,
};
use crate::{
    api::{JWKS_MEDIA_TYPE, JWKS_PATH},
    auth::{AuthService, JWKS_MAX_AGE},
};

/// Returns the target. Web pages of all origins may read the keys.
pub(super) fn target(auth: &AuthService) -> Target {
    let auth = auth.clone();
    let keys = make_sync(move |request| {
        let jwks = auth.tokens.jwks(auth.clock.now().unix_timestamp());
        let cache_control = if jwks.is_current {
            format!("public, max-age={JWKS_MAX_AGE}")
        } else {
            "no-cache".to_owned()
        };
        let json = jwks.json.as_bytes().to_vec();
        let file = StaticFile::new(JWKS_MEDIA_TYPE, &cache_control, Content::Plain(json.into()));
        file.response(request.headers())
    });
    let all_origins = SetHeader::new().overriding(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    Target {
        path: JWKS_PATH.to_owned(),
        operation: "jwks",
        handlers: Arc::new(MethodRouter::get(boxed(keys.with(all_origins)))),
    }
}
