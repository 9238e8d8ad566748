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
    api::BodyLimits,
    app::app,
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
        // Before anything is made: a bad setting should leave nothing behind.
        let passwords = password::passwords(&settings)?;
        let db = database::open(&settings).await?;
        let pending = database::pending(&db).await?;
        if !self.no_migrate {
            database::migrate(&db).await?;
        } else if !pending.is_empty() {
            return Err(format!(
                "migrations are pending ({}): run `signet migrate`, or start without --no-migrate",
                pending.join(", ")
            )
            .into());
        }
        let users = Users::new(db);
        let clock = Clock::system();
        if self.demo {
            add_demo_account(&users, &passwords, &clock).await?;
        }
        let auth = Auth::from(Parts {
            tokens: tokens(&settings)?,
            users,
            passwords,
            clock,
        });
        let listener = TcpListener::bind(settings.listen).await.map_err(|error| {
            format!(
                "cannot listen on {}: {error}. Stop what listens there, or set SIGNET_LISTEN",
                settings.listen
            )
        })?;
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
            ConnectionLimits::default(),
            stop,
        )
        .await;
        info!("stopped");
        Ok(())
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

fn tokens(settings: &Settings) -> Result<Tokens, Failure> {
    let (secret, origin) = secret(settings)?;
    let lifetimes = Lifetimes {
        expires_in: settings.jwt_expires_in.get().into(),
        refresh_window: settings.jwt_refresh_window.into(),
    };
    Tokens::new(&secret, lifetimes).map_err(|error| {
        format!(
            "the secret in {origin} is too short: {error}. Make one with `openssl rand -hex 32`"
        )
        .into()
    })
}

/// The secret, and where it is from.
fn secret(settings: &Settings) -> Result<(Vec<u8>, String), Failure> {
    if let Some(secret) = &settings.jwt_secret {
        return Ok((
            secret.0.clone().into_bytes(),
            "SIGNET_JWT_SECRET".to_owned(),
        ));
    }
    if let Some(path) = &settings.jwt_secret_file {
        return Ok((read_secret(path)?, path.display().to_string()));
    }
    match Location::of(&settings.database_url).map_err(|error| error.to_string())? {
        Location::Memory => Ok((random::hex::<32>().into_bytes(), "memory".to_owned())),
        Location::File(database) => {
            let path = database.with_extension("secret");
            make_secret(&path).map_err(|error| {
                format!(
                    "cannot keep a secret in {}: {error}. Make it writable, or set SIGNET_JWT_SECRET_FILE",
                    path.display()
                )
            })?;
            Ok((read_secret(&path)?, path.display().to_string()))
        }
    }
}

fn read_secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut secret = fs::read(path).map_err(|error| {
        format!(
            "cannot read the secret in {}: {error}. Check SIGNET_JWT_SECRET_FILE",
            path.display()
        )
    })?;
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

/// Done on the first SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let on = |kind| signal(kind).map_err(|error| format!("cannot wait for signals: {error}"));
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
