//! The log, on standard error: text on a terminal, JSON otherwise.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::Failure;

/// Starts logging what `filter` lets through; a panic is logged like everything else.
pub(super) fn init(filter: &str) -> Result<(), Failure> {
    // A bare word that is no level would be taken for a module, and silence all others.
    let is_known = |directive: &str| {
        directive.contains('=') || directive.trim().parse::<LevelFilter>().is_ok()
    };
    if !filter.split(',').all(is_known) {
        return Err(format!(
            "SIGNET_LOG cannot be {filter:?}: write a level (error, warn, info, debug, trace, off), or target=level"
        )
        .into());
    }
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        format!("SIGNET_LOG cannot be {filter:?}: {error}; write a level, such as info")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    if io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).with_span_list(false).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(tracing::field::display);
        // Not its message: that may hold what was being worked on.
        tracing::error!(location, "a panic: this is a bug");
    }));
    Ok(())
}
