//! The publication of public keys and of the issuer in the database, which all replicas share.

use super::{
    AuthService, PrivateKey,
    token::{
        MAX_AGE_OF_KEYS,
        published::{self, LastRead},
    },
};
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
        let recorded = self
            .accounts
            .record_issuer(issuer.unwrap_or_default(), || self.now())
            .await;
        // Without an issuer, the role of the service needs no access to the table.
        if issuer.is_some() {
            recorded?;
        }
        self.renew_publication().await
    }

    /// Extends the publication of the keys, and reads the keys and issuers of all replicas. Must be called every few seconds.
    ///
    /// # Errors
    /// If the database fails. If it cannot be read, the former keys and issuers stay in use.
    pub async fn renew_publication(&self) -> Result<(), DatabaseError> {
        self.publish(&self.tokens.private_keys()).await
    }

    /// Publishes keys before the service uses them, reads the keys and issuers of all replicas, and records the keys that this replica now
    /// serves. Without keys and without an issuer, there is no query.
    ///
    /// # Errors
    /// If the database fails. If it cannot be read, the former keys and issuers stay in use.
    pub async fn publish(&self, keys: &[PrivateKey]) -> Result<(), DatabaseError> {
        if keys.is_empty() && self.tokens.issuer.is_none() {
            return Ok(());
        }
        let mut last_read = self.tokens.publication.lock().await;
        let now = self.now();
        let rows = published::rows(keys, now, self.tokens.lifetimes.expires_in);
        if rows.is_empty() {
            return self.read_publication(now, &mut last_read).await;
        }
        // Reads also if the service cannot write, so that it knows the keys and revocations of the other replicas.
        let publication = self.accounts.publish_keys(rows, now).await;
        let read = self.read_publication(now, &mut last_read).await;
        publication.and(read)?;
        let served = self.tokens.served_keys();
        let oldest = now - MAX_AGE_OF_KEYS;
        self.accounts.record_served_keys(served, oldest).await
    }

    /// Reads the keys and issuers again, since another replica may have changed them. Clients can cause such reads, so there is a pause
    /// after each read. If a read failed, the requests that waited for the read fail too: they do not wait for another read.
    ///
    /// # Errors
    /// If the database fails, or has failed less than [`MIN_PAUSE`] ago.
    pub(super) async fn read_publication_again(&self) -> Result<(), DatabaseError> {
        let mut last_read = self.tokens.publication.lock().await;
        let now = self.now();
        if now - last_read.at < MIN_PAUSE {
            return last_read.failure.clone().map_or(Ok(()), Err);
        }
        self.read_publication(now, &mut last_read).await
    }

    async fn read_publication(
        &self,
        now: i64,
        last_read: &mut LastRead,
    ) -> Result<(), DatabaseError> {
        let read = async {
            let keys = self.accounts.published_keys().await?;
            let issuers = self.accounts.issuers().await?;
            // Without a private key, no key can sign, and the role of the service needs no access to the table.
            let served = if self.tokens.private_keys().is_empty() {
                Vec::new()
            } else {
                // Without the records, the delay begins when this replica serves a key, and the other replicas read the key within a minute,
                // or forbid caching. Writing the records then fails too, and reports the cause.
                self.accounts.served_keys().await.unwrap_or_default()
            };
            self.tokens.set_published(keys, issuers, served, now);
            Ok(())
        };
        let read = read.await;
        *last_read = LastRead {
            at: self.now(),
            failure: read.as_ref().err().cloned(),
        };
        read
    }

    fn now(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }
}
