//! The one door through which randomness enters.

use data_encoding::HEXLOWER;

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
    HEXLOWER.encode(&bytes::<N>())
}
