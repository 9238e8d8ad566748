//! Random bytes from the operating system.

use std::cell::RefCell;

use data_encoding::HEXLOWER;

/// How many bytes for request IDs are read from the system at once. A system call for each ID costs 2 % of a refresh.
const BUFFER_LEN: usize = 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

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

/// Returns a new request ID of 16 hexadecimal digits.
#[must_use]
pub fn request_id() -> String {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.is_empty() {
            buffer.extend(bytes::<BUFFER_LEN>());
        }
        HEXLOWER.encode(&buffer.split_off(buffer.len() - 8))
    })
}
