//! The URL at which clients reach the service.

use fluent_uri::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// An absolute `http` or `https` URL without userinfo, query and fragment, and without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Returns the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a URL. The error quotes no part of the URL, which may contain a password.
    fn parse(text: &str) -> Result<Self, &'static str> {
        // The parser of browsers repairs invalid URLs; a configuration should not need a repair.
        let uri = Uri::parse(text).map_err(|_| "not a valid URL")?;
        let scheme = uri.scheme().as_str().to_ascii_lowercase();
        let authority = uri
            .authority()
            .filter(|authority| !authority.host().is_empty());
        let (Some(authority), "http" | "https") = (authority, &*scheme) else {
            return Err("not an http or https URL");
        };
        if authority.has_userinfo() {
            return Err("the URL contains a user name or a password");
        }
        if uri.has_query() || uri.has_fragment() {
            return Err("the URL contains a query or a fragment");
        }
        let url = Url::parse(text).map_err(|_| "not a valid URL")?;
        match url.host() {
            Some(Host::Domain(domain)) if !is_host_name(domain) => {
                Err("the host is not a host name")
            }
            _ => Ok(Self(url.as_str().trim_end_matches('/').to_owned())),
        }
    }
}

/// Whether clients can resolve this host name. The parser also accepts `*` and quotes in a host.
fn is_host_name(domain: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut labels = domain.strip_suffix('.').unwrap_or(domain).split('.');
    labels.all(|label| !label.is_empty() && label.bytes().all(is_allowed))
}

impl TryFrom<String> for PublicUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::PublicUrl;

    #[test]
    fn public_urls_are_accepted_without_their_final_slash() {
        for (text, url) in [
            ("https://host", "https://host"),
            ("https://host/auth/", "https://host/auth"),
            ("HTTP://host:8000/a%20b", "http://host:8000/a%20b"),
            ("http://[2001:db8::1]:8000", "http://[2001:db8::1]:8000"),
        ] {
            assert_eq!(PublicUrl::try_from(text.to_owned()).unwrap().as_str(), url);
        }
    }

    #[test]
    fn invalid_public_urls_are_rejected() {
        for text in [
            "",
            "host",
            "//host",
            "https:host",
            "https:/host",
            "https://",
            "ftp://host",
            "javascript:alert(1)",
            "https://x/\"><script>",
            "https://x/a b",
            "https://x/\ta",
            "https://x\\y",
            "https://x/{}",
            "https://x/\u{e9}",
            "https://user@host",
            "https://user:password@host",
            "https://host?query",
            "https://host/#fragment",
            "https://host:99999",
            "https:///host",
            "https://:80",
        ] {
            assert!(PublicUrl::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
