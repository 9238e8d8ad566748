//! `contract-diff RELEASED CURRENT` lists the changes of an OpenAPI 3.0 document since its release, breaking changes first. The exit code
//! is 1 after a breaking change without a new major version, and 2 if the documents cannot be compared. With `--format markdown` as the
//! first arguments, the list is a comment for a pull request.
//!
//! | file | content |
//! |---|---|
//! | [`report`] | the verdict on all changes |
//! | [`markdown`] | the verdict as a comment of a pull request |
//! | [`change`] | a change and its severity |
//! | [`users`] | the operations that a change affects |
//! | [`operations`] | changes that drift finds: operations, parameters, bodies, statuses |
//! | [`rules`] | rules for the parts that drift does not compare |
//! | [`schema`] | rules for schemas |

use std::{env, fs, panic, path::Path, process::ExitCode};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use markdown::Comment;
use report::Report;

mod change;
mod markdown;
mod operations;
mod report;
mod rules;
mod schema;
#[cfg(test)]
mod sweep;
mod users;

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok((text, code)) => {
            print!("{text}");
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("contract-diff: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Returns the output and the exit code.
fn run(args: &[String]) -> Result<(String, u8)> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let (markdown, released, current) = match args[..] {
        ["--format", "markdown", released, current] => (true, released, current),
        ["--format", "text", released, current] | [released, current] => (false, released, current),
        _ => bail!("usage: contract-diff [--format text|markdown] RELEASED CURRENT"),
    };
    let report = compare(released, current)?;
    let text = if markdown {
        let name = Path::new(current).file_name().unwrap_or_default();
        Comment(&report, &name.to_string_lossy()).to_string()
    } else {
        report.to_string()
    };
    Ok((text, u8::from(report.fails())))
}

fn compare(released: &str, current: &str) -> Result<Report> {
    let (released, current) = (read(released)?, read(current)?);
    // drift panics on some documents.
    panic::catch_unwind(|| Report::of(&released, &current)).unwrap_or_else(|_| {
        Err(anyhow!(
            "the documents cannot be compared: drift panicked, see the message above"
        ))
    })
}

fn read(path: &str) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    serde_json::from_str(&text).with_context(|| format!("{path} is not JSON"))
}
