//! The `signet` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// What hashes of many sizes leave behind goes back to the system: glibc keeps it, many times the budget.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    signet::cli::main()
}
