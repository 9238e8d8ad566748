//! `signet openapi`

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{error::CliError, output::print_unchanged};
use crate::config::Settings;

#[derive(clap::Args)]
pub(super) struct Openapi {
    /// The format of the output
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// The folder into which the format `bruno` writes its files
    #[arg(long, value_name = "FOLDER", required_if_eq("format", "bruno"))]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
    Yaml,
    /// The contract as a page for reviewers
    Markdown,
    /// The JSON Schema of the claims of a token
    Claims,
    /// The workflows of clients, as an Arazzo description
    Arazzo,
    /// The examples as a collection for Postman
    Postman,
    /// The examples as a collection for Bruno, in a folder
    Bruno,
}

impl Openapi {
    pub(super) fn run(self, settings: &Settings) -> Result<(), CliError> {
        let document = settings.document();
        let text = match self.format {
            Format::Bruno => {
                return write(&self.output.unwrap_or_default(), document.to_bruno());
            }
            _ if self.output.is_some() => {
                return Err(CliError::usage("only the format `bruno` has `--output`"));
            }
            Format::Json => document.to_json(),
            Format::Yaml => document.to_yaml(),
            Format::Markdown => document.to_markdown(),
            Format::Claims => document.to_claims_schema(),
            Format::Arazzo => document.to_arazzo(),
            Format::Postman => document.to_postman(),
        };
        print_unchanged(text.trim_end())
    }
}

/// Writes files into a folder, and creates the folder.
fn write(folder: &Path, files: Vec<(String, String)>) -> Result<(), CliError> {
    for (name, text) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}
