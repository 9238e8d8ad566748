//! What a password must be when it is set. It is never looked at when somebody logs in: a policy that
//! was tightened must not lock anybody out.
//!
//! The messages are those of Django's validators. The common passwords are the list that Django ships,
//! by Royce Williams, under the licence beside it.

use std::{collections::HashSet, io::Read, sync::LazyLock};

use flate2::read::GzDecoder;

use crate::accounts::email::key;

/// Code points (NIST SP 800-63B section 3.1.1.2 asks for at least 8, and for no less than 64 to be allowed).
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

static COMMON: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut text = String::new();
    GzDecoder::new(&include_bytes!("policy/common-passwords.txt.gz")[..])
        .read_to_string(&mut text)
        .expect("the list is gzipped text");
    text.lines().map(|line| line.trim().to_owned()).collect()
});

/// Everything that is wrong with `password` for the account with `email`.
#[must_use]
pub fn validate(password: &str, email: &str) -> Vec<String> {
    let length = password.chars().count();
    let local = email.rsplit_once('@').map_or(email, |(local, _)| local);
    let folded = key(password);
    let mut faults = Vec::new();
    if folded == key(email) || folded == key(local) {
        faults.push("The password is too similar to the email address.".to_owned());
    }
    if length < *LENGTH.start() {
        faults.push(format!(
            "This password is too short. It must contain at least {} characters.",
            LENGTH.start()
        ));
    }
    if length > *LENGTH.end() {
        faults.push(format!(
            "This password is too long. It must contain at most {} characters.",
            LENGTH.end()
        ));
    }
    if COMMON.contains(folded.trim()) {
        faults.push("This password is too common.".to_owned());
    }
    if password.chars().all(char::is_numeric) {
        faults.push("This password is entirely numeric.".to_owned());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::validate;

    const EMAIL: &str = "jonhdoeqa@email.com";

    #[test]
    fn a_password_is_told_all_its_faults() {
        const SHORT: &str = "This password is too short. It must contain at least 8 characters.";
        const LONG: &str = "This password is too long. It must contain at most 128 characters.";
        const COMMON: &str = "This password is too common.";
        const NUMERIC: &str = "This password is entirely numeric.";
        const SIMILAR: &str = "The password is too similar to the email address.";
        for (password, told) in [
            ("correct horse", &[][..]),
            ("日本語のパスワード", &[]),
            ("пароль1", &[SHORT]),
            ("1234567", &[SHORT, COMMON, NUMERIC]),
            ("٤٧٢٩١٠٣٨", &[NUMERIC]),
            ("Password1", &[COMMON]),
            (" sunshine ", &[COMMON]),
            ("JonhDoeQA", &[SIMILAR]),
            ("jonhdoeqa@EMAIL.com", &[SIMILAR]),
            (&"ß".repeat(128), &[]),
            (&"ß".repeat(129), &[LONG]),
            (&"x y".repeat(43), &[LONG]),
        ] {
            assert_eq!(validate(password, EMAIL), told, "{password}");
        }
    }
}
