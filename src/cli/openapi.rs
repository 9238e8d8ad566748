//! `signet openapi`

use std::io::{self, Write};

use super::Failure;
use crate::api::Document;

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
}

impl Openapi {
    pub(super) fn run(self) -> Result<(), Failure> {
        let document = Document::build();
        let text = match self.format {
            Format::Json => document.to_json(),
            Format::Yaml => document.to_yaml(),
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
