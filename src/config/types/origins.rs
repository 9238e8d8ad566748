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

/// Returns an origin if it is written as browsers send it in `Origin`: in lower case, without the default port and without a path. An
/// error is the rest of a sentence, which begins with the origin.
fn origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok();
    let formatted = url.as_ref().and_then(|url| {
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let port = url.port().map(|port| format!(":{port}"));
        let port = port.unwrap_or_default();
        Some(format!("{}://{host}{port}", url.scheme()).to_ascii_lowercase())
    });
    let is_plain = |c: char| c.is_alphanumeric() || "-_.:[]/+".contains(c);
    let is_pattern = !text.chars().all(is_plain) || text.contains("://.");
    let Some(formatted) = formatted.filter(|_| !is_pattern) else {
        return Err(
            "is not an origin, such as https://app.example.com or capacitor://localhost; patterns are not supported"
                .to_owned(),
        );
    };
    if formatted == text {
        Ok(formatted)
    } else {
        Err(format!(
            "is not an origin as browsers send it: write {formatted}"
        ))
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
    fn origins_of_browsers_are_accepted() {
        for origin in [
            "https://app.example.com",
            "http://localhost:3000",
            "https://192.0.2.1:8443",
            "http://[2001:db8::1]",
            "https://xn--e1afmkfd.example",
            "https://my_app.example.com.",
            "capacitor://localhost",
            "ionic://localhost:8080",
            "chrome-extension://abcdefghijklmnop",
        ] {
            let text = format!("{origin}, https://other.example");
            let origins = Origins::try_from(text).unwrap();
            assert_eq!(origins.0, [origin, "https://other.example"]);
        }
    }

    #[test]
    fn origins_that_browsers_do_not_send_are_rejected() {
        for text in [
            "*",
            "null",
            "https://*.example.com",
            "https://%2A.example.com",
            "https://app.example.com:*",
            "*://app.example.com",
            "capacitor://*",
            "https://.example.com",
            "https://$host",
            "https://(a).example.com",
            "https://[a-z].example.com",
            "app.example.com",
            "localhost:3000",
            "data:text/html",
            "capacitor:",
            "capacitor://",
            "capacitor://a%20b",
            "file:///x.html",
            "https://",
            "https://a:99999",
            "https://a?b",
            "https://a#b",
            "https://u:p@a",
        ] {
            let error = Origins::try_from(format!("https://valid.example,{text}"));
            let error = error.expect_err(text);
            let start = format!("{text:?} is not an origin, such as");
            assert!(error.starts_with(&start), "{text}: {error}");
        }
        for (text, meant) in [
            ("https://App.Example.com:443", "https://app.example.com"),
            ("https://пример.example", "https://xn--e1afmkfd.example"),
            ("Tauri://LocalHost", "tauri://localhost"),
            ("https://a/", "https://a"),
            ("https://a/x", "https://a"),
            ("capacitor://localhost/", "capacitor://localhost"),
        ] {
            let error = Origins::try_from(text.to_owned()).expect_err(text);
            assert!(error.ends_with(&format!("write {meant}")), "{error}");
        }
    }
}
