//! The origins of web pages that may call the service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::separated::{List, items};

/// Origins of web pages, such as `https://app.example.com` or `capacitor://localhost` (RFC 6454 section 4). Each matches exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "List")]
pub struct Origins(pub Vec<String>);

impl TryFrom<String> for Origins {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let origins: Result<_, _> = items(&text)
            .map(|item| origin(item).map_err(|cause| format!("{item:?} {cause}")))
            .collect();
        origins.map(Self)
    }
}

/// Returns an origin as browsers send the origin in `Origin`: in lower case, and without the default port. An error is the rest of a
/// sentence, which begins with the origin.
fn origin(text: &str) -> Result<String, &'static str> {
    const NO_ORIGIN: &str =
        "is not an origin, such as https://app.example.com or capacitor://localhost";
    const PATTERN: &str =
        "is a pattern: origins are compared exactly, so list each origin with its full host name";
    if text == "null" {
        return Err(
            "is the origin of all sandboxed pages and local files: serve the page from a web server",
        );
    }
    if text.contains('*') {
        return Err(PATTERN);
    }
    let url = Url::parse(text).map_err(|_| NO_ORIGIN)?;
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    if host.is_empty() {
        return Err(NO_ORIGIN);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or a password, which origins do not contain");
    }
    // The parser adds the path `/` to web URLs without a path.
    let has_path = text.ends_with('/') || !matches!(url.path(), "" | "/");
    if has_path || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "has a path, a query or a fragment: remove everything after the host or the port",
        );
    }
    match url.scheme() {
        "http" | "https" => {}
        "ws" | "wss" | "ftp" | "file" | "blob" => {
            return Err(
                "has a scheme that browsers never send as an origin: use the URL of the page",
            );
        }
        // For pages of apps, such as `capacitor://localhost`, browsers send the scheme and the host.
        scheme => {
            let port = url.port().map(|port| format!(":{port}"));
            let origin = format!("{scheme}://{host}{}", port.unwrap_or_default());
            return if host.contains('%') {
                Err(NO_ORIGIN)
            } else {
                Ok(origin)
            };
        }
    }
    // A host name with other characters is a pattern of some kind: `.example.com`, `a|b` or `$host`.
    let is_name = host.split('.').rev().skip(1).all(|label| !label.is_empty())
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let is_ipv6 = host.starts_with('[');
    if is_name || is_ipv6 {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(PATTERN)
    }
}

impl From<Origins> for String {
    fn from(origins: Origins) -> Self {
        origins.0.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::Origins;

    #[test]
    fn origins_are_formatted_as_browsers_send_them() {
        for (given, formatted) in [
            (
                "https://App.Example.com:443, http://localhost:3000",
                "https://app.example.com,http://localhost:3000",
            ),
            ("https://192.0.2.1:8443", "https://192.0.2.1:8443"),
            ("http://[2001:DB8::1]", "http://[2001:db8::1]"),
            ("https://пример.example", "https://xn--e1afmkfd.example"),
            ("https://my_app.example.com.", "https://my_app.example.com."),
            ("capacitor://localhost", "capacitor://localhost"),
            ("Tauri://LocalHost", "tauri://localhost"),
            ("ionic://localhost:8080", "ionic://localhost:8080"),
            (
                "chrome-extension://abcdefghijklmnop",
                "chrome-extension://abcdefghijklmnop",
            ),
        ] {
            let origins = Origins::try_from(given.to_owned()).unwrap();
            assert_eq!(String::from(origins), formatted, "{given}");
        }
    }

    #[test]
    fn origins_that_browsers_do_not_send_are_rejected() {
        for (texts, cause) in [
            (
                &[
                    "*",
                    "https://*",
                    "https://*.example.com",
                    "https://%2A.example.com",
                    "https://app.example.com:*",
                    "*://app.example.com",
                    "capacitor://*",
                    "https://.example.com",
                    "https://a..example.com",
                    "https://$host",
                    "https://(a).example.com",
                ][..],
                "is a pattern",
            ),
            (&["null"], "sandboxed page"),
            (
                &[
                    "app.example.com",
                    "localhost:3000",
                    "data:text/html",
                    "capacitor:",
                    "capacitor://",
                    "capacitor://a%20b",
                    "file:///x.html",
                    "https://",
                    "https://a:99999",
                    "https://[a-z].example.com",
                ],
                "is not an origin",
            ),
            (
                &[
                    "https://a/",
                    "https://a/x",
                    "https://a?b",
                    "https://a#b",
                    "https://a?",
                    "capacitor://localhost/",
                    "capacitor://localhost/x",
                ],
                "has a path",
            ),
            (
                &["https://u@a", "https://u:p@a", "capacitor://u@a"],
                "has a user name",
            ),
            (&["ftp://a", "wss://a", "file://host"], "has a scheme"),
        ] {
            for text in texts {
                let error = Origins::try_from(format!("https://valid.example,{text}"));
                let error = error.expect_err(text);
                assert!(error.contains(cause), "{text}: {error}");
                assert!(error.starts_with(&format!("{text:?} ")), "{text}: {error}");
            }
        }
    }
}
