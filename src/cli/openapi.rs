//! `signet openapi`

use super::{error::CliError, output::print_unchanged};
use crate::{config::Settings, http::claims_schema};

#[derive(clap::Args)]
pub(super) struct Openapi {
    /// The format of the output
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
    Yaml,
    /// The contract as a page for reviewers
    Markdown,
    /// The JSON Schema of the claims of a token
    Claims,
}

impl Openapi {
    pub(super) fn run(self, settings: &Settings) -> Result<(), CliError> {
        let document = settings.document();
        let text = match self.format {
            Format::Json => document.to_json(),
            Format::Yaml => document.to_yaml(),
            Format::Markdown => document.to_markdown(),
            Format::Claims => claims_schema(),
        };
        print_unchanged(text.trim_end())
    }
}
