//! The places of the secrets: settings, files that settings name, or files in the folder of the SQLite database.

use std::path::{Path, PathBuf};

use crate::{
    accounts::DatabaseUrl,
    cli::{database, error::CliError, paths::with_suffix},
    config::{Secret, Settings},
};

/// The place of a secret, or of the previous secrets.
pub(super) enum Source<'a> {
    /// The value of a setting.
    Value(&'a Secret),
    /// A file that a setting names.
    Named(&'a Path),
    /// The default file in the folder of the SQLite database. The file may not exist.
    Default(PathBuf),
    /// The memory of the process, since the database is also in memory.
    Memory,
    /// No place is configured.
    Unset,
}

impl Source<'_> {
    /// Returns the file, if the secret is in a file.
    pub(super) fn into_path(self) -> Option<PathBuf> {
        match self {
            Self::Named(path) => Some(path.to_owned()),
            Self::Default(path) => Some(path),
            Self::Value(_) | Self::Memory | Self::Unset => None,
        }
    }
}

/// Returns the place of the secret that signs tokens.
pub(super) fn current(settings: &Settings) -> Result<Source<'_>, CliError> {
    let default = default_source(settings, ".secret")?;
    Ok(match (&settings.jwt_secret, &settings.jwt_secret_file) {
        (Some(secret), _) => Source::Value(secret),
        (None, Some(path)) => Source::Named(path),
        (None, None) => default,
    })
}

/// Returns the place of the previous secrets.
pub(super) fn previous(settings: &Settings) -> Result<Source<'_>, CliError> {
    let default = default_source(settings, ".secret.previous")?;
    let value = &settings.jwt_previous_secrets;
    let file = &settings.jwt_previous_secrets_file;
    Ok(match (value, file) {
        (Some(secrets), _) => Source::Value(secrets),
        (None, Some(path)) => Source::Named(path),
        (None, None) => default,
    })
}

fn default_source<'a>(settings: &Settings, suffix: &str) -> Result<Source<'a>, CliError> {
    Ok(match database::location(settings)? {
        DatabaseUrl::File(database) => Source::Default(with_suffix(&database, suffix)),
        DatabaseUrl::Memory => Source::Memory,
        DatabaseUrl::Postgres(_) => Source::Unset,
    })
}

/// Returns the file of a staged secret, which replaces the secret in `current` later.
pub(super) fn staged(current: &Path) -> PathBuf {
    with_suffix(current, ".staged")
}

/// Returns the SQLite database and the files of secrets in its folder. The files may not exist.
pub(in crate::cli) fn generated_files(settings: &Settings) -> Vec<PathBuf> {
    let Ok(DatabaseUrl::File(database)) = settings.database_location() else {
        return Vec::new();
    };
    let secret = with_suffix(&database, ".secret");
    let previous = with_suffix(&database, ".secret.previous");
    vec![secret, previous, database]
}

/// Returns the files of secrets, of accounts and of the TLS key. The files may not exist.
pub(in crate::cli) fn files_with_secrets(settings: &Settings) -> Vec<PathBuf> {
    let named = [
        &settings.jwt_secret_file,
        &settings.jwt_previous_secrets_file,
        &settings.jwt_keys_file,
        &settings.tls_key,
    ];
    let mut files: Vec<_> = named.into_iter().flatten().cloned().collect();
    let generated = generated_files(settings);
    let current = settings.jwt_secret_file.iter().chain(generated.first());
    files.extend(current.map(|path| staged(path)));
    files.extend(generated);
    files
}
