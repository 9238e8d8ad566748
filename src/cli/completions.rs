//! `signet completions` and `signet man`: shell completions and man pages.

use std::{fmt::Write, io, path::PathBuf};

use clap_complete::Shell;

use super::{error::CliError, output::print_unchanged};

#[derive(clap::Args)]
pub(super) struct Completions {
    /// The shell
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
pub(super) struct Man {
    /// An existing folder
    #[arg(required_unless_present = "markdown")]
    folder: Option<PathBuf>,
    /// Print the reference page of all commands in Markdown instead
    #[arg(long, conflicts_with = "folder")]
    markdown: bool,
}

impl Man {
    pub(super) fn run(&self, mut command: clap::Command) -> Result<(), CliError> {
        let Some(folder) = &self.folder else {
            command = command.term_width(100);
            command.build();
            let mut page = String::from(INTRODUCTION);
            add_help(&mut page, &command);
            return print_unchanged(page.trim_end());
        };
        clap_mangen::generate_to(command, folder).map_err(|error: io::Error| {
            CliError::from(format!("cannot write into {}: {error}", folder.display()))
                .hint("create the folder, or use another folder")
        })
    }
}

/// The start of the reference page.
const INTRODUCTION: &str = include_str!("completions/introduction.md");

/// Adds the help of a command and its subcommands to a page. The global options are only in the help of the first command.
fn add_help(page: &mut String, command: &clap::Command) {
    let help = command.clone().render_help().to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let text = lines.join("\n");
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", text.trim_end());
    let commands = command.get_subcommands();
    for command in commands.filter(|command| command.get_name() != "help") {
        let command = command.clone().mut_args(|argument| {
            let is_global = argument.is_global_set();
            argument.hide(is_global)
        });
        add_help(page, &command);
    }
}
