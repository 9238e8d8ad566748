//! `signet secret rotate`: a new secret signs, and the old secret is still accepted.

use std::{
    fmt,
    fs::{File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{draft::Draft, files::Files};
use crate::{
    auth::{PreviousSecret, random},
    cli::{error::CliError, output::print},
    config::Settings,
};

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
        let files = Files::of(settings)?;
        let rotation = Rotation::begin(files)?;
        if self.stage {
            rotation.stage()
        } else if self.activate {
            rotation.activate()
        } else {
            rotation.rotate()
        }
    }
}

/// A rotation. No other rotation of the same secret runs meanwhile.
struct Rotation {
    files: Files,
    /// The secret that signs now.
    current: Vec<u8>,
    /// The lines of the file of previous secrets.
    previous: Vec<Vec<u8>>,
    _lock: File,
}

impl Rotation {
    fn begin(files: Files) -> Result<Self, CliError> {
        if !files.current.exists() {
            return Err(format!(
                "no secret at {}; `signet serve` creates the first one",
                files.current.display()
            )
            .into());
        }
        let folder = File::open(super::draft::folder(&files.current));
        let lock = folder.map_err(|error| unreadable(&files.current, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(
                    "another rotation of this secret is running; nothing was changed".into(),
                );
            }
            Err(TryLockError::Error(error)) => return Err(unreadable(&files.current, &error)),
        }
        let current =
            super::read(&files.current).map_err(|error| unreadable(&files.current, &error))?;
        if !PreviousSecret::read(&current)
            .is_ok_and(|line| line.secret == current && line.until.is_none())
            || current.contains(&b'\n')
            || current.ends_with(b"\r")
        {
            return Err(format!(
                "the secret in {} cannot be a line of {}: it has a line break, a date or white space; replace it by hand",
                files.current.display(),
                files.previous.display()
            )
            .into());
        }
        let previous = match std::fs::read(&files.previous) {
            Ok(text) => lines(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable(&files.previous, &error)),
        };
        for (at, line) in previous.iter().enumerate() {
            PreviousSecret::read(line).map_err(|error| {
                format!("line {} of {}: {error}", at + 1, files.previous.display())
            })?;
        }
        Ok(Self {
            files,
            current,
            previous,
            _lock: lock,
        })
    }

    fn rotate(mut self) -> Result<(), CliError> {
        self.refuse_staged()?;
        self.accept_current()
            .and_then(|()| self.write(&self.files.current, new_secret().as_bytes()))
            .map_err(|failure| old_secret_signs(&failure))?;
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
        self.refuse_staged()?;
        let staged = new_secret();
        // If the second write fails, the service accepts a secret that signs nothing.
        self.previous.push(staged.trim_end().as_bytes().to_vec());
        self.write_previous()
            .and_then(|()| self.write(&self.files.staged, staged.as_bytes()))
            .map_err(|failure| old_secret_signs(&failure))?;
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
        let staged = super::read(&self.files.staged).map_err(|error| {
            format!(
                "no secret is staged in {}: {error}; run `signet secret rotate --stage`",
                self.files.staged.display()
            )
        })?;
        if self.current != staged {
            if !self.previous.contains(&staged) {
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
                .map_err(|failure| old_secret_signs(&failure))?;
        }
        // The new secret signs from the next reload on. As a previous secret, it is only superfluous.
        self.previous.retain(|line| *line != staged);
        self.write_previous()
            .and_then(|()| {
                std::fs::remove_file(&self.files.staged)
                    .map_err(|error| unwritable(&self.files.staged, &error))
            })
            .map_err(|failure| {
                format!(
                    "{}. The new secret is in {} already: run `signet secret rotate --activate` again",
                    failure.message,
                    self.files.current.display()
                )
            })?;
        print(format!(
            "wrote the staged secret to {}, and the old one to {}",
            self.files.current.display(),
            self.files.previous.display()
        ))?;
        print(format!(
            "copy {} and {} to every replica, and reload every replica",
            self.files.current.display(),
            self.files.previous.display()
        ))?;
        print(RELOAD)?;
        print(LATER)
    }

    fn refuse_staged(&self) -> Result<(), CliError> {
        if !self.files.staged.exists() {
            return Ok(());
        }
        Err(format!(
            "a secret is staged already in {}; run `signet secret rotate --activate`, or delete this file",
            self.files.staged.display()
        )
        .into())
    }

    /// Adds the secret that signs now to the previous ones. This comes first, so that a reload at any moment accepts its tokens.
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

    /// Replaces a file by a rename. It keeps its owner and mode; a new file gets those of the current secret.
    fn write(&self, path: &Path, contents: &[u8]) -> Result<(), CliError> {
        let model = if path.exists() {
            path
        } else {
            &self.files.current
        };
        let model = std::fs::metadata(model).map_err(|error| unreadable(path, &error))?;
        Draft::write(path, contents)
            .and_then(|draft| draft.replace(model.uid(), model.gid(), model.mode()))
            .map_err(|error| unwritable(path, &error))
    }
}

const RELOAD: &str =
    "send SIGHUP to reload the service: `systemctl reload signet`, or `kill -HUP PID`";
const LATER: &str = "once every token of the old secret has expired (SIGNET_JWT_EXPIRES_IN), delete its line and reload; \
     `signet secret status` shows which secrets are in use";

fn new_secret() -> String {
    format!("{}\n", random::hex::<32>())
}

/// The lines that are not empty, without their line breaks.
fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

fn unreadable(path: &Path, error: &dyn fmt::Display) -> CliError {
    format!(
        "cannot read {}: {error}; nothing was changed",
        path.display()
    )
    .into()
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

fn old_secret_signs(failure: &CliError) -> CliError {
    format!(
        "{}. The old secret still signs: run the command again",
        failure.message
    )
    .into()
}

/// The path of a file that lies beside another: its name and a suffix.
pub(in crate::cli) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
