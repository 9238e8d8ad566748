//! Removes secrets from responses, since a service may echo the request.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

/// Replaces a secret.
const REDACTED: &str = "[redacted]";

/// Secrets that messages must not show.
#[derive(Clone)]
pub(super) struct Secrets(Arc<[String]>);

impl Secrets {
    pub(super) fn new(password: Option<&str>) -> Self {
        let mut forms = Vec::new();
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            // A response may contain a JSON text as a string, in which the password is escaped twice.
            forms.push(password.to_owned());
            forms.push(escaped(password, false));
            forms.push(escaped(password, true));
            forms.dedup();
        }
        Self(forms.into())
    }

    /// Replaces each secret, with and without JSON escapes.
    pub(super) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut redacted = String::new();
        let mut rest = text;
        let mut copied = text;
        while let Some(c) = rest.chars().next() {
            let found = self.0.iter().filter_map(|secret| found(rest, secret));
            if let Some(length) = found.max() {
                redacted.push_str(&copied[..copied.len() - rest.len()]);
                redacted.push_str(REDACTED);
                rest = &rest[length..];
                copied = rest;
            } else {
                rest = &rest[c.len_utf8()..];
            }
        }
        if redacted.is_empty() {
            return text.into();
        }
        redacted.push_str(copied);
        redacted.into()
    }
}

/// Returns the length of the secret at the start of the text.
fn found(text: &str, secret: &str) -> Option<usize> {
    let raw = text.starts_with(secret).then_some(secret.len());
    let escaped = || {
        let mut rest = text;
        for c in secret.chars() {
            rest = without(rest, c)?;
        }
        Some(text.len() - rest.len())
    };
    raw.into_iter().chain(escaped()).max()
}

/// Removes a character from the start of the text. JSON may escape the character.
fn without(text: &str, c: char) -> Option<&str> {
    let short = match c {
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{c}' => 'f',
        '\r' => 'r',
        c => c,
    };
    if let Some(escape) = text.strip_prefix('\\') {
        if (short != c || matches!(c, '"' | '\\' | '/'))
            && let Some(rest) = escape.strip_prefix(short)
        {
            return Some(rest);
        }
        let mut rest = text;
        for unit in c.encode_utf16(&mut [0; 2]) {
            let digits = rest.strip_prefix("\\u")?.get(..4)?;
            if u16::from_str_radix(digits, 16) != Ok(*unit) {
                return None;
            }
            rest = &rest[6..];
        }
        return Some(rest);
    }
    text.strip_prefix(c)
}

/// Escapes a text as in JSON. With `ascii`, also escapes all characters outside of ASCII.
fn escaped(text: &str, ascii: bool) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let escaped = &quoted[1..quoted.len() - 1];
    if !ascii {
        return escaped.to_owned();
    }
    let mut in_ascii = String::with_capacity(escaped.len());
    for c in escaped.chars() {
        if c.is_ascii() {
            in_ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(in_ascii, "\\u{unit:04x}");
        }
    }
    in_ascii
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PASSWORD: &str = "h\"\\u/é\t😀 ter  2";

    #[test]
    fn password_is_redacted_in_each_form() {
        let secrets = Secrets::new(Some(PASSWORD));
        let json = |text: &str| escaped(text, false);
        let ascii = |text: &str| escaped(text, true);
        for form in [
            PASSWORD.to_owned(),
            json(PASSWORD),
            ascii(PASSWORD),
            ascii(PASSWORD).replace("00e9", "00E9"),
            json(PASSWORD).replace('/', "\\/"),
            json(&json(PASSWORD)),
            ascii(&json(PASSWORD)),
            json(&ascii(PASSWORD)),
            "\\u0068\\u0022\\u005c\\u0075\\u002f\\u00e9\\u0009\\ud83d\\ude00\\u0020ter  2"
                .to_owned(),
        ] {
            let text = format!("é<{form}>, {form}{form}\\");
            let redacted = secrets.redact(&text);
            assert_eq!(redacted, "é<[redacted]>, [redacted][redacted]\\", "{text}");
        }
        for other in ["", "h\"\\u/é\t😀 ter", "\\u", "\\", "h\\\"\\\\u/\\u00"] {
            assert_eq!(secrets.redact(other), other);
        }
        let echo = json!({ "data": json!({ "password": PASSWORD }).to_string() });
        let redacted: Value = serde_json::from_str(&secrets.redact(&echo.to_string())).unwrap();
        assert_eq!(redacted, json!({ "data": r#"{"password":"[redacted]"}"# }));
    }

    #[test]
    fn text_without_secrets_is_unchanged() {
        for secrets in [Secrets::new(None), Secrets::new(Some(""))] {
            assert_eq!(secrets.redact("a text"), "a text");
        }
    }
}
