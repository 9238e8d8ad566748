//! `signet serve`

use std::{net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::SignalKind,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tracing::{error, info, warn};

use super::{Failure, database, password, secret, signal, throttle};
use crate::{
    app::{Admin, Composition, Options, compose},
    auth::{
        Audit, Auth, Clock, Lifetimes, Meter, Parts, Passwords, SecretTooShort, Secrets, Tokens,
    },
    config::{DatabaseUrl, Settings},
    server::{self, ConnectionLimits},
    users::{Limits, NewUser, Users},
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
            settings.database_url = DatabaseUrl("sqlite::memory:".to_owned());
        }
        // Before anything is made: what cannot be served should leave nothing behind.
        let passwords = password::passwords(&settings)?;
        let given = secret::given(&settings)?;
        let socket = bind(settings.listen, "SIGNET_LISTEN")?;
        let admin = Admin::default();
        let operators = match settings.admin_listen {
            Some(address) => Some(Operators::serve(address, &admin)?),
            None => None,
        };
        let users = self.users(&settings).await?;
        let clock = Clock::system();
        if self.demo {
            add_demo_account(&users, &passwords, &clock).await?;
        }
        let secrets = match given {
            Some(secrets) => secrets,
            None => secret::kept(&settings)?,
        };
        let lifetimes = Lifetimes {
            expires_in: settings.jwt_expires_in.get().into(),
            refresh_window: settings.jwt_refresh_window.into(),
        };
        let tokens = Tokens::new(&secrets, lifetimes).map_err(|error| error.to_string())?;
        let auth = Auth::from(Parts {
            users,
            passwords,
            tokens,
            throttle: throttle::throttle(&settings),
            audit: Audit {
                whole_emails: settings.audit_whole_emails(),
            },
            meter: Meter::default(),
            clock,
        });
        let stop = stop_signal()?;
        reload_on_hangup(&auth, &settings, secrets)?;
        let options = Options {
            proxies: settings.trusted_proxies.0.clone(),
            public_url: settings.public_url().map(str::to_owned),
            ..Options::default()
        };
        let Composition { app, stopping } = compose(&auth, options, &admin);
        // Not before it can answer: who asks too early is told so at once.
        let listener = listen(socket, "SIGNET_LISTEN")?;
        let address = listener.local_addr().unwrap_or(settings.listen);
        let admin = operators
            .as_ref()
            .map(|operators| tracing::field::display(operators.address));
        info!(%address, admin, docs = format!("http://{address}/docs/"), "listening");
        if self.demo {
            warn!(
                email = DEMO_EMAIL,
                "a demo: the account's password is public, and all of it is gone when this ends"
            );
        }
        keep_house(&auth);
        let limits = ConnectionLimits::default().within_file_limit();
        let delay = Duration::from_secs(settings.stop_delay.into());
        let stop = async {
            stop.await;
            stopping.begin();
            sleep(delay).await;
        };
        server::serve(listener, app, limits, stop).await;
        if let Some(operators) = operators {
            operators.end().await;
        }
        auth.users.close().await;
        info!(verified = ?auth.tokens.verified(), "stopped; so many tokens each secret verified, the current one first");
        Ok(())
    }

    async fn users(&self, settings: &Settings) -> Result<Users, Failure> {
        let limits = Limits {
            hurried: true,
            ..database::limits(settings)
        };
        if self.no_migrate {
            database::users_of_current(settings, limits).await
        } else {
            database::users(settings, limits).await
        }
    }
}

/// The listener of operators, who see the service start, and stop.
struct Operators {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Operators {
    fn serve(address: SocketAddr, admin: &Admin) -> Result<Self, Failure> {
        let setting = "SIGNET_ADMIN_LISTEN";
        let listener = listen(bind(address, setting)?, setting)?;
        let address = listener.local_addr().unwrap_or(address);
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let limits = ConnectionLimits::few();
        Ok(Self {
            address,
            stop,
            served: tokio::spawn(server::serve(listener, admin.app(), limits, stopped)),
        })
    }

    async fn end(self) {
        drop(self.stop);
        let _ = self.served.await;
    }
}

/// Takes an address, without letting anybody in yet.
fn bind(address: SocketAddr, setting: &str) -> Result<TcpSocket, Failure> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let bound = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    });
    bound.map_err(|error| {
        format!("cannot listen on {address}: {error}. Stop what listens there, or set {setting}")
            .into()
    })
}

fn listen(socket: TcpSocket, setting: &str) -> Result<TcpListener, Failure> {
    /// Who has connected and is not served yet, as far as the system allows it.
    const BACKLOG: u32 = 1024;
    socket.listen(BACKLOG).map_err(|error| {
        format!("cannot listen: {error}. Stop what listens there, or set {setting}").into()
    })
}

async fn add_demo_account(
    users: &Users,
    passwords: &Passwords,
    clock: &Clock,
) -> Result<(), Failure> {
    let password = passwords
        .hash(DEMO_PASSWORD)
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

/// Reads the secrets anew on every SIGHUP. What cannot be read changes nothing.
fn reload_on_hangup(auth: &Auth, settings: &Settings, secrets: Secrets) -> Result<(), Failure> {
    let mut hangup = signal::on(SignalKind::hangup())?;
    let (auth, settings) = (auth.clone(), settings.clone());
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let verified = auth.tokens.verified();
            let read = secret::again(&settings, &secrets);
            match read.and_then(|secrets| {
                let failed = |error: SecretTooShort| Failure::from(error.to_string());
                auth.tokens.replace(&secrets).map_err(failed)
            }) {
                Ok(()) => info!(
                    ?verified,
                    "read the secrets anew; so many tokens each of the old ones verified"
                ),
                Err(failure) => error!(error = failure.message, "the secrets stay as they were"),
            }
        }
    });
    Ok(())
}

/// Does what is due from time to time, at a hundredth of a core at most.
fn keep_house(auth: &Auth) {
    const OFTEN: Duration = Duration::from_mins(10);
    let auth = auth.clone();
    tokio::spawn(async move {
        loop {
            let started = Instant::now();
            if let Err(error) = auth.keep_house().await {
                warn!(%error, "what is due from time to time was not done: unknown e-mails may be told by their time");
            }
            sleep((started.elapsed() * 100).max(OFTEN)).await;
        }
    });
}

/// Done on the first SIGTERM or SIGINT; on the second, the process ends at once.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let first = signal::stop()?;
    Ok(async move {
        first.await;
        let second = signal::stop();
        tokio::spawn(async move {
            let Ok(second) = second else { return };
            second.await;
            warn!("a second signal: ending at once");
            std::process::exit(1);
        });
    })
}
