//! Errors of opening a database.

use std::path::PathBuf;

use sea_orm::DbErr;

use super::error::operator_hint;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The scheme of the URL is not supported. The message omits the URL, which may contain a password.
    #[error(
        "its scheme is not one of this build: write sqlite:PATH, such as sqlite:data/signet.db, or \
         postgres://USER@HOST/DATABASE"
    )]
    Scheme,
    /// The URL is invalid.
    #[error(
        "it is not a URL: in its password, write / as %2F, @ as %40, # as %23, ? as %3F and % as %25; a socket has no host, as in postgres:///DATABASE?host=/run/postgresql&user=USER"
    )]
    Url,
    /// The URL names several hosts. libpq accepts this, but sqlx does not.
    #[error(
        "several hosts in one URL are not supported: name one host that leads to the primary, such as a virtual address, \
         HAProxy or PgBouncer"
    )]
    SeveralHosts,
    /// The database does not store text as UTF-8.
    #[error(
        "the database {name} has the encoding {encoding}, and emails need UTF-8: run `{command}`, and name the new database \
         in the URL"
    )]
    Encoding {
        /// The name of the database.
        name: String,
        /// The encoding, as PostgreSQL names it.
        encoding: String,
        /// The command that creates a database with UTF-8.
        command: String,
    },
    /// SQLite would parse the path as a URL with options.
    #[error("file: URLs are not supported: write the path itself, such as sqlite:data/signet.db")]
    FileUrl,
    /// The path begins with a `~` that the shell did not expand.
    #[error(
        "`~` is not expanded in sqlite:PATH: write the absolute path, such as sqlite:/home/you/signet.db, or \
         sqlite:./~ for a name that begins with `~`"
    )]
    Tilde,
    /// The file or its folder could not be created.
    #[error("cannot make {}: {source}", path.display())]
    Make {
        /// The file or the folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The connection failed.
    #[error("cannot open {what}: {source}{}", operator_hint(source))]
    Connect {
        /// The description of the database.
        what: String,
        /// The error of the driver.
        source: DbErr,
    },
}
