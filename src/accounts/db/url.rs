//! The URL of a database.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::problem::Problem;

/// A parsed database URL, without its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// SQLite in the memory of this process.
    Memory,
    /// SQLite in a file.
    File(PathBuf),
    /// PostgreSQL at this host. `None` is the host of `PGHOST`, or a local socket.
    Postgres(Option<String>),
}

impl DatabaseUrl {
    /// Parses a database URL.
    ///
    /// # Errors
    /// When the scheme is unknown, or the URL is invalid.
    pub fn parse(url: &str) -> Result<Self, Problem> {
        let scheme = url.split(':').next().unwrap_or_default();
        if ["postgres", "postgresql"].contains(&scheme) {
            if has_several_hosts(url) {
                return Err(several_hosts());
            }
            // The error of the driver would contain the password.
            let url = Url::parse(url).map_err(|_| {
                Problem::new("the URL is invalid").hint(
                    "in the password, write / as %2F, @ as %40, # as %23, ? as %3F and % as %25; a Unix socket has no host, as in \
                     postgres:///DATABASE?host=/run/postgresql&user=USER",
                )
            })?;
            let host = url.host_str().filter(|host| !host.is_empty());
            return Ok(Self::Postgres(host.map(|host| {
                percent_decode_str(host).decode_utf8_lossy().into_owned()
            })));
        }
        let rest = url.strip_prefix("sqlite:").ok_or_else(unknown_scheme)?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        // The driver decodes the path, too.
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        if decoded.starts_with("file:") {
            return Err(Problem::new("file: URLs are not supported")
                .hint("use the path itself, such as sqlite:data/signet.db"));
        }
        if path == ":memory:" || query.split('&').any(|pair| pair == "mode=memory") {
            Ok(Self::Memory)
        } else if path.is_empty() {
            Err(unknown_scheme())
        } else {
            let path = PathBuf::from(decoded.into_owned());
            if has_tilde(&path) {
                return Err(Problem::new("`~` is not expanded in sqlite:PATH").hint(
                    "use the absolute path, such as sqlite:/home/you/signet.db, or sqlite:./~ for a name that begins with `~`",
                ));
            }
            Ok(Self::File(path))
        }
    }
}

/// The message omits the URL, which may contain a password.
fn unknown_scheme() -> Problem {
    Problem::new("the scheme of the URL is neither sqlite: nor postgres:")
        .hint("use sqlite:PATH, such as sqlite:data/signet.db, or postgres://USER@HOST/DATABASE")
}

/// libpq accepts several hosts, but sqlx does not.
pub(super) fn several_hosts() -> Problem {
    Problem::new("several hosts in one URL are not supported").hint(
        "use one host that leads to the primary, such as a virtual address, HAProxy or PgBouncer",
    )
}

/// Returns whether a URL of PostgreSQL lists hosts, before its path or in a parameter. [`Url`] cannot parse such a URL if it has
/// ports.
fn has_several_hosts(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let hosts = match authority.rsplit_once('@') {
        Some((_, hosts)) => hosts,
        // The password has an unescaped `/`: the commas before it belong to the password.
        None if rest.contains('@') => "",
        None => authority,
    };
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    hosts.contains(',')
        || parameters.any(|(name, value)| {
            ["host", "hostaddr"].contains(&name.as_ref()) && value.contains(',')
        })
}

/// Returns whether the first name of a path begins with `~`. A name after `./` may begin with `~`.
fn has_tilde(path: &Path) -> bool {
    let mut names = path
        .components()
        .skip_while(|component| matches!(component, Component::RootDir));
    names
        .next()
        .is_some_and(|name| name.as_os_str().as_bytes().starts_with(b"~"))
}

#[cfg(test)]
mod tests {
    use super::DatabaseUrl;

    #[test]
    fn file_url_is_rejected() {
        for url in [
            "sqlite:file:data/a.db",
            "sqlite://file:data/a.db",
            "sqlite:file:///var/a.db?mode=rwc",
            "sqlite:file%3Adata/a.db",
            "sqlite:file::memory:",
            "sqlite:file:a?mode=memory",
        ] {
            let error = DatabaseUrl::parse(url).unwrap_err();
            assert_eq!(error.message, "file: URLs are not supported", "{url}");
        }
        let file = DatabaseUrl::parse("sqlite:./file:a.db").unwrap();
        assert_eq!(file, DatabaseUrl::File("./file:a.db".into()));
    }

    #[test]
    fn unexpanded_tilde_is_rejected() {
        for url in [
            "sqlite:~/a.db",
            "sqlite://~/a.db",
            "sqlite:///~/a.db",
            "sqlite:%7E/a.db",
            "sqlite:~signet/a.db?mode=rwc",
            "sqlite:~",
        ] {
            let error = DatabaseUrl::parse(url).unwrap_err();
            assert_eq!(error.message, "`~` is not expanded in sqlite:PATH", "{url}");
        }
        for (url, path) in [
            ("sqlite:./~/a.db", "./~/a.db"),
            ("sqlite:data/~a.db", "data/~a.db"),
        ] {
            assert_eq!(
                DatabaseUrl::parse(url).unwrap(),
                DatabaseUrl::File(path.into())
            );
        }
    }

    #[test]
    fn url_is_parsed() {
        assert_eq!(
            DatabaseUrl::parse("sqlite::memory:").unwrap(),
            DatabaseUrl::Memory
        );
        assert_eq!(
            DatabaseUrl::parse("sqlite://x?mode=memory").unwrap(),
            DatabaseUrl::Memory
        );
        assert_eq!(
            DatabaseUrl::parse("sqlite:my%20data/a.db").unwrap(),
            DatabaseUrl::File("my data/a.db".into())
        );
        for url in [
            "sqlite:data/a.db",
            "sqlite://data/a.db",
            "sqlite:data/a.db?mode=rwc",
        ] {
            assert_eq!(
                DatabaseUrl::parse(url).unwrap(),
                DatabaseUrl::File("data/a.db".into())
            );
        }
        assert_eq!(
            DatabaseUrl::parse("sqlite:///var/a.db").unwrap(),
            DatabaseUrl::File("/var/a.db".into())
        );
        for (url, host) in [
            ("postgres://signet:secret@db:5432/signet", Some("db")),
            ("postgresql://%2Frun%2Fpg/signet", Some("/run/pg")),
            ("postgres:///signet", None),
        ] {
            let host = host.map(str::to_owned);
            assert_eq!(
                DatabaseUrl::parse(url).unwrap(),
                DatabaseUrl::Postgres(host)
            );
        }
        for url in [
            "",
            "sqlite:",
            "mysql://root:secret@db/x",
            "data/a.db",
            "postgres://signet:secret/@db/x",
        ] {
            let error = DatabaseUrl::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
