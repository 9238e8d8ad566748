//! `signet secret rotate`: a new secret signs tokens, and the service still accepts tokens of the old secret.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use serde_json::json;

use super::{
    read::{lines, read_secret},
    rotate_key::rotate_key,
    targets::{Targets, unreadable},
    write::{self, RELOAD, unwritable},
};
use crate::{
    auth::{PreviousSecret, random},
    cli::{
        error::CliError,
        output::{OutputArgs, confirm, print_json, warn},
    },
    config::{JwtAlgorithm, Settings},
};

const DELETE_LATER: &str = "after SIGNET_JWT_EXPIRES_IN, when all tokens of the old secret have expired, delete the line of the old \
     secret and reload the service; `signet secret status` shows which secrets are in use";

#[derive(clap::Args)]
pub(in crate::cli) struct Rotate {
    /// First step with several replicas: create the new secret, and accept its tokens. The old secret still signs
    #[arg(long, conflicts_with = "activate")]
    stage: bool,
    /// Second step with several replicas: sign with the staged secret
    #[arg(long)]
    activate: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Rotate {
    pub(super) async fn run(&self, settings: &Settings) -> Result<(), CliError> {
        if settings.jwt_algorithm == JwtAlgorithm::Es256 {
            if self.stage || self.activate {
                let message = "--stage and --activate are only for HS256";
                return Err(CliError::usage(message).hint(
                    "run `signet secret rotate`: a new key for ES256 is published before the key signs",
                ));
            }
            return rotate_key(settings, self.output).await;
        }
        let targets = Targets::new(settings)?;
        let files = targets.clone();
        let rotation = Rotation::begin(targets)?;
        let done = if self.stage {
            rotation.stage()?
        } else if self.activate {
            rotation.activate()?
        } else {
            rotation.rotate()?
        };
        done.print(&files, self.output)
    }
}

/// A completed step.
struct Done {
    action: &'static str,
    text: String,
    /// What the operator must do next, in this order.
    next: Vec<String>,
    warning: Option<&'static str>,
}

impl Done {
    fn print(self, files: &Targets, output: OutputArgs) -> Result<(), CliError> {
        if let Some(warning) = self.warning {
            warn(warning);
        }
        if output.json {
            return print_json(json!({
                "action": self.action,
                "secret_file": files.current.to_string_lossy(),
                "previous_secrets_file": files.previous.to_string_lossy(),
                "staged_secret_file": (self.action == "staged")
                    .then(|| files.staged.to_string_lossy()),
            }));
        }
        confirm(self.text)?;
        (1..)
            .zip(self.next)
            .try_for_each(|(number, step)| confirm(format!("next step {number}: {step}")))
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
            return Err(CliError::from(format!(
                "the secret in {} cannot be a line of {}: it contains a line break, a date or white space",
                files.current.display(),
                files.previous.display()
            ))
            .hint("replace the secret by hand"));
        }
        let previous = read_previous(&files.previous)?;
        Ok(Self {
            files,
            current,
            previous,
            _locks: locks,
        })
    }

    fn rotate(mut self) -> Result<Done, CliError> {
        self.reject_staged()?;
        self.accept_current()
            .and_then(|()| self.write(&self.files.current, new_secret().as_bytes()))
            .map_err(old_secret_signs)?;
        Ok(Done {
            action: "rotated",
            text: format!(
                "wrote a new secret to {}, and the old secret to {}",
                self.files.current.display(),
                self.files.previous.display()
            ),
            next: vec![RELOAD.to_owned(), DELETE_LATER.to_owned()],
            warning: self.files.has_replicas.then_some(
                "other replicas reject new tokens until both files are copied and each replica is reloaded; next time, use --stage \
                 and then --activate",
            ),
        })
    }

    fn stage(mut self) -> Result<Done, CliError> {
        self.reject_staged()?;
        let staged = new_secret();
        // If only the first write succeeds, the service accepts a secret that signs no tokens. This is harmless.
        self.previous.push(staged.trim_end().as_bytes().to_vec());
        self.write_previous()
            .and_then(|()| self.write(&self.files.staged, staged.as_bytes()))
            .map_err(old_secret_signs)?;
        let previous = self.files.previous.display();
        Ok(Done {
            action: "staged",
            text: format!(
                "staged a new secret in {}, and added the secret to {previous}",
                self.files.staged.display(),
            ),
            next: vec![
                format!("copy {previous} to every replica"),
                format!("on every replica, {RELOAD}"),
                "run `signet secret rotate --activate`".to_owned(),
            ],
            warning: None,
        })
    }

    fn activate(mut self) -> Result<Done, CliError> {
        let staged = read_secret(&self.files.staged).map_err(|error| {
            CliError::from(format!(
                "no secret is staged in {}: {error}",
                self.files.staged.display()
            ))
            .hint("run `signet secret rotate --stage`")
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
                error
                    .state(&format!(
                        "the new secret is already in {}",
                        self.files.current.display()
                    ))
                    .hint("run `signet secret rotate --activate` again")
            })?;
        let (current, previous) = (self.files.current.display(), self.files.previous.display());
        Ok(Done {
            action: "activated",
            text: format!("wrote the staged secret to {current}, and the old secret to {previous}"),
            next: vec![
                format!("copy {current} and {previous} to every replica"),
                format!("on every replica, {RELOAD}"),
                DELETE_LATER.to_owned(),
            ],
            warning: None,
        })
    }

    /// Replaces the current secret by the staged secret.
    fn sign_with(&mut self, staged: &Vec<u8>) -> Result<(), CliError> {
        if !self.previous.contains(staged) {
            return Err(CliError::from(format!(
                "the staged secret is not in {}: replicas would reject its tokens",
                self.files.previous.display()
            ))
            .hint(format!(
                "delete {}, and run `signet secret rotate --stage` again",
                self.files.staged.display()
            )));
        }
        let contents = [&staged[..], b"\n"].concat();
        self.accept_current()
            .and_then(|()| self.write(&self.files.current, &contents))
            .map_err(old_secret_signs)
    }

    fn reject_staged(&self) -> Result<(), CliError> {
        if !self.files.staged.exists() {
            return Ok(());
        }
        Err(CliError::from(format!(
            "a secret is already staged in {}",
            self.files.staged.display()
        ))
        .hint("run `signet secret rotate --activate`, or delete this file"))
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

fn old_secret_signs(error: CliError) -> CliError {
    error.state("the old secret still signs tokens")
}
