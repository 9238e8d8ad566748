//! The `signet` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Returns the memory of password hashes to the system. glibc retains such memory, up to many times the limit of the hash pool.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    signet::cli::main()
}
