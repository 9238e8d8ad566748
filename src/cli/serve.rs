//! `signet serve`

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing::{info, warn};

use super::{Failure, database, password};
use crate::{
    app::{BodyLimits, app},
    auth::{Auth, Clock, Lifetimes, Parts, Passwords, Tokens, random},
    config::Settings,
    server::{self, ConnectionLimits},
    users::{Location, NewUser, Users},
};

const DEMO_EMAIL: &str = "jonhdoeqa@email.com";
const DEMO_PASSWORD: &str = "1234ABCD";

#[derive(clap::Args)]
pub(super) struct Serve {
    /// Serve a throw-away database in memory with the documented account, on a loopback address only
    #[arg(long)]
    demo: bool,
    /// Refuse to start while migrations are pending, instead of applying them
    #[arg(long, conflicts_with = "demo")]
    no_migrate: bool,
}

impl Serve {
    pub(super) async fn run(self, mut settings: Settings) -> Result<(), Failure> {
        if self.demo {
            if !settings.listen.ip().is_loopback() {
                return Err(Failure::usage(format!(
                    "--demo does not listen on {}: its password is public. Take a loopback address, such as 127.0.0.1:8000",
                    settings.listen
                )));
            }
            "sqlite::memory:".clone_into(&mut settings.database_url);
        }
        // Before anything is made: what cannot be served should leave nothing behind.
        let passwords = password::passwords(&settings)?;
        let given = given_secret(&settings)?;
        let listener = TcpListener::bind(settings.listen).await.map_err(|error| {
            format!(
                "cannot listen on {}: {error}. Stop what listens there, or set SIGNET_LISTEN",
                settings.listen
            )
        })?;
        let users = self.users(&settings).await?;
        let clock = Clock::system();
        if self.demo {
            add_demo_account(&users, &passwords, &clock).await?;
        }
        let tokens = match given {
            Some(tokens) => tokens,
            None => kept_secret(&settings)?,
        };
        let auth = Auth::from(Parts {
            users,
            passwords,
            tokens,
            clock,
        });
        let stop = stop_signal()?;
        let address = listener.local_addr().unwrap_or(settings.listen);
        info!(%address, docs = format!("http://{address}/docs/"), "listening");
        if self.demo {
            warn!(
                email = DEMO_EMAIL,
                "a demo: the account's password is public, and all of it is gone when this ends"
            );
        }
        server::serve(
            listener,
            app(&auth, BodyLimits::default(), settings.public_url()),
            ConnectionLimits::default().within_file_limit(),
            stop,
        )
        .await;
        info!("stopped");
        Ok(())
    }

    async fn users(&self, settings: &Settings) -> Result<Users, Failure> {
        if !self.no_migrate {
            return database::users(settings).await;
        }
        let db = database::open_existing(settings).await?;
        let pending = match &db {
            Some(db) => database::pending(db).await?,
            None => vec!["all of them: there is no database yet".to_owned()],
        };
        match db {
            Some(db) if pending.is_empty() => Ok(Users::new(db)),
            _ => Err(format!(
                "migrations are pending ({}): run `signet migrate`, or start without --no-migrate",
                pending.join(", ")
            )
            .into()),
        }
    }
}

async fn add_demo_account(
    users: &Users,
    passwords: &Passwords,
    clock: &Clock,
) -> Result<(), Failure> {
    let password = passwords
        .hash(DEMO_PASSWORD.to_owned())
        .await
        .map_err(|error| error.to_string())?;
    let account = NewUser {
        id: Some(1),
        email: DEMO_EMAIL.to_owned(),
        password: Some(password),
    };
    users
        .add(account, clock.now())
        .await
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// Tokens under the secret that was given, if one was.
fn given_secret(settings: &Settings) -> Result<Option<Tokens>, Failure> {
    if let Some(secret) = &settings.jwt_secret {
        return tokens(settings, secret.0.as_bytes(), "SIGNET_JWT_SECRET").map(Some);
    }
    let Some(path) = &settings.jwt_secret_file else {
        return Ok(None);
    };
    let secret = read_secret(path).map_err(|error| {
        format!(
            "cannot read {}, which SIGNET_JWT_SECRET_FILE names: {error}",
            path.display()
        )
    })?;
    tokens(settings, &secret, &path.display().to_string()).map(Some)
}

/// Tokens under a secret of the service's own: made once, and kept beside the database.
fn kept_secret(settings: &Settings) -> Result<Tokens, Failure> {
    match Location::of(&settings.database_url).map_err(|error| error.to_string())? {
        Location::Memory => tokens(settings, random::hex::<32>().as_bytes(), "memory"),
        Location::File(database) => {
            let path = PathBuf::from(format!("{}.secret", database.display()));
            let secret = make_secret(&path).and_then(|()| read_secret(&path)).map_err(|error| {
                format!(
                    "cannot keep a secret in {}: {error}. Mend that, or set SIGNET_JWT_SECRET_FILE",
                    path.display()
                )
            })?;
            tokens(settings, &secret, &path.display().to_string())
        }
    }
}

fn tokens(settings: &Settings, secret: &[u8], origin: &str) -> Result<Tokens, Failure> {
    let lifetimes = Lifetimes {
        expires_in: settings.jwt_expires_in.get().into(),
        refresh_window: settings.jwt_refresh_window.into(),
    };
    Tokens::new(secret, lifetimes).map_err(|error| {
        format!(
            "the secret in {origin} is too short: {error}. Make one with `openssl rand -hex 32`"
        )
        .into()
    })
}

/// A secret is the file's bytes; one line break at the end is the editor's.
fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut secret = fs::read(path)?;
    for end in [b'\n', b'\r'] {
        if secret.last() == Some(&end) {
            secret.pop();
        }
    }
    Ok(secret)
}

/// Makes a secret where there is none. Of two processes that start at once, one wins, and both read its secret.
fn make_secret(path: &Path) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    if path.try_exists()? {
        return Ok(());
    }
    let draft = PathBuf::from(format!("{}.{}", path.display(), random::hex::<8>()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{}", random::hex::<32>())?;
    file.sync_all()?;
    let made = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => {
            info!(path = %path.display(), "made a secret that signs the tokens: keep it as long as they are to be good");
            Ok(())
        }
    }
}

/// Done on the first SIGTERM or SIGINT; on the second, the process ends at once.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let on = |kind| signal(kind).map_err(|error| format!("cannot wait for signals: {error}"));
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut received = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        received().await;
        tokio::spawn(async move {
            received().await;
            warn!("a second signal: ending at once");
            std::process::exit(1);
        });
    })
}
