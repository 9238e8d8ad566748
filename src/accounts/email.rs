//! What an e-mail address is: how it is trimmed, which ones are valid, and when two are the same.
//!
//! The grammar is that of Django's validator, which the clients of the contract are used to: it is
//! what the published schema can name (`format: email`) but not spell out.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Not,
};

/// Characters, not bytes (RFC 3696 section 3 with its erratum: 64 + `@` + 255).
const MAX_LENGTH: usize = 320;
/// Of one label of a domain (RFC 1034 section 3.1).
const MAX_LABEL: usize = 63;

/// Drops the white space around `text`: what Python's `str.strip` drops.
#[must_use]
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_white_space)
}

/// Unicode's white space, and the four separators that only Python counts to it.
#[must_use]
pub fn is_white_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The form in which two e-mails are compared: case does not count.
///
/// Letter by letter, so that a final sigma is like any other, and `ß`, which makes another domain than
/// `ss`, stays what it is.
#[must_use]
pub fn key(email: &str) -> String {
    let letters = email.chars().flat_map(char::to_lowercase);
    letters.map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// Whether `email`, already stripped, is one that the contract accepts.
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

/// What may stand between the quotes: control characters too, but neither NUL nor a bare space.
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

/// At least two labels; only the last may be all digits or start with a hyphen.
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

/// ASCII, and the letters that Python's `re.IGNORECASE` takes for ASCII ones.
fn is_letter_or_digit(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, 'İ' | 'ı' | 'ſ' | '\u{212a}')
}

#[cfg(test)]
mod tests {
    use super::{is_valid, key};

    #[test]
    fn the_grammar_is_django_s() {
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
    fn case_does_not_count() {
        assert_eq!(key("JONHDOEQA@Email.COM"), key("jonhdoeqa@email.com"));
        assert_eq!(key("ΣΑΣ@example.com"), key("σας@example.com"));
        assert_ne!(key("a@example.com"), key("á@example.com"));
        assert_ne!(key("a@straße.de"), key("a@strasse.de"));
    }
}
