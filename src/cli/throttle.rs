//! The throttle that the settings ask for.

use tracing::warn;

use crate::{
    auth::{Rate, Rates, Throttle},
    config::{self, Settings, Throttling},
};

/// The rates of the settings, also where the throttle is off.
pub(super) fn rates(settings: &Settings) -> Rates {
    let rate = |rate: config::Rate| Rate {
        attempts: rate.attempts,
        per: rate.per,
    };
    Rates {
        account: rate(settings.throttle_account),
        address: rate(settings.throttle_address),
    }
}

pub(super) fn throttle(settings: &Settings) -> Throttle {
    match settings.throttle {
        Throttling::On => Throttle::new(Some(rates(settings))),
        Throttling::Off => {
            warn!("the throttle is off: passwords can be guessed as fast as they can be hashed");
            Throttle::new(None)
        }
    }
}
