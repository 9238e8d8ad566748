//! `signet serve`

use std::fs::File;

use tokio::{task::JoinHandle, time::sleep};
use tracing::{info, warn};

mod activation;
mod admin;
mod demo;
mod limits;
mod listen;
mod maintenance;
mod reload;
mod shutdown;
mod socket_file;
mod systemd;

pub(super) use activation::ActivationSockets;

use super::{database, error::CliError, log, output::confirm, secret, serve_context::ServeContext};
use crate::{
    accounts::{self, AccountStore, DatabaseError, Limits},
    auth::{AuthMetrics, AuthService, AuthState, Clock, PasswordHasher, Secrets, Tokens},
    config::Settings,
    http::{AdminApi, AppConfig, BuiltApp, build_app},
    server,
};
use admin::AdminServer;
use listen::BoundSocket;
use reload::Reloader;

#[derive(clap::Args)]
pub(super) struct Serve {
    /// Start with a temporary database and a demo account, and print how to log in. Accepts only loopback addresses
    #[arg(long)]
    demo: bool,
    /// Fail if migrations are pending, instead of applying them
    #[arg(long, conflicts_with = "demo")]
    no_migrate: bool,
}

/// The remedy if every key is revoked.
const REVOKED_HINT: &str = "write only a new key to the file: `signet secret generate --algorithm es256` prints a key; then send SIGHUP to \
     every replica, or start the service";

impl Serve {
    pub(super) async fn run(
        self,
        settings: Settings,
        mut sockets: ActivationSockets,
    ) -> Result<(), CliError> {
        let lost_lines = log::start_writer_thread()?;
        let settings = self.effective_settings(settings)?;
        let context = ServeContext::load(&settings)?;
        let admin = AdminApi::default();
        // If an address is in use, the command fails before it creates a database or a secret.
        let (socket, admin_server) = bind_sockets(&settings, &mut sockets, &admin)?;
        let auth = self.open_auth(&settings, context.passwords, context.secrets);
        let (auth, secrets) = auth.await?;
        let stop = shutdown::stop_signal()?;
        let limits = limits::capped_limits(&settings);
        let stop_delay = settings.stop_delay.duration();
        let certificate = context.certificate;
        let config = AppConfig {
            certificate_expiry: certificate.as_ref().map(|it| it.expiry.clone()),
            lost_lines,
            ..settings.app_config()
        };
        let reloader = Reloader {
            auth: auth.clone(),
            settings,
            secrets,
            certificate: certificate.clone(),
        };
        if !self.stops_with_its_terminal() {
            reloader.spawn_sighup_handler()?;
        }
        let BuiltApp { app, shutdown } = build_app(&auth, config, &admin);
        // Until the service can answer, the kernel refuses connections, so that clients do not wait.
        let (listener, socket_file) = socket.listen()?;
        let admin_addr = admin_server.as_ref().map(|server| server.addr.as_str());
        self.report_listening(&listener.display_addr(), admin_addr, certificate.is_some())?;
        certificate
            .as_ref()
            .inspect(|certificate| certificate.watch());
        let maintenance = maintenance::spawn_maintenance(&auth);
        let stop = async {
            stop.await;
            systemd::stopping(stop_delay + limits.shutdown_timeout);
            shutdown.set();
            sleep(stop_delay).await;
        };
        systemd::ready();
        systemd::spawn_watchdog();
        let tls = certificate.map(|certificate| certificate.tls);
        server::serve(listener.with_tls(tls), app, limits, stop).await;
        drop(socket_file);
        if let Some(admin_server) = admin_server {
            admin_server.stop().await;
        }
        close(&auth, maintenance).await;
        Ok(())
    }

    fn effective_settings(&self, settings: Settings) -> Result<Settings, CliError> {
        if self.demo {
            demo::demo_settings(settings)
        } else {
            Ok(settings)
        }
    }

    /// The terminal of a demo sends SIGHUP when it is closed. The default action of the signal stops the demo.
    fn stops_with_its_terminal(&self) -> bool {
        self.demo && File::open("/dev/tty").is_ok()
    }

    /// Opens the database and prepares obtain and refresh. Returns the secrets as well, for reloads.
    async fn open_auth(
        &self,
        settings: &Settings,
        passwords: PasswordHasher,
        secrets: Option<Secrets>,
    ) -> Result<(AuthService, Secrets), CliError> {
        let accounts = self.open_accounts(settings).await?;
        let clock = Clock::system();
        if self.demo {
            demo::add_account(&accounts, &passwords, &clock).await?;
        }
        let secrets = match secrets {
            Some(secrets) => secrets,
            None => secret::generated(settings)?,
        };
        let tokens =
            Tokens::new(&secrets, settings.token_lifetimes()).map_err(|error| error.to_string())?;
        let auth = AuthService::from(AuthState {
            accounts,
            passwords,
            tokens: tokens.with_issuer(settings.issuer()),
            rate_limiter: settings.throttle(),
            audit: settings.audit(),
            metrics: AuthMetrics::default(),
            clock,
        });
        let published = auth.start_publication().await;
        published.map_err(unpublished)?;
        if auth.tokens.signs_with_revoked_key() {
            return Err(revoked());
        }
        Ok((auth, secrets))
    }

    async fn open_accounts(&self, settings: &Settings) -> Result<AccountStore, CliError> {
        let limits = Limits {
            enforce_statement_timeout: true,
            ..settings.database_limits()
        };
        if let Some(host) = accounts::host_without_tls(settings.database_url.as_str()) {
            let hint = database::TLS_HINT;
            warn!(host, hint, "the connection to the database may have no TLS");
        }
        if self.no_migrate {
            database::open_migrated(settings, limits).await
        } else {
            database::open_for_service(settings, limits).await
        }
    }

    fn report_listening(
        &self,
        address: &str,
        admin: Option<&str>,
        is_https: bool,
    ) -> Result<(), CliError> {
        let scheme = if is_https { "https" } else { "http" };
        let url = (!address.starts_with("unix:")).then(|| format!("{scheme}://{address}"));
        let docs = url.as_ref().map(|url| format!("{url}/docs/"));
        info!(address, admin, docs, "listening");
        if !self.demo {
            return Ok(());
        }
        warn!(
            email = demo::EMAIL,
            "demo: the password is public, and all data is lost when the service stops"
        );
        url.map_or(Ok(()), |url| confirm(demo::banner(&url)))
    }
}

/// Stops the maintenance, and closes the database.
async fn close(auth: &AuthService, maintenance: JoinHandle<()>) {
    // Maintenance would fail when the database is closed, and log an error.
    maintenance.abort();
    let _ = maintenance.await;
    auth.accounts.close().await;
    info!(verified = ?auth.tokens.verified_counts(), "stopped");
}

fn unpublished(error: DatabaseError) -> CliError {
    CliError::database(error).in_context("cannot publish the keys or the issuer")
}

/// Returns the error of a service whose tokens no service would accept.
fn revoked() -> CliError {
    CliError::from("every key in SIGNET_JWT_KEYS_FILE is revoked").hint(REVOKED_HINT)
}

/// Binds both addresses, and starts the admin server if it has an address.
fn bind_sockets(
    settings: &Settings,
    sockets: &mut ActivationSockets,
    admin: &AdminApi,
) -> Result<(BoundSocket, Option<AdminServer>), CliError> {
    let mut bind =
        |listen, setting| BoundSocket::bind(listen, settings.socket_mode, sockets, setting);
    let socket = bind(&settings.listen, "SIGNET_LISTEN")?;
    let admin_server = match &settings.admin_listen {
        Some(listen) => {
            let socket = bind(listen, "SIGNET_ADMIN_LISTEN")?;
            let limits = settings.connection_limits().for_admin();
            Some(AdminServer::start(socket, admin, limits)?)
        }
        None => None,
    };
    sockets.warn_of_unused();
    Ok((socket, admin_server))
}
