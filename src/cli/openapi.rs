//! `signet openapi`

use std::io::{self, Write};

use super::Failure;
use crate::api::{self, Document};
use crate::config::Settings;

#[derive(clap::Args)]
pub(super) struct Openapi {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
    Yaml,
    /// The contract as a page to review
    Markdown,
    /// The claims of a token, as JSON Schema
    Claims,
}

impl Openapi {
    pub(super) fn run(self, settings: &Settings) -> Result<(), Failure> {
        let document = Document::build(settings.public_url());
        let text = match self.format {
            Format::Json => document.to_json(),
            Format::Yaml => document.to_yaml(),
            Format::Markdown => document.to_markdown(),
            Format::Claims => api::claims_schema(),
        };
        match io::stdout().write_all(text.as_bytes()) {
            // A reader that has seen enough, such as `head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => {
                written.map_err(|error| format!("cannot write the document: {error}").into())
            }
        }
    }
}
