//! `signet completions` and `signet manual`: shell completions and man pages.

use std::{io, path::PathBuf};

use clap_complete::Shell;

use super::{error::CliError, output::print_unchanged};

#[derive(clap::Args)]
pub(super) struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, mut command: clap::Command) -> Result<(), CliError> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        print_unchanged(String::from_utf8_lossy(&script).trim_end())
    }
}

#[derive(clap::Args)]
pub(super) struct Manual {
    /// The folder, which must be there
    folder: PathBuf,
}

impl Manual {
    pub(super) fn run(&self, command: clap::Command) -> Result<(), CliError> {
        clap_mangen::generate_to(command, &self.folder).map_err(|error: io::Error| {
            format!("cannot write into {}: {error}", self.folder.display()).into()
        })
    }
}
