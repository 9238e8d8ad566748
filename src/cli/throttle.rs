//! The throttle that the settings ask for.

use tracing::warn;

use crate::{
    auth::{Quota, Quotas, RateLimiter},
    config::{self, Settings, Throttling},
};

/// The rates of the settings, also where the throttle is off.
pub(super) fn rates(settings: &Settings) -> Quotas {
    let rate = |rate: config::Rate| Quota {
        attempts: rate.attempts,
        per: rate.per,
    };
    Quotas {
        account: rate(settings.throttle_account),
        address: rate(settings.throttle_address),
    }
}

pub(super) fn throttle(settings: &Settings) -> RateLimiter {
    match settings.throttle {
        Throttling::On => RateLimiter::new(Some(rates(settings))),
        Throttling::Off => {
            warn!("the throttle is off: passwords can be guessed as fast as they can be hashed");
            RateLimiter::new(None)
        }
    }
}
