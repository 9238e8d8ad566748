//! `signet doctor`: checks the parts that the service depends on, and shows how to fix them.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal},
};

mod check;
mod database;
mod secrets;
mod system;

use check::{Check, Status};

use super::{
    error::CliError,
    output::{OutputArgs, Table, counted, print_json, write},
};
use crate::{config::LoadedConfig, text::printable};

#[derive(clap::Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    output: OutputArgs,
}

impl Doctor {
    /// Runs all checks. The checks only read.
    pub(super) async fn run(self, config: &LoadedConfig) -> Result<(), CliError> {
        let mut checks = vec![check_configuration(config)];
        checks.extend(database::run_checks(&config.settings).await);
        checks.extend(secrets::run_checks(config));
        checks.extend(system::run_checks(&config.settings).await);
        let failed = checks.iter().filter(|check| check.status == Status::Error);
        let failed = failed.count() as u64;
        if self.output.json {
            print_json(&checks)?;
        } else if io::stdout().is_terminal() {
            print_lines(&checks)?;
        } else {
            print_table(checks)?;
        }
        if failed > 0 {
            return Err(format!("{} failed", counted(failed, "check")).into());
        }
        Ok(())
    }
}

/// Prints a line with a symbol for each check, and a line for each hint.
fn print_lines(checks: &[Check]) -> Result<(), CliError> {
    let width = checks.iter().map(|check| check.name.len()).max();
    let width = width.unwrap_or_default();
    for Check {
        name,
        status,
        message,
        hint,
    } in checks
    {
        let (style, symbol) = (status.style(), status.symbol());
        let message = printable(message);
        let mut text = format!("{style}{symbol}{style:#} {name:width$}  {message}\n");
        if let Some(hint) = hint {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {:width$}  hint: {}", "", printable(hint));
        }
        if !write(&text)? {
            break;
        }
    }
    Ok(())
}

fn print_table(checks: Vec<Check>) -> Result<(), CliError> {
    let mut table = Table::new(["STATUS", "CHECK", "MESSAGE", "HINT"]);
    for check in checks {
        table.row([
            check.status.name().into(),
            check.name.into(),
            check.message,
            check.hint.unwrap_or_default(),
        ]);
    }
    table.print().map(drop)
}

fn check_configuration(config: &LoadedConfig) -> Check {
    let name = "configuration";
    let given = counted(config.sources.len() as u64, "setting");
    let message = match &config.file {
        Some(file) => format!("{given}, file {}", file.display()),
        None => format!("{given}, no file"),
    };
    if config.unknown_variables.is_empty() {
        return Check::ok(name, message);
    }
    let unknown = config.unknown_variables.join(", ");
    let message = format!("{message}; unknown variables: {unknown}");
    Check::warning(name, message).hint("`signet config show` lists the settings")
}
