//! The parts that every command for existing accounts uses.

use time::OffsetDateTime;

use crate::{
    accounts::AccountStore,
    auth::{Audit, Clock},
    config::Settings,
};

pub(super) struct Context<'a> {
    pub(super) accounts: &'a AccountStore,
    pub(super) settings: &'a Settings,
    pub(super) audit: Audit,
    clock: Clock,
}

impl<'a> Context<'a> {
    pub(super) fn new(accounts: &'a AccountStore, settings: &'a Settings) -> Self {
        Self {
            accounts,
            settings,
            audit: settings.audit(),
            clock: Clock::system(),
        }
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }
}
