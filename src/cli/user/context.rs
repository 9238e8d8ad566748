//! The parts that every command for existing accounts uses.

use time::OffsetDateTime;

use super::format::change;
use crate::{
    accounts::{Account, AccountStore},
    auth::{Audit, Clock},
    cli::{error::CliError, output::OutputArgs},
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

    /// Writes the audit event of a change, and confirms the change.
    pub(super) fn confirm_change(
        &self,
        output: OutputArgs,
        event: &str,
        text: String,
        account: &Account,
    ) -> Result<(), CliError> {
        self.audit.changed(event, account);
        output.confirm(text, change(true, account))
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }
}
