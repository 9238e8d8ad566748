//! The one door through which randomness enters.

/// `N` bytes from the system's generator.
///
/// # Panics
/// When the system has no randomness to give: nothing here may go on without it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one home of randomness")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random generator must work");
    bytes
}

/// Random text: `2 * N` hexadecimal digits.
#[must_use]
pub fn hex<const N: usize>() -> String {
    use std::fmt::Write;
    bytes::<N>()
        .iter()
        .fold(String::with_capacity(2 * N), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
