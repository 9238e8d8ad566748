//! `contract-diff RELEASED CURRENT` tells what changed in an OpenAPI 3.0 document since its release,
//! breaking changes first. It ends with 1 on a breaking change unless the major version rises, and with
//! 2 where it could not compare.
//!
//! | file | what is in it |
//! |---|---|
//! | [`report`] | the verdict on the whole, in words |
//! | [`change`] | one change, and how grave it is |
//! | [`operations`] | what drift says: operations, parameters, bodies, statuses |
//! | [`rules`] | what drift does not look at |
//! | [`schema`] | what drift sees of schemas, but leaves open |

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
    // drift ends some documents that it cannot compare with a panic.
    panic::catch_unwind(|| Report::of(&released, &current)).unwrap_or_else(|_| {
        Err(anyhow!(
            "the documents cannot be compared: drift gave up, as told above"
        ))
    })
}

fn read(path: &str) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    serde_json::from_str(&text).with_context(|| format!("{path} is not JSON"))
}
