//! Values that are not for everybody's eyes.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// In the place of what is not shown.
pub(super) const MASK: &str = "***";

/// A value that does not print itself.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A URL that may hold a password, and does not print itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DatabaseUrl(pub String);

impl DatabaseUrl {
    /// The URL, password and all.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether whoever sees it sees a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        let has_parameter = |url: &Url| url.query_pairs().any(|(name, _)| name == "password");
        self.readable().map_or_else(
            || self.0.contains('@'),
            |url| url.password().is_some() || has_parameter(&url),
        )
    }

    /// None where nobody knows what is what in it, such as where a password was not escaped.
    fn readable(&self) -> Option<Url> {
        let url = Url::parse(&self.0).ok()?;
        let rest = [Some(url.path()), url.query(), url.fragment()];
        let is_odd = rest.into_iter().flatten().any(|part| part.contains('@'));
        (!is_odd && url.fragment().is_none()).then_some(url)
    }

    /// The URL, for whoever may look on.
    #[must_use]
    pub fn masked(&self) -> String {
        let Some(mut url) = self.readable() else {
            return MASK.to_owned();
        };
        if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
            return MASK.to_owned();
        }
        if self.has_password() && url.query().is_some() {
            let shown = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
                let value = if name == "password" {
                    MASK.into()
                } else {
                    value
                };
                (name.into_owned(), value.into_owned())
            };
            let pairs: Vec<_> = url.query_pairs().map(shown).collect();
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
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
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
            assert_eq!(url.masked(), shown);
            assert_eq!(
                url.has_password(),
                url.0.contains("hunter2@") || url.0.contains("=hunter2")
            );
        }
    }
}
