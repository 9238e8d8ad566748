//! `signet doctor`: checks the parts that the service depends on, and says how to fix them.

mod check;
mod database;
mod secrets;
mod system;

use check::{Check, Verdict};

use super::{
    error::CliError,
    output::{print, print_json},
};
use crate::config::LoadedConfig;

#[derive(clap::Args)]
pub(super) struct Doctor {
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Runs all checks. The checks only read.
    pub(super) async fn run(self, config: &LoadedConfig) -> Result<(), CliError> {
        let mut checks = vec![check_configuration(config)];
        checks.extend(database::run_checks(&config.settings).await);
        checks.extend(secrets::run_checks(config));
        checks.extend(system::run_checks(&config.settings).await);
        for check in &checks {
            if self.json {
                print_json(serde_json::json!({
                    "verdict": check.verdict.to_string(),
                    "subject": check.subject,
                    "said": check.message,
                }))?;
            } else {
                print(check)?;
            }
        }
        let is_bad = |check: &&Check| check.verdict == Verdict::Bad;
        match checks.iter().filter(is_bad).count() {
            0 => Ok(()),
            1 => Err("the service cannot work like this: see the line that says `bad`".into()),
            bad => Err(format!(
                "the service cannot work like this: see the {bad} lines that say `bad`"
            )
            .into()),
        }
    }
}

fn check_configuration(config: &LoadedConfig) -> Check {
    let given = config.sources.len();
    let message = match &config.file {
        Some(file) => format!("{given} settings are given; the file is {}", file.display()),
        None => format!("{given} settings are given, and there is no file"),
    };
    if config.unknown_variables.is_empty() {
        return Check::good("configuration", message);
    }
    let unknown = config.unknown_variables.join(", ");
    Check::doubtful(
        "configuration",
        format!("{message}; no settings are {unknown}"),
    )
}
