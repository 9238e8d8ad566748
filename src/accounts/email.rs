//! Email addresses: trimming, validation and comparison.
//!
//! The grammar is the grammar of Django's validator, because existing clients depend on it. The published schema only says
//! `format: email`.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Not,
};

/// In characters (RFC 3696 section 3 and its erratum: 64 + `@` + 255).
const MAX_LENGTH: usize = 320;
/// The longest label of a domain (RFC 1034 section 3.1).
const MAX_LABEL: usize = 63;

/// Trims the same white space as Python's `str.strip`.
#[must_use]
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_white_space)
}

/// Returns whether Python treats `c` as white space: Unicode white space and four separators.
#[must_use]
pub fn is_white_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Returns the form of an email for comparisons, in lower case.
///
/// Each letter is converted separately, so that a final sigma equals other sigmas. `ß` is not replaced, because a domain with `ss` is
/// another domain.
#[must_use]
pub fn normalize(email: &str) -> String {
    let letters = email.chars().flat_map(char::to_lowercase);
    letters.map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// Returns whether the contract accepts a trimmed email.
#[must_use]
pub fn is_valid(email: &str) -> bool {
    email.chars().count() <= MAX_LENGTH
        && email
            .rsplit_once('@')
            .is_some_and(|(local, domain)| is_local(local) && is_domain(domain))
}

fn is_local(local: &str) -> bool {
    let dot_atom = local.split('.').all(|atom| {
        !atom.is_empty()
            && atom
                .chars()
                .all(|c| is_letter_or_digit(c) || "-!#$%&'*+/=?^_`{}|~".contains(c))
    });
    dot_atom
        || local
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .is_some_and(is_quoted)
}

/// Validates the text between the quotes. Control characters are valid, NUL and an unescaped space are not.
fn is_quoted(inner: &str) -> bool {
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        let allowed = match c {
            '\\' => rest.next().is_some_and(
                |c| matches!(c, '\u{1}'..='\u{9}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{7f}'),
            ),
            '"' => false,
            _ => {
                matches!(c, '\u{1}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '!'..='\u{7f}')
            }
        };
        if !allowed {
            return false;
        }
    }
    true
}

fn is_domain(domain: &str) -> bool {
    domain == "localhost"
        || is_host(domain)
        || is_address_literal(domain)
        || idna::domain_to_ascii(domain)
            .is_ok_and(|ascii| domain.is_ascii().not() && is_host(&ascii))
}

/// Requires at least two labels. Only the last label may start with a hyphen.
fn is_host(domain: &str) -> bool {
    domain.rsplit_once('.').is_some_and(|(labels, last)| {
        (2..=MAX_LABEL).contains(&last.chars().count())
            && !last.ends_with('-')
            && last.chars().all(is_letter_digit_or_hyphen)
            && labels.split('.').all(|label| {
                (1..=MAX_LABEL).contains(&label.chars().count())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(is_letter_digit_or_hyphen)
            })
    })
}

fn is_address_literal(domain: &str) -> bool {
    domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|ip| ip.parse::<Ipv4Addr>().is_ok() || ip.parse::<Ipv6Addr>().is_ok())
}

fn is_letter_digit_or_hyphen(c: char) -> bool {
    is_letter_or_digit(c) || c == '-'
}

/// Accepts ASCII, and the letters that Python's `re.IGNORECASE` treats as ASCII letters.
fn is_letter_or_digit(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, 'İ' | 'ı' | 'ſ' | '\u{212a}')
}

#[cfg(test)]
mod tests {
    use super::{is_valid, normalize};

    #[test]
    fn valid_emails_are_those_of_django() {
        for valid in [
            "user@example.com",
            "root@localhost",
            "!#$%&'*+/=?^_`{|}~-@example.com",
            "user@[127.0.0.1]",
            "user@[::1]",
            "user@example.123",
            "user@example.-com",
            "\"a@b\"@example.com",
            "\"a\\\"b\"@example.com",
            "user@bücher.example",
            "user@почта.рф",
            "u\u{212a}er@example.com",
        ] {
            assert!(is_valid(valid), "{valid}");
        }
        for invalid in [
            "",
            "@",
            "user",
            "user@com",
            "user@localdomain",
            "user@127.0.0.1",
            "user@[256.1.1.1]",
            "user@[IPv6:2001:db8::1]",
            "user@example.com.",
            "user@-example.com",
            "user@example.com-",
            "user@exa_mple.com",
            "a.@example.com",
            "a..b@example.com",
            "\"a b\"@example.com",
            "\"a\".b@example.com",
            "usér@example.com",
            "a\u{0}@example.com",
            "user@example.com\nx",
        ] {
            assert!(!is_valid(invalid), "{invalid:?}");
        }
        let label = "d".repeat(63);
        assert!(is_valid(&format!("user@{label}.com")));
        assert!(!is_valid(&format!("user@{label}d.com")));
        assert!(is_valid(&format!("{}@example.com", "a".repeat(308))));
        assert!(!is_valid(&format!("{}@example.com", "a".repeat(309))));
    }

    #[test]
    fn case_is_ignored() {
        assert_eq!(
            normalize("JONHDOEQA@Email.COM"),
            normalize("jonhdoeqa@email.com")
        );
        assert_eq!(normalize("ΣΑΣ@example.com"), normalize("σας@example.com"));
        assert_ne!(normalize("a@example.com"), normalize("á@example.com"));
        assert_ne!(normalize("a@straße.de"), normalize("a@strasse.de"));
    }
}
