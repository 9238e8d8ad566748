//! `signet secret status`

use std::{
    fmt,
    path::{Path, PathBuf},
};

use http_body_util::Full;
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{files, load::peek};
use crate::{
    accounts::{Access, ServedKey, SigningKey},
    auth::{Clock, Secrets, ServingReplicas},
    cli::{
        database,
        error::CliError,
        http_client::fetch,
        output::{OutputArgs, Table, counted, note, print_json},
    },
    config::{Listen, Settings},
};

/// Time limit for the metrics of the running service, in seconds.
const METRICS_TIMEOUT: u64 = 3;
const MAX_METRICS_BYTES: usize = 4 << 20;
const METRIC: &str = "signet_secret_verifications_total";

#[derive(clap::Args)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    output: OutputArgs,
}

/// The facts about a secret that may be shown.
struct Row {
    /// The label of the metric: `current`, `previous 1`, or the ID of a key.
    name: String,
    file: Option<PathBuf>,
    changed: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
    /// The replicas that serve a key to verifiers. Only for published keys of the key file.
    replicas: Option<ServingReplicas>,
    verified: Option<u64>,
}

impl Status {
    pub(super) async fn run(&self, settings: &Settings) -> Result<(), CliError> {
        let secrets = peek(settings)?.ok_or_else(|| {
            CliError::from("no secret yet").hint("`signet serve` creates the first secret")
        })?;
        let current = files::current(settings)?.into_path();
        let previous = files::previous(settings)?.into_path();
        let metrics = metrics(settings).await.and_then(|metrics| {
            let loaded = metrics
                .matches(&format!("{METRIC}{{secret=\"previous"))
                .count();
            let has_keys = secrets
                .keys
                .iter()
                .all(|key| metrics.contains(&key.public.kid));
            if loaded == secrets.previous.len() && has_keys {
                Ok(metrics)
            } else {
                Err(
                    "the service has not loaded these files yet; send SIGHUP to the service"
                        .to_owned(),
                )
            }
        });
        let row = |name: String, file: Option<PathBuf>, until| Row {
            verified: metrics.as_ref().ok().and_then(|text| verified(text, &name)),
            changed: file.as_deref().and_then(changed),
            name,
            file,
            until,
            replicas: None,
        };
        let mut rows = Vec::new();
        if secrets.current.is_some() {
            rows.push(row("current".to_owned(), current, None));
        }
        for (number, secret) in (1..).zip(&secrets.previous) {
            let name = format!("previous {number}");
            rows.push(row(name, previous.clone(), secret.until));
        }
        let now = Clock::system().now();
        let (published, served) = published_keys(settings, &secrets).await;
        for key in &secrets.keys {
            let kid = &key.public.kid;
            let published = published.iter().find(|published| published.kid == *kid);
            rows.push(Row {
                replicas: published
                    .map(|key| ServingReplicas::new(key, &served, now.unix_timestamp())),
                ..row(kid.clone(), settings.jwt_keys_file.clone(), None)
            });
        }
        let is_loaded = |kid: &String| secrets.keys.iter().any(|key| key.public.kid == *kid);
        for key in published {
            if !is_loaded(&key.kid) && now.unix_timestamp() <= key.published_until {
                let until = OffsetDateTime::from_unix_timestamp(key.published_until).ok();
                rows.push(row(key.kid, None, until));
            }
        }
        self.print(&rows, metrics.err(), now)
    }

    /// Prints the rows, and the reason why the numbers of verified tokens are unknown.
    fn print(
        &self,
        rows: &[Row],
        reason: Option<String>,
        now: OffsetDateTime,
    ) -> Result<(), CliError> {
        if self.output.json {
            return print_json(json!({
                "secrets": rows.iter().map(Row::json).collect::<Vec<_>>(),
                "verified_unknown": reason,
            }));
        }
        let mut table = Table::new(["SECRET", "FILE", "CHANGED", "ACCEPTED UNTIL", "VERIFIED"]);
        for row in rows {
            table.row([
                row.name.clone(),
                row.file
                    .as_ref()
                    .map_or_else(String::new, |file| file.display().to_string()),
                row.changed
                    .map_or_else(String::new, |changed| format!("{} ago", age(now - changed))),
                row.until.map(text).unwrap_or_default(),
                row.verified
                    .map_or_else(String::new, |verified| verified.to_string()),
            ]);
        }
        table.print()?;
        if let Some(reason) = reason {
            note(format!(
                "the number of verified tokens is unknown: {reason}"
            ));
        }
        for row in rows {
            let Some(replicas) = row.replicas else {
                continue;
            };
            let name = &row.name;
            let state = match signs_from(replicas) {
                Some(from) if from <= now => format!("may sign since {}", text(from)),
                Some(from) => format!("may sign from {}", text(from)),
                None => "waits for the remaining replicas".to_owned(),
            };
            let (serving, live) = (replicas.serving, replicas.live);
            note(format!(
                "the key {name} {state}; {serving} of {live} live replicas serve the key"
            ));
        }
        Ok(())
    }
}

impl Row {
    fn json(&self) -> serde_json::Value {
        let mut row = json!({
            "secret": self.name,
            "file": self.file.as_ref().map(|file| file.to_string_lossy()),
            "changed": self.changed.map(text),
            "until": self.until.map(text),
            "verified": self.verified,
        });
        if let Some(replicas) = self.replicas {
            row["signs_from"] = signs_from(replicas).map(text).into();
            row["live_replicas"] = replicas.live.into();
            row["serving_replicas"] = replicas.serving.into();
        }
        row
    }
}

/// Returns the published keys, and the keys that replicas serve. Returns no keys if the database does not answer.
async fn published_keys(
    settings: &Settings,
    secrets: &Secrets,
) -> (Vec<SigningKey>, Vec<ServedKey>) {
    if secrets.keys.is_empty() {
        return Default::default();
    }
    let Ok(accounts) = database::open_accounts(settings, Access::Read).await else {
        return Default::default();
    };
    match (
        accounts.published_keys().await,
        accounts.served_keys().await,
    ) {
        (Ok(published), Ok(served)) => (published, served),
        _ => Default::default(),
    }
}

/// Returns when a key may sign. Returns `None` while a live replica does not serve the key.
pub(super) fn signs_from(replicas: ServingReplicas) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(replicas.signs_from?).ok()
}

/// Returns the time of the last change of a file.
fn changed(path: &Path) -> Option<OffsetDateTime> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    Some(modified.into())
}

pub(super) fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// Formats an age in the largest unit, such as `3 days`.
fn age(age: time::Duration) -> String {
    let (count, unit) = match age.whole_seconds() {
        seconds @ ..60 => (seconds, "second"),
        seconds @ 60..3600 => (seconds / 60, "minute"),
        seconds @ 3600..86_400 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    counted(u64::try_from(count).unwrap_or_default(), unit)
}

/// Returns the metrics of the running service, or the reason why they are unknown.
async fn metrics(settings: &Settings) -> Result<String, String> {
    let listen = settings
        .admin_listen
        .as_ref()
        .ok_or("SIGNET_ADMIN_LISTEN is not set")?;
    let Listen::Tcp(address) = listen else {
        return Err(format!("{listen} is not an address and port"));
    };
    let url = format!("http://{address}/metrics");
    let failed = |error: &dyn fmt::Display| format!("{url} did not respond: {error}");
    let request = Request::get(&url).body(Full::<Bytes>::default());
    let request = request.map_err(|error| failed(&error))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = fetch(&client, request, MAX_METRICS_BYTES, METRICS_TIMEOUT)
        .await
        .map_err(|error| failed(&error))?;
    Ok(String::from_utf8_lossy(response.body()).into_owned())
}

/// Returns the value of the metric for a secret.
fn verified(metrics: &str, name: &str) -> Option<u64> {
    let start = format!("{METRIC}{{secret=\"{name}\"}} ");
    let mut lines = metrics.lines();
    lines.find_map(|line| line.strip_prefix(&start)?.parse().ok())
}
