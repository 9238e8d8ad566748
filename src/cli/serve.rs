//! `signet serve`

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

mod listen;
mod operators;
mod reload;
mod systemd;

pub(super) use listen::Inherited;

use super::{database, error::CliError, log, prepared::Prepared, secret, signal};
use crate::{
    accounts::{Limits, NewUser, Users},
    auth::{AuthMetrics, AuthService, AuthState, Clock, PasswordHasher, Tokens},
    config::{DatabaseUrl, Settings},
    http::{AdminApi, AppConfig, BuiltApp, build_app},
    server::{self, ConnectionLimits},
};
use listen::Bound;
use operators::Operators;
use reload::Reloaded;

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
    pub(super) async fn run(
        self,
        settings: Settings,
        mut sockets: Inherited,
    ) -> Result<(), CliError> {
        let lost_lines = log::start_writer_thread()?;
        let settings = if self.demo {
            of_demo(settings)?
        } else {
            settings
        };
        let Prepared {
            passwords,
            secrets,
            certificate,
        } = Prepared::of(&settings)?;
        let mut bind =
            |listen, setting| Bound::new(listen, settings.socket_mode, &mut sockets, setting);
        let bound = bind(&settings.listen, "SIGNET_LISTEN")?;
        let admin = AdminApi::default();
        let operators = match &settings.admin_listen {
            Some(listen) => {
                let bound = bind(listen, "SIGNET_ADMIN_LISTEN")?;
                let limits = settings.connection_limits().for_admin();
                Some(Operators::serve(bound, &admin, limits)?)
            }
            None => None,
        };
        sockets.warn_of_unused();
        let users = self.users(&settings).await?;
        let clock = Clock::system();
        if self.demo {
            add_demo_account(&users, &passwords, &clock).await?;
        }
        let secrets = match secrets {
            Some(secrets) => secrets,
            None => secret::generated(&settings)?,
        };
        let tokens = Tokens::new(&secrets, settings.token_lifetimes());
        let tokens = tokens.map_err(|error| error.to_string())?;
        let auth = AuthService::from(AuthState {
            users,
            passwords,
            tokens,
            rate_limiter: settings.throttle(),
            audit: settings.audit(),
            metrics: AuthMetrics::default(),
            clock,
        });
        let stop = stop_signal()?;
        let limits = limits_within_files(&settings);
        let delay = settings.stop_delay.duration();
        let options = AppConfig {
            certificate_expiry: certificate.as_ref().map(|it| it.expiry.clone()),
            lost_lines,
            ..settings.app_config()
        };
        let reloaded = Reloaded {
            auth: auth.clone(),
            settings,
            secrets,
            certificate: certificate.clone(),
        };
        reloaded.on_hangup()?;
        let BuiltApp { app, shutdown } = build_app(&auth, options, &admin);
        let (listener, file) = bound.listen()?;
        let place = listener.display_addr();
        let admin = operators.as_ref().map(|operators| operators.place.as_str());
        let scheme = if certificate.is_some() {
            "https"
        } else {
            "http"
        };
        let docs = (!place.starts_with("unix:")).then(|| format!("{scheme}://{place}/docs/"));
        info!(address = place, admin, docs, "listening");
        if self.demo {
            warn!(
                email = DEMO_EMAIL,
                "a demo: the account's password is public, and all of it is gone when this ends"
            );
        }
        if let Some(certificate) = &certificate {
            certificate.watch();
        }
        run_maintenance(&auth);
        let stop = async {
            stop.await;
            systemd::stopping(delay + limits.shutdown_timeout);
            shutdown.set();
            sleep(delay).await;
        };
        systemd::ready();
        systemd::keep_alive();
        let tls = certificate.map(|certificate| certificate.tls);
        server::serve(listener.with_tls(tls), app, limits, stop).await;
        drop(file);
        if let Some(operators) = operators {
            operators.end().await;
        }
        auth.users.close().await;
        info!(verified = ?auth.tokens.verified(), "stopped; so many tokens each secret verified, the current one first");
        Ok(())
    }

    async fn users(&self, settings: &Settings) -> Result<Users, CliError> {
        let limits = Limits {
            hurried: true,
            ..settings.database_limits()
        };
        if self.no_migrate {
            database::users_of_current(settings, limits).await
        } else {
            database::users(settings, limits).await
        }
    }
}

/// The same settings, for a database in memory and nobody but this machine.
fn of_demo(settings: Settings) -> Result<Settings, CliError> {
    if !settings.listen.is_local() {
        return Err(CliError::usage(format!(
            "--demo does not listen on {}: its password is public. Take a loopback address, such as 127.0.0.1:8000",
            settings.listen
        )));
    }
    Ok(Settings {
        database_url: DatabaseUrl("sqlite::memory:".to_owned()),
        ..settings
    })
}

/// The limits of connections, with a warning if this process may open too few files for them.
fn limits_within_files(settings: &Settings) -> ConnectionLimits {
    let wanted = settings.connection_limits();
    let limits = wanted.capped_by_nofile();
    if limits.connections < wanted.connections {
        warn!(
            connections = limits.connections,
            configured = wanted.connections,
            "too few file descriptors for the configured connections; raise LimitNOFILE or `ulimit -n`, or lower SIGNET_CONNECTIONS"
        );
    }
    limits
}

async fn add_demo_account(
    users: &Users,
    passwords: &PasswordHasher,
    clock: &Clock,
) -> Result<(), CliError> {
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

/// Does what is due from time to time, at a hundredth of a core at most.
fn run_maintenance(auth: &AuthService) {
    const OFTEN: Duration = Duration::from_mins(10);
    let auth = auth.clone();
    tokio::spawn(async move {
        loop {
            let started = Instant::now();
            if let Err(error) = auth.run_maintenance().await {
                warn!(%error, "maintenance failed; response times may reveal whether an account exists");
            }
            sleep((started.elapsed() * 100).max(OFTEN)).await;
        }
    });
}

/// Done on the first SIGTERM or SIGINT; on the second, the process ends at once.
fn stop_signal() -> Result<impl Future<Output = ()>, CliError> {
    let first = signal::stop()?;
    Ok(async move {
        first.await;
        let second = signal::stop();
        tokio::spawn(async move {
            let Ok(second) = second else { return };
            second.await;
            warn!("a second signal: ending at once");
            log::flush();
            std::process::exit(1);
        });
    })
}
