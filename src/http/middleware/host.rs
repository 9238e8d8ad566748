//! Checks the `Host` header (RFC 9112 section 3.2): proxies that read different hosts in one request could be confused by it.

use fluent_uri::UriRef;
use poem::http::{
    HeaderMap, HeaderValue, StatusCode, Version,
    header::{CONNECTION, HOST},
};
use poem::{Request, Response};

use crate::http::response::error_response;

/// Why the `Host` header of a request is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHost(&'static str);

impl InvalidHost {
    /// Returns why the `Host` header of a request is invalid. HTTP/1.0 does not require the header, and HTTP/2 has `:authority`.
    ///
    /// # Errors
    /// The header is missing, repeated or malformed.
    pub fn check(version: Version, headers: &HeaderMap) -> Result<(), Self> {
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (None, _) if version == Version::HTTP_11 => Err(Self("The Host header is missing.")),
            (None, _) => Ok(()),
            (Some(_), Some(_)) => Err(Self("The request has more than one Host header.")),
            (Some(host), None) if is_valid(host) => Ok(()),
            (Some(_), None) => Err(Self("The Host header is not valid.")),
        }
    }

    /// Returns the response to a request that the server marked as invalid.
    pub(in crate::http) fn reject(request: &Request) -> Option<Response> {
        let invalid: &Self = request.data()?;
        let mut response = error_response(StatusCode::BAD_REQUEST, invalid.0);
        // A proxy that understood the request differently may send the next request to the wrong connection.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
        Some(response)
    }
}

/// Returns whether a value is `uri-host [ ":" port ]`. An empty value is valid, for URIs without an authority.
fn is_valid(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else {
        return false;
    };
    let reference = format!("//{host}");
    let Ok(reference) = UriRef::parse(reference.as_str()) else {
        return false;
    };
    // A path, a query or a fragment would end the authority early.
    reference
        .authority()
        .is_some_and(|authority| authority.as_str() == host && !authority.has_userinfo())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::is_valid;

    #[test]
    fn host_follows_the_grammar() {
        for host in [
            "",
            "x",
            "example.com",
            "Example.COM:8443",
            "example.com.",
            "my_host",
            "192.0.2.1:80",
            "[2001:db8::1]",
            "[::ffff:192.0.2.1]:8000",
            "xn--e1afmkfd.example",
            "a%20b",
            "example.com:",
        ] {
            assert!(is_valid(&HeaderValue::from_static(host)), "{host}");
        }
        for host in [
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "user@example.com",
            "http://example.com",
            "example.com:http",
            "example.com:80:80",
            "2001:db8::1",
            "[2001:db8::1",
            "[2001:db8::g]",
            "[example.com]",
            "a%2",
            "a\\b",
            "<script>",
            "\"a\"",
        ] {
            assert!(!is_valid(&HeaderValue::from_static(host)), "{host}");
        }
        let encoded = HeaderValue::from_bytes("é".as_bytes()).unwrap();
        assert!(!is_valid(&encoded));
    }
}
