//! The ids of requests: drawn, so that nobody learns from two of them how many were given in between.

use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use poem::http::HeaderValue;

use crate::auth::random;

const ID: usize = 8;
/// So many are drawn at once: to ask the system for each would take a fiftieth of a refresh.
const IDS: usize = 512;

/// Gives ids.
pub(super) struct Ids(Mutex<Drawn>);

struct Drawn {
    bytes: [u8; IDS * ID],
    given: usize,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Drawn {
            bytes: random::bytes(),
            given: 0,
        }))
    }

    pub(super) fn next(&self) -> HeaderValue {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.given == IDS {
            drawn.bytes = random::bytes();
            drawn.given = 0;
        }
        let start = drawn.given * ID;
        let digits = HEXLOWER.encode(&drawn.bytes[start..start + ID]);
        drawn.given += 1;
        HeaderValue::try_from(digits).expect("digits may stand in a header")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ID, IDS, Ids};

    #[test]
    fn no_id_comes_again_when_others_are_drawn() {
        let ids = Ids::new();
        let given: HashSet<_> = (0..3 * IDS).map(|_| ids.next()).collect();
        assert_eq!(given.len(), 3 * IDS);
        assert!(given.iter().all(|id| id.len() == 2 * ID));
    }

    #[test]
    fn ids_do_not_tell_how_many_were_given() {
        let ids = Ids::new();
        let number = || u64::from_str_radix(ids.next().to_str().unwrap(), 16).unwrap();
        let (a, b, c) = (number(), number(), number());
        assert_ne!(b.wrapping_sub(a), c.wrapping_sub(b));
    }
}
