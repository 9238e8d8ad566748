//! Baselines for `make bench`.
//!
//! | command | function |
//! |---|---|
//! | `echo FRAMEWORK ADDRESS` | serves an echo on `hyper` or `poem` |
//! | `argon2 THREADS SECONDS KIB ITERATIONS` | prints the rate of bare Argon2, in hashes per second |

use std::error::Error;

use tikv_jemallocator::Jemalloc;

mod echo;
mod hashing;

/// The allocator of Signet, so that it makes no difference between the two.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["echo", framework, address] => echo::serve(framework, address.parse()?),
        ["argon2", threads, seconds, kib, iterations] => {
            let params = hashing::params(kib.parse()?, iterations.parse()?)?;
            let rate = hashing::rate(&params, threads.parse()?, seconds.parse()?);
            println!("{rate:.2}");
            Ok(())
        }
        _ => Err("unknown command; bench/src/main.rs lists the commands".into()),
    }
}
