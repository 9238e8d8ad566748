//! The publication of public keys and of the issuer in the database, which all replicas share.

use super::{AuthService, PrivateKey, token::published};
use crate::accounts::DatabaseError;

/// The shortest time between two reads that clients cause, in seconds.
const MIN_PAUSE: i64 = 1;

impl AuthService {
    /// Records the issuer, or that there is no issuer, and publishes the keys. Must be called before the service answers requests.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn start_publication(&self) -> Result<(), DatabaseError> {
        let issuer = self.tokens.issuer.as_deref();
        let now = || self.clock.now().unix_timestamp();
        let recorded = self.accounts.record_issuer(issuer.unwrap_or_default(), now);
        let recorded = recorded.await;
        // Without an issuer, the role of the service needs no access to the table.
        if issuer.is_some() {
            recorded?;
        }
        self.renew_publication().await
    }

    /// Extends the publication of the keys, and reads the keys and issuers of all replicas. Must be called every few seconds.
    ///
    /// # Errors
    /// If the database fails. The former keys and issuers then stay in use.
    pub async fn renew_publication(&self) -> Result<(), DatabaseError> {
        self.publish(&self.tokens.private_keys()).await
    }

    /// Publishes keys before the service uses them, and reads the keys and issuers of all replicas. Without keys and without an issuer,
    /// there is no query.
    ///
    /// # Errors
    /// If the database fails. The former keys and issuers then stay in use.
    pub async fn publish(&self, keys: &[PrivateKey]) -> Result<(), DatabaseError> {
        if keys.is_empty() && self.tokens.issuer.is_none() {
            return Ok(());
        }
        let mut read_at = self.tokens.publication.lock().await;
        let now = self.clock.now().unix_timestamp();
        *read_at = now;
        let rows = published::rows(keys, now, self.tokens.lifetimes.expires_in);
        if !rows.is_empty() {
            self.accounts.publish_keys(rows, now).await?;
        }
        self.read_publication(now).await
    }

    /// Reads the keys and issuers again, since another replica may have changed them. Reads at most once in [`MIN_PAUSE`], because clients
    /// can cause it. A read that failed counts, so that requests do not wait for each other's time limit.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn read_publication_again(&self) -> Result<(), DatabaseError> {
        let mut read_at = self.tokens.publication.lock().await;
        let now = self.clock.now().unix_timestamp();
        if now - *read_at < MIN_PAUSE {
            return Ok(());
        }
        *read_at = now;
        self.read_publication(now).await
    }

    async fn read_publication(&self, now: i64) -> Result<(), DatabaseError> {
        let keys = self.accounts.published_keys().await?;
        let issuers = self.accounts.issuers().await?;
        self.tokens.set_published(keys, issuers, now);
        Ok(())
    }
}
