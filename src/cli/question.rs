//! Questions on a terminal.

use std::io::{self, IsTerminal};

use super::{error::CliError, output::print_error};

/// Asks a question, and returns an error unless the answer is yes. The error ends with the state.
pub(super) fn ask(question: &str, state: &str) -> Result<(), CliError> {
    if !io::stdin().is_terminal() {
        let error = CliError::from("cannot ask for confirmation without a terminal");
        return Err(error.hint("confirm with --yes"));
    }
    print_error(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| format!("cannot read the answer: {error}"))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(format!("canceled; {state}").into())
}
