//! Replaces values that Python writes and JSON does not allow. `dumpdata` writes such values for any model, and a strict parser would
//! reject the whole dump.

use std::{
    io::{self, Read},
    ops::Range,
};

/// The number of bytes per read.
const CHUNK: usize = 64 * 1024;
/// The number of bytes that suffice to decide about a replacement: the two escapes of a surrogate pair.
const LOOKAHEAD: usize = 12;

/// Replacements of the same length, so that errors have the right column. No field of a user accepts a list.
const NUMBERS: [(&[u8], &[u8]); 3] = [
    (b"NaN", b"[ ]"),
    (b"Infinity", b"[      ]"),
    (b"-Infinity", b"[       ]"),
];
/// Replaces a lone surrogate. Emails with this character are rejected, so that no user is imported with a wrong email.
const NULL_CHARACTER: &[u8] = b"\\u0000";

/// Reads `input` with replacements for `NaN`, `Infinity`, `-Infinity` and lone surrogates.
pub(super) struct Python<R> {
    input: R,
    buffer: Vec<u8>,
    /// The bytes of the buffer that are ready to be read.
    ready: Range<usize>,
    is_in_string: bool,
    is_at_end: bool,
}

impl<R: Read> Python<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            ready: 0..0,
            is_in_string: false,
            is_at_end: false,
        }
    }

    /// Reads until some bytes are ready, or until the end of the input.
    fn fill(&mut self) -> io::Result<()> {
        while self.ready.is_empty() && !(self.is_at_end && self.ready.end == self.buffer.len()) {
            self.buffer.drain(..self.ready.end);
            self.ready = 0..0;
            let kept = self.buffer.len();
            self.buffer.resize(kept + CHUNK, 0);
            let read = loop {
                match self.input.read(&mut self.buffer[kept..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            self.buffer
                .truncate(kept + read.as_ref().map_or(0, |read| *read));
            self.is_at_end = read? == 0;
            self.ready = 0..self.replace();
        }
        Ok(())
    }

    /// Replaces values in the buffer. Returns the number of bytes that do not depend on the following bytes.
    fn replace(&mut self) -> usize {
        let mut at = 0;
        while at < self.buffer.len() {
            let rest = &self.buffer[at..];
            let mut bytes = rest.iter();
            let next = if self.is_in_string {
                bytes.position(|byte| matches!(byte, b'"' | b'\\'))
            } else {
                bytes.position(|byte| matches!(byte, b'"' | b'N' | b'I' | b'-'))
            };
            let Some(next) = next else {
                return self.buffer.len();
            };
            at += next;
            let rest = &mut self.buffer[at..];
            if rest[0] == b'"' {
                self.is_in_string = !self.is_in_string;
                at += 1;
            } else if rest.len() < LOOKAHEAD && !self.is_at_end {
                return at;
            } else if self.is_in_string {
                at += escape(rest);
            } else {
                at += number(rest);
            }
        }
        at.min(self.buffer.len())
    }
}

impl<R: Read> Read for Python<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let read = (&self.buffer[self.ready.clone()]).read(buffer)?;
        self.ready.start += read;
        Ok(read)
    }
}

/// Replaces a number that JSON does not have. Returns the number of processed bytes.
fn number(text: &mut [u8]) -> usize {
    for (number, replacement) in NUMBERS {
        if text.starts_with(number) {
            text[..number.len()].copy_from_slice(replacement);
            return number.len();
        }
    }
    1
}

/// Replaces the escape of a lone surrogate. Returns the number of processed bytes.
fn escape(text: &mut [u8]) -> usize {
    match (surrogate(text), text.get(6..).and_then(surrogate)) {
        (Some(Surrogate::High), Some(Surrogate::Low)) => 12,
        (Some(_), _) => {
            text[..6].copy_from_slice(NULL_CHARACTER);
            6
        }
        (None, _) => 2,
    }
}

enum Surrogate {
    High,
    Low,
}

/// Returns the kind of surrogate if the text begins with the escape of a surrogate.
fn surrogate(text: &[u8]) -> Option<Surrogate> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let unit = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    match unit {
        0xd800..=0xdbff => Some(Surrogate::High),
        0xdc00..=0xdfff => Some(Surrogate::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a few bytes per read.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let few = self.1.min(buffer.len());
            self.0.read(&mut buffer[..few])
        }
    }

    #[test]
    fn replacements_do_not_depend_on_the_size_of_reads() {
        for (text, expected) in [
            (
                "[NaN,Infinity,-Infinity, -1,null]",
                "[[ ],[      ],[       ], -1,null]",
            ),
            (
                r#"["NaN \" Infinity","\\",NaN,"\\\"",NaN]"#,
                r#"["NaN \" Infinity","\\",[ ],"\\\"",[ ]]"#,
            ),
            (
                r#""\ud83d\ude00 \uD83D \ude00 \ud83d\ud83d\ude00 \u0041 \\ud83d é""#,
                r#""\ud83d\ude00 \u0000 \u0000 \u0000\ud83d\ude00 \u0041 \\ud83d é""#,
            ),
            (
                r#""\ud83d\n\ude00\u+123\ud8"#,
                r#""\u0000\n\u0000\u+123\ud8"#,
            ),
            (r#""cut off \"#, r#""cut off \"#),
            ("Na", "Na"),
            ("", ""),
        ] {
            assert_eq!(text.len(), expected.len());
            for size in [1, 2, 3, 5, 7, 11, 1000] {
                let mut read = String::new();
                Python::new(Slow(text.as_bytes(), size))
                    .read_to_string(&mut read)
                    .unwrap();
                assert_eq!(read, expected, "{size}");
            }
        }
    }
}
