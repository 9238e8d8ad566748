//! The `X-Request-Id` of requests and responses.

use poem::http::{HeaderMap, HeaderName, HeaderValue};

use crate::auth::random;

/// The IDs of requests. A new ID is random, so that clients cannot count the requests of others.
pub(in crate::http) struct RequestIds;

impl RequestIds {
    pub(in crate::http) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    /// Returns the ID that a trusted proxy set, or a new one.
    pub(in crate::http) fn get_or_create(is_trusted: bool, headers: &HeaderMap) -> HeaderValue {
        let given = headers.get(Self::HEADER);
        let given = given.filter(|id| is_trusted && is_valid(id));
        given.cloned().unwrap_or_else(|| {
            let id = random::request_id();
            HeaderValue::try_from(id).expect("hexadecimal digits are valid in a header")
        })
    }
}

/// Returns whether an ID is safe in headers and logs.
fn is_valid(id: &HeaderValue) -> bool {
    let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(is_harmless)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn new_ids_are_unique() {
        let headers = HeaderMap::new();
        let ids: HashSet<_> = (0..1000)
            .map(|_| RequestIds::get_or_create(true, &headers))
            .collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 16 && is_valid(id)));
    }
}
