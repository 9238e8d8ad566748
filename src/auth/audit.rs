//! The audit trail: who logged in, failed, was throttled or came with an ended token, and what was
//! changed by hand. Events at the target `audit`, structured, without a secret.

use std::net::IpAddr;

use tracing::{info, warn};

use super::{IssuedToken, login::LoginError, refresh::RefreshError};
use crate::accounts::User;

/// Writes the trail.
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    /// Whether e-mails are written out; masked, they tell the first letter and the domain.
    pub whole_emails: bool,
}

impl Audit {
    /// The target of its events.
    pub const TARGET: &str = "audit";

    pub(super) fn login(
        self,
        email: &str,
        address: Option<IpAddr>,
        outcome: &Result<(User, IssuedToken), LoginError>,
    ) {
        let address = address.map(tracing::field::display);
        let email = self.shown(email);
        match outcome {
            Ok((user, _)) => {
                info!(target: Audit::TARGET, event = "login", user_id = user.id, email, address);
            }
            Err(LoginError::RateLimited(throttled)) => {
                warn!(target: Audit::TARGET, event = "login_throttled", email, address, wait = throttled.seconds);
            }
            Err(LoginError::InternalError(_)) => {}
            Err(cause) => {
                warn!(target: Audit::TARGET, event = "login_failed", email, address, %cause);
            }
        }
    }

    pub(super) fn refresh(address: Option<IpAddr>, refusal: &RefreshError) {
        let address = address.map(tracing::field::display);
        match refusal {
            RefreshError::Revoked { user_id } => {
                warn!(target: Audit::TARGET, event = "refresh_after_revocation", user_id, address);
            }
            RefreshError::RateLimited(throttled) => {
                warn!(target: Audit::TARGET, event = "refresh_throttled", address, wait = throttled.seconds);
            }
            _ => {}
        }
    }

    /// What an operator did to an account.
    pub fn changed(self, event: &str, account: &User) {
        let email = self.shown(&account.email);
        info!(target: Audit::TARGET, event, user_id = account.id, email);
    }

    /// An operator cleared the failures of an address.
    pub fn address_unlocked(self, address: &str, failures: u64) {
        info!(target: Audit::TARGET, event = "address_unlocked", address, failures);
    }

    /// An operator ended the tokens of every account.
    pub fn all_revoked(self, accounts: u64) {
        info!(target: Audit::TARGET, event = "all_tokens_revoked", accounts);
    }

    /// An operator imported accounts, which revoked the tokens of some.
    pub fn imported(self, added: u64, updated: u64, revoked: u64) {
        info!(target: Audit::TARGET, event = "accounts_imported", added, updated, revoked);
    }

    /// Escaped, since a quoted local part may hold anything.
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
    fn an_e_mail_is_masked_and_harmless() {
        let [masked, whole] = [false, true].map(|whole_emails| Audit { whole_emails });
        assert_eq!(masked.shown("jonhdoeqa@email.com"), "j…@email.com");
        assert_eq!(whole.shown("jonhdoeqa@email.com"), "jonhdoeqa@email.com");
        assert_eq!(whole.shown("\"\n\"@email.com"), "\\\"\\n\\\"@email.com");
    }
}
