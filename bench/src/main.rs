//! What `make bench` measures Signet against, and how it draws the outcome.
//!
//! | command | what it does |
//! |---|---|
//! | `echo KIND ADDRESS NANOSECONDS` | serves an echo on `hyper`, `poem` or `poem-openapi`, until it is killed; that on `hyper` is at work for so long with each request |
//! | `argon2 THREADS SECONDS KIB PASSES` | hashes passwords at that cost and nothing else, and prints how many a second |
//! | `pauses SECONDS` | looks at the clock, and prints for how many milliseconds it was stopped each time |
//! | `chart FILE` | draws bars, from lines `label<TAB>value` on standard input, as SVG |

use std::{error::Error, process::ExitCode, time::Duration};

use tikv_jemallocator::Jemalloc;

mod chart;
mod echo;
mod hashing;
mod pauses;

/// As Signet has it: what is measured against it is not to differ by that.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    match arguments {
        ["echo", kind, address, nanoseconds] => {
            let work = Duration::from_nanos(nanoseconds.parse()?);
            echo::serve(kind, address.parse()?, work)
        }
        ["argon2", threads, seconds, kib, passes] => {
            let cost = hashing::cost(kib.parse()?, passes.parse()?)?;
            println!(
                "{:.2}",
                hashing::rate(&cost, threads.parse()?, seconds.parse()?)
            );
            Ok(())
        }
        ["pauses", seconds] => {
            for pause in pauses::pauses(seconds.parse()?) {
                println!("{pause:.2}");
            }
            Ok(())
        }
        ["chart", file] => chart::draw(file.as_ref()),
        _ => Err("use it as the table at the top of its main.rs says".into()),
    }
}
