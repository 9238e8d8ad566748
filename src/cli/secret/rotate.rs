//! `signet secret rotate`: a new secret signs tokens, and the service still accepts tokens of the old secret.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use super::{
    read::{lines, read_secret},
    targets::{Targets, unreadable},
    write,
};
use crate::{
    auth::{PreviousSecret, random},
    cli::{error::CliError, output::print},
    config::Settings,
};

const RELOAD: &str =
    "send SIGHUP to reload the service: `systemctl reload signet`, or `kill -HUP PID`";
const LATER: &str = "once every token of the old secret has expired (SIGNET_JWT_EXPIRES_IN), delete its line and reload; \
     `signet secret status` shows which secrets are in use";

#[derive(clap::Args)]
pub(in crate::cli) struct Rotate {
    /// First step with several replicas: create the new secret, and accept its tokens. The old secret still signs
    #[arg(long, conflicts_with = "activate")]
    stage: bool,
    /// Second step with several replicas: sign with the staged secret
    #[arg(long)]
    activate: bool,
}

impl Rotate {
    pub(super) fn run(&self, settings: &Settings) -> Result<(), CliError> {
        let rotation = Rotation::begin(Targets::new(settings)?)?;
        if self.stage {
            rotation.stage()
        } else if self.activate {
            rotation.activate()
        } else {
            rotation.rotate()
        }
    }
}

/// A rotation with the lock of the secret.
struct Rotation {
    files: Targets,
    /// The secret that signs tokens.
    current: Vec<u8>,
    /// The lines of the file of previous secrets.
    previous: Vec<Vec<u8>>,
    _locks: Vec<File>,
}

impl Rotation {
    fn begin(files: Targets) -> Result<Self, CliError> {
        let locks = files.lock()?;
        let current =
            read_secret(&files.current).map_err(|error| unreadable(&files.current, &error))?;
        if !is_valid_line(&current) {
            return Err(format!(
                "the secret in {} cannot be a line of {}: it has a line break, a date or white space; replace it by hand",
                files.current.display(),
                files.previous.display()
            )
            .into());
        }
        let previous = read_previous(&files.previous)?;
        Ok(Self {
            files,
            current,
            previous,
            _locks: locks,
        })
    }

    fn rotate(mut self) -> Result<(), CliError> {
        self.reject_staged()?;
        self.accept_current()
            .and_then(|()| self.write(&self.files.current, new_secret().as_bytes()))
            .map_err(|error| old_secret_signs(&error))?;
        print(format!(
            "wrote a new secret to {}, and the old one to {}",
            self.files.current.display(),
            self.files.previous.display()
        ))?;
        print(RELOAD)?;
        print(LATER)?;
        if self.files.has_replicas {
            print(
                "warning: other replicas reject new tokens until both files are copied and each replica is reloaded; next time, use \
                 --stage and then --activate",
            )?;
        }
        Ok(())
    }

    fn stage(mut self) -> Result<(), CliError> {
        self.reject_staged()?;
        let staged = new_secret();
        // If only the first write succeeds, the service accepts a secret that signs no tokens. This is harmless.
        self.previous.push(staged.trim_end().as_bytes().to_vec());
        self.write_previous()
            .and_then(|()| self.write(&self.files.staged, staged.as_bytes()))
            .map_err(|error| old_secret_signs(&error))?;
        print(format!(
            "staged a new secret in {}, and added it to {}",
            self.files.staged.display(),
            self.files.previous.display()
        ))?;
        print(format!(
            "copy {} to every replica, and reload every replica; then run `signet secret rotate --activate`",
            self.files.previous.display()
        ))?;
        print(RELOAD)
    }

    fn activate(mut self) -> Result<(), CliError> {
        let staged = read_secret(&self.files.staged).map_err(|error| {
            format!(
                "no secret is staged in {}: {error}; run `signet secret rotate --stage`",
                self.files.staged.display()
            )
        })?;
        // The secrets are equal if an earlier `--activate` failed after this step.
        if self.current != staged {
            self.sign_with(&staged)?;
        }
        self.previous.retain(|line| *line != staged);
        self.write_previous()
            .and_then(|()| {
                fs::remove_file(&self.files.staged)
                    .map_err(|error| unwritable(&self.files.staged, &error))
            })
            .map_err(|error| {
                format!(
                    "{}. The new secret is in {} already: run `signet secret rotate --activate` again",
                    error.message,
                    self.files.current.display()
                )
            })?;
        let (current, previous) = (self.files.current.display(), self.files.previous.display());
        print(format!(
            "wrote the staged secret to {current}, and the old one to {previous}"
        ))?;
        print(format!(
            "copy {current} and {previous} to every replica, and reload every replica"
        ))?;
        print(RELOAD)?;
        print(LATER)
    }

    /// Replaces the current secret by the staged secret.
    fn sign_with(&mut self, staged: &Vec<u8>) -> Result<(), CliError> {
        if !self.previous.contains(staged) {
            return Err(format!(
                "the staged secret is not in {}: replicas would reject its tokens; delete {} and stage again",
                self.files.previous.display(),
                self.files.staged.display()
            )
            .into());
        }
        let contents = [&staged[..], b"\n"].concat();
        self.accept_current()
            .and_then(|()| self.write(&self.files.current, &contents))
            .map_err(|error| old_secret_signs(&error))
    }

    fn reject_staged(&self) -> Result<(), CliError> {
        if !self.files.staged.exists() {
            return Ok(());
        }
        Err(format!(
            "a secret is staged already in {}; run `signet secret rotate --activate`, or delete this file",
            self.files.staged.display()
        )
        .into())
    }

    /// Adds the current secret to the previous secrets. This is the first step of a rotation, so that the service accepts tokens of the
    /// current secret even if it reloads between the steps.
    fn accept_current(&mut self) -> Result<(), CliError> {
        if !self.previous.contains(&self.current) {
            self.previous.insert(0, self.current.clone());
        }
        self.write_previous()
    }

    fn write_previous(&self) -> Result<(), CliError> {
        let mut text = self.previous.join(&b'\n');
        if !text.is_empty() {
            text.push(b'\n');
        }
        self.write(&self.files.previous, &text)
    }

    /// Replaces a file, and preserves its owner and mode. A new file gets the owner and mode of the current secret.
    fn write(&self, path: &Path, contents: &[u8]) -> Result<(), CliError> {
        let model = if path.exists() {
            path
        } else {
            &self.files.current
        };
        let model = fs::metadata(model).map_err(|error| unreadable(path, &error))?;
        write::replace(path, contents, &model).map_err(|error| unwritable(path, &error))
    }
}

fn new_secret() -> String {
    format!("{}\n", random::hex::<32>())
}

/// Whether a secret is unchanged after it is written to the file of previous secrets and parsed again.
fn is_valid_line(secret: &[u8]) -> bool {
    let parsed = PreviousSecret::read(secret);
    parsed.is_ok_and(|line| line.secret == secret && line.until.is_none())
        && !secret.contains(&b'\n')
        && !secret.ends_with(b"\r")
}

/// Returns the lines of a file of previous secrets, which may not exist yet.
fn read_previous(path: &Path) -> Result<Vec<Vec<u8>>, CliError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let lines: Vec<_> = lines(&text).filter(|line| !line.is_empty()).collect();
    for (number, line) in (1..).zip(&lines) {
        PreviousSecret::read(line)
            .map_err(|error| format!("line {number} of {}: {error}", path.display()))?;
    }
    Ok(lines.into_iter().map(<[u8]>::to_vec).collect())
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    let advice = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; run this command where the file can be written, as the user who owns it, and distribute the files from there"
        }
        io::ErrorKind::ResourceBusy => {
            "; the file itself is a mount: replace the secret where it is mounted from"
        }
        _ => "",
    };
    format!("cannot write {}: {error}{advice}", path.display()).into()
}

fn old_secret_signs(error: &CliError) -> CliError {
    format!(
        "{}. The old secret still signs: run the command again",
        error.message
    )
    .into()
}
