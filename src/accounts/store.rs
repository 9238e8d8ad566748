//! Opens the database: where it is, and how it is connected to.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{ErrorKind, Read},
    num::NonZeroU32,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Component, Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use percent_encoding::percent_decode_str;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, sqlx};
use tokio::time::{Instant, sleep};
use url::Url;

mod fault;
mod postgres;

use super::file::DatabaseFile;

pub use fault::{advice, is_temporary};
pub(super) use fault::{is_full, is_pool_timeout};
pub(super) use postgres::{explained, explained_for, no_answer, test_time};

/// Where a database URL points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// SQLite, in the memory of this process.
    Memory,
    /// SQLite, in a file.
    File(PathBuf),
    /// PostgreSQL, or what speaks its protocol, at this host; none is where `PGHOST` says, or here.
    Postgres(Option<String>),
}

/// What a database may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: NonZeroU32,
    /// For an answer, another writer included.
    pub wait: Duration,
    /// Whether the server gives up on a statement, too, when we do: not where a command has much to do.
    pub hurried: bool,
}

/// Connections to a SQLite file: more take a thread and half a MiB each, and make nothing faster, since one query takes microseconds,
/// and one alone may write.
const TO_A_FILE: u32 = 4;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no store that this build has. The URL itself may hold a password.
    #[error(
        "its scheme is not one of this build: write sqlite:PATH, such as sqlite:data/signet.db, or \
         postgres://USER@HOST/DATABASE"
    )]
    Scheme,
    /// The URL cannot be read.
    #[error(
        "it is not a URL: in its password, write / as %2F, @ as %40, # as %23, ? as %3F and % as %25; a socket has no host, as in postgres:///DATABASE?host=/run/postgresql&user=USER"
    )]
    Url,
    /// The URL names several hosts, as libpq allows.
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
        /// The database.
        name: String,
        /// Its encoding, as PostgreSQL names it.
        encoding: String,
        /// The command that makes a database with the right encoding.
        command: String,
    },
    /// SQLite would parse the path as a URL with options of its own.
    #[error("file: URLs are not supported: write the path itself, such as sqlite:data/signet.db")]
    FileUrl,
    /// The path has a `~` that no shell has expanded.
    #[error(
        "`~` is not expanded in sqlite:PATH: write the absolute path, such as sqlite:/home/you/signet.db, or \
         sqlite:./~ for a name that begins with `~`"
    )]
    Tilde,
    /// The file or its folder could not be made.
    #[error("cannot make {}: {source}", path.display())]
    Make {
        /// The file or the folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database did not open.
    #[error("cannot open {what}: {source}{}", advice(source))]
    Connect {
        /// What was to be opened.
        what: String,
        /// What the driver says.
        source: DbErr,
    },
}

impl Location {
    /// Reads a database URL.
    ///
    /// # Errors
    /// When its scheme is unknown, or it is no URL.
    pub fn of(url: &str) -> Result<Self, OpenError> {
        let scheme = url.split(':').next().unwrap_or_default();
        if ["postgres", "postgresql"].contains(&scheme) {
            if has_several_hosts(url) {
                return Err(OpenError::SeveralHosts);
            }
            // What the driver says of a bad one would tell its password.
            let url = Url::parse(url).map_err(|_| OpenError::Url)?;
            let host = url.host_str().filter(|host| !host.is_empty());
            return Ok(Self::Postgres(host.map(|host| {
                percent_decode_str(host).decode_utf8_lossy().into_owned()
            })));
        }
        let rest = url.strip_prefix("sqlite:").ok_or(OpenError::Scheme)?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        // As the driver reads it.
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        if decoded.starts_with("file:") {
            return Err(OpenError::FileUrl);
        }
        if path == ":memory:" || query.split('&').any(|pair| pair == "mode=memory") {
            Ok(Self::Memory)
        } else if path.is_empty() {
            Err(OpenError::Scheme)
        } else {
            let path = PathBuf::from(decoded.into_owned());
            if has_tilde(&path) {
                return Err(OpenError::Tilde);
            }
            Ok(Self::File(path))
        }
    }
}

/// Returns whether a URL of PostgreSQL lists hosts, before its path or in a parameter. [`Url`] cannot parse such a URL if it has
/// ports.
fn has_several_hosts(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let hosts = match authority.rsplit_once('@') {
        Some((_, hosts)) => hosts,
        // A `/` in a password that is not escaped: the commas before it are the password's.
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

/// Returns whether the first name of a path begins with `~`. After `./` it may.
fn has_tilde(path: &Path) -> bool {
    let mut names = path
        .components()
        .skip_while(|component| matches!(component, Component::RootDir));
    names
        .next()
        .is_some_and(|name| name.as_os_str().as_bytes().starts_with(b"~"))
}

/// Opens the database at `url`, and makes a SQLite file and its folder where they are missing.
///
/// # Errors
/// When the URL is not understood, or the database does not open.
pub async fn open(url: &str, limits: Limits) -> Result<DatabaseConnection, OpenError> {
    connect(url, limits, Access::Write).await
}

/// Opens the database at `url` for queries. Does not create the database; SQLite may create the files of its log, and removes them.
///
/// # Errors
/// When the URL is not understood, or the database does not open.
pub async fn open_to_read(url: &str, limits: Limits) -> Result<DatabaseConnection, OpenError> {
    connect(url, limits, Access::Read).await
}

/// Opens the database at `url` read-only, and writes to no file. If no process has the database open, no process may change it meanwhile.
///
/// # Errors
/// When the URL is not understood, or the database does not open.
pub async fn open_read_only(url: &str, limits: Limits) -> Result<DatabaseConnection, OpenError> {
    connect(url, limits, Access::ReadOnly).await
}

/// What a connection may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
    ReadOnly,
}

async fn connect(
    url: &str,
    limits: Limits,
    access: Access,
) -> Result<DatabaseConnection, OpenError> {
    let location = Location::of(url)?;
    let Limits {
        connections, wait, ..
    } = limits;
    let mut options = ConnectOptions::new(match location {
        // One form, so that the name of a file is never mistaken for a database in memory.
        Location::Memory => "sqlite::memory:",
        _ => url,
    });
    options
        .sqlx_logging(false)
        .acquire_timeout(wait)
        .connect_timeout(wait)
        .max_connections(connections.get());
    let mut is_closed = false;
    let what = match location {
        Location::Memory => {
            // The database lives as long as its one connection.
            options
                .max_connections(1)
                .min_connections(1)
                .idle_timeout(None::<Duration>)
                .max_lifetime(None::<Duration>);
            "the database in memory".to_owned()
        }
        Location::File(path) => {
            if access == Access::Write {
                make_file(&path)?;
            }
            is_closed = is_closed_log(&path);
            stay_on_file(&mut options, path.clone());
            // It is in this process: to try a connection before its use would cost as much as the query.
            options
                .test_before_acquire(false)
                .max_connections(connections.get().min(TO_A_FILE));
            path.display().to_string()
        }
        Location::Postgres(host) => {
            let what = format!("PostgreSQL at {}", host.as_deref().unwrap_or("its socket"));
            return postgres::open(url, limits, what, access != Access::Write).await;
        }
    };
    options.map_sqlx_sqlite_opts(move |sqlite| {
        use sqlx::sqlite::SqliteJournalMode;
        // The file exists by now. If it is removed later, a new connection must not create another file.
        let sqlite = sqlite.create_if_missing(false).busy_timeout(wait);
        match access {
            // Readers do not wait for the writer.
            Access::Write => sqlite.journal_mode(SqliteJournalMode::Wal),
            Access::Read => sqlite,
            // A reader of a write-ahead log that is closed would create the files of the log.
            Access::ReadOnly => sqlite.read_only(true).immutable(is_closed),
        }
    });
    let deadline = Instant::now() + wait;
    loop {
        match Database::connect(options.clone()).await {
            // Of two that make a new file ready at once, SQLite refuses one without waiting.
            Err(error) if migration::is_contention(&error) && Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            connected => return connected.map_err(|source| OpenError::Connect { what, source }),
        }
    }
}

/// Rejects a new connection if the path no longer leads to the file of the first connection: a pool never uses two files.
fn stay_on_file(options: &mut ConnectOptions, path: PathBuf) {
    let file = Arc::new(OnceLock::new());
    options.map_sqlx_sqlite_pool_opts(move |pool| {
        let (file, path) = (Arc::clone(&file), path.clone());
        pool.after_connect(move |_, _| {
            let file = file.get_or_init(|| DatabaseFile::at(&path));
            let checked = file.check().map_err(sqlx::Error::config);
            Box::pin(async { checked })
        })
    });
}

/// Whether the database has a write-ahead log, and no process has it open: the last one deletes the log.
fn is_closed_log(path: &Path) -> bool {
    // The version of the file format, by which SQLite knows a write-ahead log (sqlite.org/fileformat.html section 1.3.3).
    let mut header = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    read.is_ok() && header[18] == 2 && !Path::new(&log).exists()
}

/// Makes what is missing, for its owner's eyes only: hashes are nobody else's affair.
fn make_file(database: &Path) -> Result<(), OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Make { path, source }
    };
    if let Some(folder) = database
        .parent()
        .filter(|path| !path.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed(folder))?;
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(database);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(database)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Location, OpenError};

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
            let error = Location::of(url).unwrap_err();
            assert!(matches!(error, OpenError::FileUrl), "{url}: {error}");
        }
        let file = Location::of("sqlite:./file:a.db").unwrap();
        assert_eq!(file, Location::File("./file:a.db".into()));
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
            let error = Location::of(url).unwrap_err();
            assert!(matches!(error, OpenError::Tilde), "{url}: {error}");
        }
        for (url, path) in [
            ("sqlite:./~/a.db", "./~/a.db"),
            ("sqlite:data/~a.db", "data/~a.db"),
        ] {
            assert_eq!(Location::of(url).unwrap(), Location::File(path.into()));
        }
    }

    #[test]
    fn a_url_points_somewhere() {
        assert_eq!(Location::of("sqlite::memory:").unwrap(), Location::Memory);
        assert_eq!(
            Location::of("sqlite://x?mode=memory").unwrap(),
            Location::Memory
        );
        assert_eq!(
            Location::of("sqlite:my%20data/a.db").unwrap(),
            Location::File("my data/a.db".into())
        );
        for url in [
            "sqlite:data/a.db",
            "sqlite://data/a.db",
            "sqlite:data/a.db?mode=rwc",
        ] {
            assert_eq!(
                Location::of(url).unwrap(),
                Location::File("data/a.db".into())
            );
        }
        assert_eq!(
            Location::of("sqlite:///var/a.db").unwrap(),
            Location::File("/var/a.db".into())
        );
        for (url, host) in [
            ("postgres://signet:secret@db:5432/signet", Some("db")),
            ("postgresql://%2Frun%2Fpg/signet", Some("/run/pg")),
            ("postgres:///signet", None),
        ] {
            let host = host.map(str::to_owned);
            assert_eq!(Location::of(url).unwrap(), Location::Postgres(host));
        }
        for url in [
            "",
            "sqlite:",
            "mysql://root:secret@db/x",
            "data/a.db",
            "postgres://signet:secret/@db/x",
        ] {
            let error = Location::of(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
