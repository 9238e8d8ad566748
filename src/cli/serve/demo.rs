//! The demo: the documented account in a database in memory.

use std::iter;

use crate::{
    accounts::{AccountStore, NewAccount},
    auth::{Clock, PasswordHasher},
    cli::error::CliError,
    config::{DatabaseUrl, Settings},
};

pub(super) const EMAIL: &str = "jonhdoeqa@email.com";
const PASSWORD: &str = "1234ABCD";

/// Returns the settings with a database in memory. The password is public, so only a loopback address is allowed.
pub(super) fn demo_settings(settings: Settings) -> Result<Settings, CliError> {
    let mut addresses = iter::once(&settings.listen).chain(&settings.admin_listen);
    if let Some(address) = addresses.find(|address| !address.is_local()) {
        return Err(CliError::usage(format!(
            "--demo cannot listen on {address}: its password is public, so only loopback addresses are allowed"
        ))
        .hint("use 127.0.0.1:8000"));
    }
    Ok(Settings {
        database_url: DatabaseUrl("sqlite::memory:".to_owned()),
        ..settings
    })
}

/// Returns four lines that show how to use the demo.
pub(super) fn banner(url: &str) -> String {
    format!(
        "Swagger UI: {url}/docs/\n\
         Account:    {EMAIL}, password {PASSWORD}\n\
         Log in:     curl {url}/v1/auth/jwt/obtain/ -H 'Content-Type: application/json' \
         -d '{{\"email\": \"{EMAIL}\", \"password\": \"{PASSWORD}\"}}'\n\
         Stop:       Ctrl-C"
    )
}

/// Adds the documented account.
pub(super) async fn add_account(
    accounts: &AccountStore,
    passwords: &PasswordHasher,
    clock: &Clock,
) -> Result<(), CliError> {
    let password = passwords
        .hash(PASSWORD)
        .await
        .map_err(|error| error.to_string())?;
    let account = NewAccount {
        id: Some(1),
        email: EMAIL.to_owned(),
        password: Some(password),
    };
    accounts
        .add(account, clock.now())
        .await
        .map_err(|error| error.to_string())?;
    Ok(())
}
