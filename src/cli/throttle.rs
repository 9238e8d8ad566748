//! The throttle that the settings ask for.

use tracing::warn;

use crate::{
    auth::{Rate, Rates, Throttle},
    config::{self, Settings, Throttling},
};

pub(super) fn throttle(settings: &Settings) -> Throttle {
    let rate = |rate: config::Rate| Rate {
        attempts: rate.attempts,
        per: rate.per,
    };
    let rates = Rates {
        account: rate(settings.throttle_account),
        address: rate(settings.throttle_address),
    };
    match settings.throttle {
        Throttling::On => Throttle::new(Some(rates)),
        Throttling::Off => {
            warn!("the throttle is off: passwords can be guessed as fast as they can be hashed");
            Throttle::new(None)
        }
    }
}
