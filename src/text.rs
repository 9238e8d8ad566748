//! Text from databases, files and clients, made safe for a terminal.

use std::fmt::Write as _;

use unicode_general_category::{GeneralCategory, get_general_category};

/// Replaces the characters that control a terminal by U+FFFD: control characters, format characters (such as characters that change the
/// direction of text) and line separators.
///
/// Commands must call this function on every text from a database, a file or a client before they print the text.
#[must_use]
pub fn printable(text: &str) -> String {
    text.replace(is_unprintable, "\u{fffd}")
}

/// Replaces the same characters in several lines, except line feeds.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    text.replace(|c| c != '\n' && is_unprintable(c), "\u{fffd}")
}

/// Escapes the same characters in serialized JSON. In JSON, these characters occur only in strings, so no value changes.
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

    /// Characters that control a terminal or are invisible.
    const HARMFUL: &str = "\0\u{7}\u{8}\t\r\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200f}\
                           \u{2028}\u{2029}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0041}";

    #[test]
    fn only_harmful_characters_are_replaced() {
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
