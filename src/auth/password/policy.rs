//! The policy for new passwords. A login does not check the policy, so that a stricter policy locks no account.
//!
//! The messages are the messages of Django's validators. The list of common passwords is Django's list, by Royce Williams, under the
//! license in the same folder.

use std::{collections::HashSet, io::Read, sync::LazyLock};

use flate2::read::GzDecoder;

use crate::accounts::email::normalize;

/// Length in code points. NIST SP 800-63B section 3.1.1.2 requires a minimum of 8, and a maximum of at least 64.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

static COMMON: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut text = String::new();
    GzDecoder::new(&include_bytes!("policy/common-passwords.txt.gz")[..])
        .read_to_string(&mut text)
        .expect("the list is gzipped text");
    text.lines().map(|line| line.trim().to_owned()).collect()
});

/// Returns all violations of the policy by `password` for the account with `email`.
#[must_use]
pub fn validate(password: &str, email: &str) -> Vec<String> {
    let length = password.chars().count();
    let local = email.rsplit_once('@').map_or(email, |(local, _)| local);
    let folded = normalize(password);
    let mut violations = Vec::new();
    if folded == normalize(email) || folded == normalize(local) {
        violations.push("The password is too similar to the email address.".to_owned());
    }
    if length < *LENGTH.start() {
        violations.push(format!(
            "This password is too short. It must contain at least {} characters.",
            LENGTH.start()
        ));
    }
    if length > *LENGTH.end() {
        violations.push(format!(
            "This password is too long. It must contain at most {} characters.",
            LENGTH.end()
        ));
    }
    if COMMON.contains(folded.trim()) {
        violations.push("This password is too common.".to_owned());
    }
    if password.chars().all(char::is_numeric) {
        violations.push("This password is entirely numeric.".to_owned());
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::validate;

    const EMAIL: &str = "jonhdoeqa@email.com";

    #[test]
    fn all_violations_are_reported() {
        const SHORT: &str = "This password is too short. It must contain at least 8 characters.";
        const LONG: &str = "This password is too long. It must contain at most 128 characters.";
        const COMMON: &str = "This password is too common.";
        const NUMERIC: &str = "This password is entirely numeric.";
        const SIMILAR: &str = "The password is too similar to the email address.";
        for (password, violations) in [
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
            assert_eq!(validate(password, EMAIL), violations, "{password}");
        }
    }
}
