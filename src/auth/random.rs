//! Random bytes from the operating system.

use data_encoding::HEXLOWER;

/// Returns `N` random bytes.
///
/// # Panics
/// If the random generator of the system fails. Secrets, salts and IDs all depend on the generator.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the only use of the random generator"
)]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random generator must work");
    bytes
}

/// Returns random text of `2 * N` hexadecimal digits.
#[must_use]
pub fn hex<const N: usize>() -> String {
    HEXLOWER.encode(&bytes::<N>())
}
