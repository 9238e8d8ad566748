//! The audit log: logins, rejected logins, uses of revoked tokens, and changes by operators.
//!
//! Entries are log events with the target `audit`. They contain no password and no token.

use std::net::IpAddr;

use tracing::{info, warn};

use super::{
    IssuedToken,
    error::{LoginError, TokenRejection},
};
use crate::accounts::Account;

/// The operation that received a token.
#[derive(Clone, Copy)]
pub(super) enum PresentedFor {
    Refresh,
    Verify,
    Gateway,
}

/// Writes the audit log.
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    /// Whether emails are logged in full. A masked email shows its first letter and its domain.
    pub whole_emails: bool,
}

impl Audit {
    /// The target of the log events.
    pub const TARGET: &str = "audit";

    pub(super) fn login(
        self,
        email: &str,
        address: Option<IpAddr>,
        outcome: &Result<(Account, IssuedToken), LoginError>,
    ) {
        let address = address.map(tracing::field::display);
        let email = self.shown(email);
        match outcome {
            Ok((account, _)) => {
                info!(target: Audit::TARGET, event = "login", user_id = account.id, email, address);
            }
            Err(LoginError::RateLimited(limited)) => {
                warn!(target: Audit::TARGET, event = "login_throttled", email, address, wait = limited.seconds);
            }
            Err(LoginError::Internal(_)) => {}
            Err(cause) => {
                warn!(target: Audit::TARGET, event = "login_failed", email, address, %cause);
            }
        }
    }

    /// Records the use of a revoked token, and a rate limit.
    pub(super) fn token_rejected(
        operation: PresentedFor,
        address: Option<IpAddr>,
        error: &TokenRejection,
    ) {
        let address = address.map(tracing::field::display);
        match (operation, error) {
            (PresentedFor::Refresh, TokenRejection::Revoked { user_id }) => {
                warn!(target: Audit::TARGET, event = "refresh_after_revocation", user_id, address);
            }
            (PresentedFor::Verify | PresentedFor::Gateway, TokenRejection::Revoked { user_id }) => {
                warn!(target: Audit::TARGET, event = "verify_after_revocation", user_id, address);
            }
            (PresentedFor::Refresh, TokenRejection::RateLimited(limited)) => {
                warn!(target: Audit::TARGET, event = "refresh_throttled", address, wait = limited.seconds);
            }
            (PresentedFor::Verify, TokenRejection::RateLimited(limited)) => {
                warn!(target: Audit::TARGET, event = "verify_throttled", address, wait = limited.seconds);
            }
            _ => {}
        }
    }

    /// Records a change of an account by an operator.
    pub fn changed(self, event: &str, account: &Account) {
        let email = self.shown(&account.email);
        info!(target: Audit::TARGET, event, user_id = account.id, email);
    }

    /// Records that an operator cleared the failures of an address.
    pub fn address_unlocked(self, address: &str, failures: u64) {
        info!(target: Audit::TARGET, event = "address_unlocked", address, failures);
    }

    /// Records that an operator revoked the tokens of all accounts.
    pub fn all_revoked(self, accounts: u64) {
        info!(target: Audit::TARGET, event = "all_tokens_revoked", accounts);
    }

    /// Records an import. `revoked` accounts lost their tokens.
    pub fn imported(self, added: u64, updated: u64, revoked: u64) {
        info!(target: Audit::TARGET, event = "accounts_imported", added, updated, revoked);
    }

    /// Masks an email, and escapes it, because a quoted local part may contain control characters.
    fn shown(self, email: &str) -> String {
        let shown = match email.rsplit_once('@') {
            Some((local, domain)) if !self.whole_emails => {
                let first = local.chars().next().unwrap_or_default();
                format!("{first}…@{domain}")
            }
            _ => email.to_owned(),
        };
        shown.escape_debug().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Audit;

    #[test]
    fn email_is_masked_and_escaped() {
        let [masked, whole] = [false, true].map(|whole_emails| Audit { whole_emails });
        assert_eq!(masked.shown("jonhdoeqa@email.com"), "j…@email.com");
        assert_eq!(whole.shown("jonhdoeqa@email.com"), "jonhdoeqa@email.com");
        assert_eq!(whole.shown("\"\n\"@email.com"), "\\\"\\n\\\"@email.com");
    }
}
