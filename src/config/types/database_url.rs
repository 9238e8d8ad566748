//! The URL of the database, which may contain a password.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::secret::MASK;

/// A database URL. `Debug` does not print the URL, since the URL may contain a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DatabaseUrl(pub String);

impl DatabaseUrl {
    /// Returns the URL with its password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the URL contains a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        let has_parameter = |url: &Url| url.query_pairs().any(|(name, _)| name == "password");
        self.parse().map_or_else(
            || self.0.contains('@'),
            |url| url.password().is_some() || has_parameter(&url),
        )
    }

    /// Parses the URL. Returns `None` for an ambiguous URL, such as a URL with an unescaped password.
    fn parse(&self) -> Option<Url> {
        let url = Url::parse(&self.0).ok()?;
        let rest = [Some(url.path()), url.query(), url.fragment()];
        let is_ambiguous = rest.into_iter().flatten().any(|part| part.contains('@'));
        (!is_ambiguous && url.fragment().is_none()).then_some(url)
    }

    /// Returns the URL with a mask in the place of its password. An ambiguous URL is masked as a whole.
    #[must_use]
    pub fn masked(&self) -> String {
        let Some(mut url) = self.parse() else {
            return MASK.to_owned();
        };
        if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
            return MASK.to_owned();
        }
        if self.has_password() && url.query().is_some() {
            let masked = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
                let value = if name == "password" {
                    MASK.into()
                } else {
                    value
                };
                (name.into_owned(), value.into_owned())
            };
            let pairs: Vec<_> = url.query_pairs().map(masked).collect();
            url.query_pairs_mut().clear().extend_pairs(pairs);
        }
        url.into()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::DatabaseUrl;

    #[test]
    fn masked_url_contains_no_password() {
        for (url, masked) in [
            ("sqlite:data/signet.db", "sqlite:data/signet.db"),
            ("postgres://db/signet", "postgres://db/signet"),
            (
                "postgres://a:hunter2@db/signet",
                "postgres://a:***@db/signet",
            ),
            (
                "postgres://db/signet?user=a&password=hunter2",
                "postgres://db/signet?user=a&password=***",
            ),
            (
                "postgres://a:hunter2@db/x?password=hunter2",
                "postgres://a:***@db/x?password=***",
            ),
            ("hunter2", "***"),
            ("signet:hunter2@db/signet", "***"),
            ("postgres:signet:hunter2@db/signet", "***"),
            ("postgres://signet:12/hunter2@db/signet", "***"),
            ("postgres://signet:12?hunter2@db/signet", "***"),
            ("postgres://signet:12#hunter2@db/signet", "***"),
        ] {
            let url = DatabaseUrl(url.to_owned());
            assert_eq!(url.masked(), masked);
            assert_eq!(
                url.has_password(),
                url.0.contains("hunter2@") || url.0.contains("=hunter2")
            );
        }
    }
}
