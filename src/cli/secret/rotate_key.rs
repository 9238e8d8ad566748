//! `signet secret rotate` with ES256: adds a private key, which signs after its publication.

use std::fs;

use serde_json::json;

use super::{
    load::{load_keys, no_key},
    status::{signs_from, text},
    targets::{lock_folder_of, resolve, unreadable},
    write::{self, RELOAD, unwritable},
};
use crate::{
    accounts::{Access, DatabaseUrl},
    auth::{Clock, PrivateKey, SIGNING_DELAY, ServingReplicas},
    cli::{
        database,
        error::CliError,
        output::{OutputArgs, confirm, print_json},
    },
    config::Settings,
};

/// Writes a new key before the newest key. Older keys sign no tokens, so they are removed. Their public keys stay published until their last
/// token has expired.
pub(super) async fn rotate_key(settings: &Settings, output: OutputArgs) -> Result<(), CliError> {
    let path = resolve(settings.jwt_keys_file.clone().ok_or_else(no_key)?)?;
    let _lock = lock_folder_of(&path)?;
    let keys = load_keys(settings)?;
    // A file that was parsed has a key.
    let newest = &keys[0];
    check_newest_signs(settings, newest).await?;
    let new = PrivateKey::generate();
    let kid = &new.public.kid;
    let model = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
    let contents = [new.to_pem(), newest.to_pem()].concat();
    write::replace(&path, contents.as_bytes(), &model)
        .map_err(|error| unwritable(&path, &error))?;
    if output.json {
        return print_json(json!({
            "action": "rotated",
            "keys_file": path.to_string_lossy(),
            "kid": kid,
        }));
    }
    let minutes = SIGNING_DELAY / 60;
    let has_replicas = matches!(database::location(settings)?, DatabaseUrl::Postgres(_));
    let copy = format!("copy {} to every replica", path.display());
    let reload = if has_replicas {
        format!("on every replica, {RELOAD}")
    } else {
        RELOAD.to_owned()
    };
    let wait = format!(
        "the new key signs {minutes} minutes after the last live replica begins to serve it; until then, the old key signs"
    );
    confirm(format!("added the key {kid} to {}", path.display()))?;
    let steps = has_replicas.then_some(copy).into_iter().chain([reload]);
    (1..)
        .zip(steps)
        .try_for_each(|(number, step)| confirm(format!("next step {number}: {step}")))?;
    confirm(wait)
}

/// Rejects a rotation while an older key may still sign, because the rotation would remove the older key.
async fn check_newest_signs(settings: &Settings, newest: &PrivateKey) -> Result<(), CliError> {
    let accounts = database::open_accounts(settings, Access::Read).await?;
    let published = accounts.published_keys().await;
    let published = published.map_err(CliError::database)?;
    let served = accounts.served_keys().await;
    let served = served.map_err(CliError::database)?;
    let kid = &newest.public.kid;
    let now = Clock::system().now();
    let minutes = SIGNING_DELAY / 60;
    let row = published.iter().find(|row| row.kid == *kid);
    let replicas = row.map(|row| ServingReplicas::new(row, &served, now.unix_timestamp()));
    let (fault, remedy) = match replicas.map(signs_from) {
        Some(Some(from)) if from <= now => return Ok(()),
        Some(Some(from)) => (
            format!("may be unknown to verifiers until {}", text(from)),
            "run the command again at that time".to_owned(),
        ),
        Some(None) => (
            "is not served by every live replica".to_owned(),
            format!(
                "`signet secret status` counts these replicas; run the command again {minutes} minutes after all of them serve the key"
            ),
        ),
        None => (
            "is not published".to_owned(),
            format!(
                "reload the service, which publishes the key, and run the command again after {minutes} minutes; if the key is revoked, write only a new key to the file"
            ),
        ),
    };
    Err(CliError::from(format!("the newest key {kid} {fault}"))
        .state("nothing was changed")
        .hint(remedy))
}
