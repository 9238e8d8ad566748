//! The command line. Exit codes: 0 done, 1 failed, 2 used wrongly, 130 interrupted.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};

use crate::config::{self, Environment, Settings};

mod database;
mod https;
mod import;
mod log;
mod migrate;
mod openapi;
mod password;
mod secret;
mod serve;
mod signal;
mod throttle;
mod trace;
mod user;
mod verify;

use trace::Traces;

/// Turns an e-mail and a password into a signed JWT, and refreshes it.
///
/// To try it out: `signet serve --demo`, then open <http://127.0.0.1:8000/docs/>.
/// To run it: `signet user add you@example.com`, then `signet serve`.
#[derive(Parser)]
#[command(name = "signet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and its documentation
    Serve(serve::Serve),
    /// Bring the database up to date, step back, or tell how it stands
    Migrate(migrate::Migrate),
    /// Print the OpenAPI document
    Openapi(openapi::Openapi),
    /// Add, show and change accounts
    #[command(subcommand)]
    User(user::User),
    /// Compare this service with the Django service that it replaces
    VerifyCompat(verify::VerifyCompat),
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
struct Failure {
    /// What happened, why, and what to do.
    message: String,
    code: u8,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 2,
        }
    }

    /// As shells tell SIGINT. Nothing is half done.
    fn interrupted() -> Self {
        Self {
            message: "interrupted: nothing was changed".to_owned(),
            code: 130,
        }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, code: 1 }
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            failure.code.into()
        }
    }
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let cli = Cli::from_arg_matches(matches).map_err(|error| Failure::usage(error.to_string()))?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| format!("cannot start the async runtime: {error}"))?;
    runtime.block_on(async {
        let environment = config::environment();
        let traces = match cli.command {
            Command::Serve(_) => Traces::wanted(&environment)?,
            _ => None,
        };
        let settings = read_settings(matches, &environment, traces.as_ref())?;
        match cli.command {
            Command::Serve(command) => {
                let served = command.run(settings).await;
                if let Some(traces) = traces {
                    traces.end().await;
                }
                served
            }
            Command::Migrate(command) => command.run(&settings).await,
            Command::User(command) => command.run(&settings).await,
            Command::VerifyCompat(command) => command.run().await,
            Command::Openapi(command) => command.run(&settings),
        }
    })
}

/// The commands, with a flag for every setting that is not secret.
fn command() -> clap::Command {
    let flags = config::settings()
        .into_iter()
        .filter(|setting| !setting.secret);
    Cli::command().args(flags.map(|setting| {
        let default = setting
            .default
            .as_ref()
            .map(|default| format!(" [default: {default}]"));
        let help = format!(
            "{} [env: {}]{}",
            setting.about,
            setting.variable(),
            default.unwrap_or_default()
        );
        Arg::new(setting.name.clone())
            .long(setting.flag())
            .value_name("VALUE")
            .value_hint(ValueHint::Other)
            .help(help)
            .help_heading("Settings")
            .global(true)
            .hide_short_help(true)
    }))
}

fn read_settings(
    matches: &ArgMatches,
    environment: &Environment,
    traces: Option<&Traces>,
) -> Result<Settings, Failure> {
    // A global flag is known to the subcommand in which it was given, and to all above it.
    let flags: BTreeMap<_, _> = config::settings()
        .into_iter()
        .filter(|setting| !setting.secret)
        .filter_map(|setting| {
            let value = matches.get_one::<String>(&setting.name)?.clone();
            Some((setting.name, value))
        })
        .collect();
    match config::read(environment, &flags) {
        Ok(read) => {
            log::init(&read.settings.log, traces)?;
            for name in read.unknown {
                tracing::warn!(name, "an unknown SIGNET_* variable is ignored");
            }
            Ok(read.settings)
        }
        Err(problems) => Err(Failure {
            code: if problems.iter().any(|problem| problem.flag) {
                2
            } else {
                1
            },
            message: lines(problems),
        }),
    }
}

/// Prints a line of what was asked for. A reader that has seen enough, such as `head`, is no failure.
fn print(line: impl fmt::Display) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("done, but cannot print: {error}").into())
        }
        _ => Ok(()),
    }
}

fn lines(items: impl IntoIterator<Item = impl fmt::Display>) -> String {
    let lines: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    lines.join("\nerror: ")
}
