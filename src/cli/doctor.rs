//! `signet doctor`: whether all that the service stands on is sound, with what to do where it is not.

use std::fmt;

use super::{
    error::CliError,
    output::{print, print_json},
};
use crate::{config::LoadedConfig, text::printable};

mod keys;
mod machine;
mod store;

#[derive(clap::Args)]
pub(super) struct Doctor {
    /// Write one JSON object a line
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Looks at everything, and changes nothing.
    pub(super) async fn run(self, config: &LoadedConfig) -> Result<(), CliError> {
        let mut findings = vec![configuration(config)];
        findings.extend(store::look(&config.settings).await);
        findings.extend(keys::look(config));
        findings.extend(machine::look(&config.settings).await);
        for finding in &findings {
            if self.json {
                print_json(serde_json::json!({
                    "verdict": finding.verdict.to_string(),
                    "subject": finding.subject,
                    "said": finding.said,
                }))?;
            } else {
                print(finding)?;
            }
        }
        let count = |verdict| findings.iter().filter(|it| it.verdict == verdict).count();
        match count(Verdict::Bad) {
            0 => Ok(()),
            1 => Err("the service cannot work like this: see the line that says `bad`".into()),
            bad => Err(format!(
                "the service cannot work like this: see the {bad} lines that say `bad`"
            )
            .into()),
        }
    }
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// The service works, and somebody should look at it.
    Doubtful,
    /// The service does not work, or not for all.
    Bad,
}

/// What was found of one thing.
struct Finding {
    verdict: Verdict,
    subject: &'static str,
    said: String,
}

impl Finding {
    fn good(subject: &'static str, said: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Good,
            subject,
            said: said.into(),
        }
    }

    fn doubtful(subject: &'static str, said: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Doubtful,
            subject,
            said: said.into(),
        }
    }

    fn bad(subject: &'static str, said: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Bad,
            subject,
            said: said.into(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Doubtful => "doubtful",
            Self::Bad => "bad",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verdict,
            subject,
            said,
        } = self;
        write!(f, "{verdict:9} {subject:14} {}", printable(said))
    }
}

fn configuration(config: &LoadedConfig) -> Finding {
    let given = config.sources.len();
    let said = match &config.file {
        Some(file) => format!("{given} settings are given; the file is {}", file.display()),
        None => format!("{given} settings are given, and there is no file"),
    };
    if config.unknown_variables.is_empty() {
        return Finding::good("configuration", said);
    }
    let unknown = config.unknown_variables.join(", ");
    Finding::doubtful(
        "configuration",
        format!("{said}; no settings are {unknown}"),
    )
}
