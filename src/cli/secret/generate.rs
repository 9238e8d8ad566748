//! `signet secret generate`

use crate::{
    auth::{PrivateKey, random},
    cli::{error::CliError, output::print_unchanged},
};

#[derive(clap::Args)]
pub(in crate::cli) struct Generate {
    /// Algorithm that signs tokens with the output: a secret for `hs256`, or a private key in PEM for `es256`
    #[arg(long, value_enum, default_value_t = Algorithm::Hs256)]
    algorithm: Algorithm,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Algorithm {
    Hs256,
    Es256,
}

impl Generate {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let text = match self.algorithm {
            Algorithm::Hs256 => random::hex::<32>(),
            Algorithm::Es256 => PrivateKey::generate().to_pem(),
        };
        print_unchanged(text.trim_end())
    }
}
