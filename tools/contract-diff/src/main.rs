//! `contract-diff RELEASED CURRENT` lists the changes of an OpenAPI 3.0 document since its release, breaking changes first. The exit code
//! is 1 after a breaking change without a new major version, and 2 if the documents cannot be compared.
//!
//! | file | content |
//! |---|---|
//! | [`report`] | the verdict on all changes |
//! | [`change`] | a change and its severity |
//! | [`operations`] | changes that drift finds: operations, parameters, bodies, statuses |
//! | [`rules`] | rules for the parts that drift does not compare |
//! | [`schema`] | rules for schemas |

use std::{env, fs, panic, process::ExitCode};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use report::Report;

mod change;
mod operations;
mod report;
mod rules;
mod schema;
#[cfg(test)]
mod sweep;

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(report.fails()))
        }
        Err(error) => {
            eprintln!("contract-diff: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: Vec<String>) -> Result<Report> {
    let [released, current] = <[String; 2]>::try_from(args)
        .map_err(|_| anyhow!("usage: contract-diff RELEASED CURRENT"))?;
    let (released, current) = (read(&released)?, read(&current)?);
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
