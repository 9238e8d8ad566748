//! Verification of a token that a client presents.

use time::OffsetDateTime;
use tracing::debug;

use super::{
    Audit, AuthService, ClientInfo, TokenRejection,
    audit::PresentedFor,
    clock::unix_milliseconds,
    token::{TokenError, VerifiedClaims},
};
use crate::accounts::TokenSubject;

/// A valid token.
#[derive(Debug)]
pub struct ValidToken {
    /// The ID of the account.
    pub user_id: i64,
    /// The email of the account, as stored.
    pub email: String,
    /// Seconds until the token expires.
    pub expires_in: i64,
}

/// Verifies a token of a client. Invalid tokens count against the rate limit of the client.
///
/// # Errors
/// If the token is rejected, or the service fails.
pub async fn verify(
    auth: &AuthService,
    client: &ClientInfo,
    token: &str,
) -> Result<ValidToken, TokenRejection> {
    let now = auth.clock.now();
    let outcome = authenticate_client(auth, client, token, now)
        .await
        .and_then(|presented| presented.into_valid(now));
    auth.metrics.record_verification("operation", &outcome);
    outcome.inspect_err(|error| Audit::token_rejected(PresentedFor::Verify, client.address, error))
}

/// Verifies the token of a gateway's request. An empty token means that the request has no token. There is no rate limit, because the
/// gateway sends the requests of all clients.
///
/// # Errors
/// If the token is rejected, or the service fails.
pub async fn verify_for_gateway(
    auth: &AuthService,
    token: &str,
) -> Result<ValidToken, TokenRejection> {
    let now = auth.clock.now();
    let outcome = authenticate(auth, token, now)
        .await
        .and_then(|presented| presented.into_valid(now));
    auth.metrics.record_verification("gateway", &outcome);
    // The address of the client is only in the log of the gateway.
    outcome.inspect_err(|error| {
        Audit::token_rejected(PresentedFor::Gateway, None, error);
        debug!(%error, "token of a gateway rejected");
    })
}

/// A token with a valid signature that has not expired, and its enabled account. The token may be revoked.
pub(super) struct PresentedToken {
    pub(super) claims: VerifiedClaims,
    pub(super) subject: TokenSubject,
}

impl PresentedToken {
    /// Rejects a token of a login before the account's tokens were revoked.
    pub(super) fn check_revocation(&self, orig_iat: i64) -> Result<(), TokenRejection> {
        if orig_iat < self.subject.tokens_valid_after {
            return Err(TokenRejection::Revoked {
                user_id: self.subject.id,
            });
        }
        Ok(())
    }

    fn into_valid(self, now: OffsetDateTime) -> Result<ValidToken, TokenRejection> {
        // A token without `orig_iat` may be older than a revocation. Without a revocation, the cutoff is 0.
        self.check_revocation(self.claims.orig_iat.unwrap_or(0))?;
        Ok(ValidToken {
            user_id: self.subject.id,
            email: self.subject.email,
            expires_in: self.claims.exp - now.unix_timestamp(),
        })
    }
}

/// Checks the signature, the expiry, the payload and the account of a client's token. Valid tokens need no query of the rate limits.
pub(super) async fn authenticate_client(
    auth: &AuthService,
    client: &ClientInfo,
    token: &str,
    now: OffsetDateTime,
) -> Result<PresentedToken, TokenRejection> {
    let outcome = authenticate(auth, token, now).await;
    if let Err(TokenRejection::InvalidToken(_)) = outcome {
        let accounts = auth.accounts.for_request();
        let limiter = &auth.rate_limiter;
        let milliseconds = unix_milliseconds(now);
        let attempt = limiter.check_invalid_token(&accounts, milliseconds, client.address);
        let attempt = attempt.await??;
        let recorded = limiter.record_failure(&accounts, milliseconds, &attempt);
        recorded.await?;
    }
    outcome
}

async fn authenticate(
    auth: &AuthService,
    token: &str,
    now: OffsetDateTime,
) -> Result<PresentedToken, TokenRejection> {
    let now = now.unix_timestamp();
    let mut claims = auth.tokens.verify(token, now);
    if matches!(claims, Err(TokenError::UnknownKey | TokenError::Issuer)) {
        // Another replica may have published the key, or changed the issuer.
        auth.read_publication_again().await?;
        claims = auth.tokens.verify(token, now);
    }
    let claims = claims?;
    if claims.exp < now {
        return Err(TokenRejection::Expired);
    }
    let (Some(id), Some(username)) = (claims.user_id, claims.username.as_deref()) else {
        return Err(TokenRejection::NoSubject);
    };
    if username.is_empty() {
        return Err(TokenRejection::NoSubject);
    }
    let subject = auth
        .accounts
        .token_subject(id)
        .await?
        .filter(|subject| subject.email == username)
        .ok_or(TokenRejection::UnknownAccount)?;
    if !subject.is_active {
        return Err(TokenRejection::Disabled);
    }
    Ok(PresentedToken { claims, subject })
}
