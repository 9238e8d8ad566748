//! Text from databases, files and clients, made safe for a terminal.

use std::fmt::Write as _;

use unicode_general_category::{GeneralCategory, get_general_category};

/// Replaces the characters that a terminal may act on by U+FFFD: control characters, format characters (among them those that change
/// the direction of text) and line separators.
///
/// Every command passes text that it did not write itself through this function.
#[must_use]
pub fn printable(text: &str) -> String {
    text.replace(is_unprintable, "\u{fffd}")
}

/// The same for several lines: line feeds stay.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    text.replace(|c| c != '\n' && is_unprintable(c), "\u{fffd}")
}

/// Escapes the same characters in serialized JSON, where they occur in strings only: no value changes.
#[must_use]
pub fn printable_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_unprintable(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn is_unprintable(c: char) -> bool {
    matches!(
        get_general_category(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Characters that a terminal acts on or does not show.
    const HARMFUL: &str = "\0\u{7}\u{8}\t\r\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200f}\
                           \u{2028}\u{2029}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0041}";

    #[test]
    fn harmful_characters_are_replaced_and_no_others() {
        for c in HARMFUL.chars() {
            assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
            assert_eq!(printable_lines(&format!("a\n{c}b")), "a\n\u{fffd}b");
        }
        let harmless = "\"é\" e\u{301} почта \\ 😀 日本語 العربية\u{a0}";
        assert_eq!(printable(harmless), harmless);
        assert_eq!(printable("a\nb"), "a\u{fffd}b");
    }

    #[test]
    fn escaped_json_has_the_same_values() {
        let value = Value::from(vec![HARMFUL, "\n\"\\é😀"]);
        for json in [value.to_string(), format!("{value:#}")] {
            let escaped = printable_json(&json);
            assert_eq!(escaped, printable_lines(&escaped));
            assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
        }
    }
}
