//! Passwords on the command line: from a prompt or from standard input, never from an argument.

use std::{
    fs::File,
    io::{self, BufRead},
    pin::pin,
    thread,
};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use super::{error::CliError, output::print_error, signal};
use crate::{
    accounts::{PasswordHash, email},
    auth::{PasswordHasher, policy},
    config::Settings,
};

/// The arguments that give a password.
#[derive(clap::Args)]
pub(super) struct PasswordArgs {
    /// Read the password from one line of standard input, without a prompt
    #[arg(long)]
    password_stdin: bool,
    /// Skip the password policy: 8 to 128 characters, neither common nor all digits nor the email
    #[arg(long)]
    force: bool,
}

impl PasswordArgs {
    /// Reads a password for the account with this email, and returns its hash.
    pub(super) async fn hash(
        &self,
        settings: &Settings,
        email: &str,
    ) -> Result<PasswordHash, CliError> {
        let passwords = passwords(settings)?;
        let password = if self.password_stdin {
            from_stdin()?
        } else {
            from_prompt().await?
        };
        if password.contains('\0') || email::strip(&password).is_empty() {
            return Err(
                "the password is blank or contains a null character, so it could never log in"
                    .into(),
            );
        }
        let errors = policy::validate(&password, email);
        if !(self.force || errors.is_empty()) {
            let reasons = errors.join(" ");
            let error = CliError::from(format!("the password is weak: {reasons}"));
            return Err(error.hint("choose another password, or skip these checks with --force"));
        }
        passwords
            .hash(&password)
            .await
            .map_err(|error| error.to_string().into())
    }
}

/// Returns a hasher with the parameters and limits of the settings.
pub(super) fn passwords(settings: &Settings) -> Result<PasswordHasher, CliError> {
    PasswordHasher::new(settings.argon2_params(), settings.hash_limits()).map_err(|error| {
        CliError::usage(format!(
            "SIGNET_ARGON2_MEMORY_KIB, SIGNET_ARGON2_ITERATIONS and SIGNET_ARGON2_PARALLELISM are invalid together: {error}"
        ))
        .hint("use at least 8 KiB of memory for each lane, and the defaults if unsure")
    })
}

/// Reads one line of standard input.
pub(super) fn from_stdin() -> Result<String, CliError> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| format!("cannot read the password from standard input: {error}"))?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(CliError::from("standard input contains no password")
            .hint("write the password to standard input as one line"));
    }
    Ok(password.to_owned())
}

/// Prompts for the password on the terminal, with the echo turned off. If a signal interrupts this, the function restores the terminal:
/// otherwise the echo would stay off.
async fn from_prompt() -> Result<String, CliError> {
    let before = File::open("/dev/tty")
        .and_then(|terminal| Ok((tcgetattr(&terminal)?, terminal)))
        .map_err(no_prompt)?;
    // Before the prompt, because an earlier signal would end the process with the echo turned off.
    let mut stop = pin!(signal::stop()?);
    let (reply, answer) = oneshot::channel();
    // A read from the terminal cannot be canceled, so a separate thread reads until the process exits.
    thread::spawn(move || reply.send(ask_twice()));
    tokio::select! {
        answer = answer => {
            let password = answer.map_err(|_| "cannot ask for the password")??;
            // After the prompt, a signal exits the process as usual.
            tokio::spawn(async {
                if let Ok(stop) = signal::stop() {
                    stop.await;
                    std::process::exit(130);
                }
            });
            Ok(password)
        }
        () = &mut stop => {
            let (attributes, terminal) = before;
            let _ = tcsetattr(terminal, OptionalActions::Now, &attributes);
            print_error("\n");
            Err(CliError::interrupted())
        }
    }
}

/// Prompts until both passwords are equal.
fn ask_twice() -> Result<String, CliError> {
    let prompt = |text| rpassword::prompt_password(text).map_err(no_prompt);
    loop {
        let password = prompt("Password: ")?;
        if password == prompt("Repeat the password: ")? {
            return Ok(password);
        }
        print_error("the passwords differ, please try again\n");
    }
}

fn no_prompt(error: io::Error) -> CliError {
    if error.kind() == io::ErrorKind::Interrupted {
        return CliError::interrupted();
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return CliError::from("canceled: no password was entered, and no changes were made");
    }
    CliError::from(format!("cannot ask for the password: {error}"))
        .hint("without a terminal, use --password-stdin")
}
