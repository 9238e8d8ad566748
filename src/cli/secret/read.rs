//! Reads files of secrets.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use rustix::process::{getegid, getgroups};
use tracing::warn;

/// Reads a secret. One line break at the end of the file is not a part of the secret.
pub(super) fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut secret = read_file(path)?;
    for end in [b'\n', b'\r'] {
        if secret.last() == Some(&end) {
            secret.pop();
        }
    }
    Ok(secret)
}

/// Reads a file. Logs a warning if other users can read or change the file.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if let Some(users) = insecure_permissions(path)? {
        warn!(path = %path.display(), users, "other users can read or change the secret");
    }
    fs::read(path)
}

/// Splits a file of previous secrets into its lines without line breaks. Lines may be empty.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Returns the other users that can read or change a file, with the command that prevents this: all users, or a group that this
/// process is not a member of.
pub(in crate::cli) fn insecure_permissions(path: &Path) -> io::Result<Option<&'static str>> {
    let file = fs::metadata(path)?;
    let is_member = || {
        let groups = getgroups().unwrap_or_default();
        getegid().as_raw() == file.gid() || groups.iter().any(|group| group.as_raw() == file.gid())
    };
    Ok(if file.mode() & 0o007 != 0 {
        Some("all users (chmod o-rwx)")
    } else if file.mode() & 0o070 != 0 && !is_member() {
        Some("a group of other users (chmod g-rwx)")
    } else {
        None
    })
}
