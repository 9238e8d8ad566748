//! Refresh: exchanges a valid token for a newer one.

use super::{
    Audit, AuthService, ClientInfo, InternalError, IssuedToken, clock::unix_milliseconds,
    rate_limit::RateLimited, token::TokenError,
};
use crate::accounts::DatabaseError;

/// A refresh was rejected. The variants are in the order of the checks.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token does not verify.
    #[error("the token is invalid: {0}")]
    InvalidToken(#[from] TokenError),
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The claim `user_id` or `username` is missing or empty.
    #[error("the token has no account ID")]
    NoSubject,
    /// The account does not exist, or its email has changed.
    #[error("the account was deleted, or has another email")]
    UnknownAccount,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// The claim `orig_iat` is missing or zero.
    #[error("orig_iat is missing")]
    NoOrigIat,
    /// The refresh window has passed.
    #[error("the refresh window has ended")]
    WindowPassed,
    /// The tokens of the account were revoked after the login.
    #[error("the token was revoked")]
    Revoked {
        /// The ID of the account.
        user_id: i64,
    },
    /// The client sent too many invalid tokens.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The service failed.
    #[error(transparent)]
    Internal(#[from] InternalError),
}

impl From<DatabaseError> for RefreshError {
    fn from(error: DatabaseError) -> Self {
        InternalError::from(error).into()
    }
}

impl RefreshError {
    /// Returns the value of the label `reason` in metrics.
    pub(super) const fn metric_label(&self) -> &'static str {
        match self {
            Self::InvalidToken(_) => "invalid",
            Self::Expired => "expired",
            Self::NoSubject => "no_subject",
            Self::UnknownAccount => "unknown_account",
            Self::Disabled => "disabled",
            Self::NoOrigIat => "no_orig_iat",
            Self::WindowPassed => "window_passed",
            Self::Revoked { .. } => "revoked",
            Self::RateLimited(_) => "throttled",
            Self::Internal(error) => error.metric_label(),
        }
    }
}

/// Issues a newer token for `token`. The new token has the same `orig_iat`, and the email of the account.
///
/// # Errors
/// If the token is rejected, or the service fails. The contract sets the order of the checks.
pub async fn refresh(
    auth: &AuthService,
    client: &ClientInfo,
    token: &str,
) -> Result<IssuedToken, RefreshError> {
    let outcome = exchange(auth, client, token).await;
    auth.metrics.record_refresh(&outcome);
    outcome.inspect_err(|error| Audit::refresh(client.address, error))
}

async fn exchange(
    auth: &AuthService,
    client: &ClientInfo,
    token: &str,
) -> Result<IssuedToken, RefreshError> {
    let now = auth.clock.now();
    let milliseconds = unix_milliseconds(now);
    let now = now.unix_timestamp();
    let claims = match auth.tokens.verify(token, now) {
        Ok(claims) => claims,
        Err(invalid) => {
            // Valid tokens are refreshed without a query of the counters.
            let users = auth.users.for_request();
            let limiter = &auth.rate_limiter;
            let attempt = limiter.check_invalid_token(&users, milliseconds, client.address);
            let attempt = attempt.await??;
            let recorded = limiter.record_failure(&users, milliseconds, &attempt);
            recorded.await?;
            return Err(invalid.into());
        }
    };
    if claims.exp < now {
        return Err(RefreshError::Expired);
    }
    let (Some(id), Some(username)) = (claims.user_id, claims.username) else {
        return Err(RefreshError::NoSubject);
    };
    if username.is_empty() {
        return Err(RefreshError::NoSubject);
    }
    let user = auth
        .users
        .token_subject(id)
        .await?
        .filter(|user| user.email == username)
        .ok_or(RefreshError::UnknownAccount)?;
    if !user.is_active {
        return Err(RefreshError::Disabled);
    }
    let orig_iat = claims
        .orig_iat
        .filter(|seconds| *seconds != 0)
        .ok_or(RefreshError::NoOrigIat)?;
    if now > orig_iat.saturating_add(auth.tokens.lifetimes.refresh_window) {
        return Err(RefreshError::WindowPassed);
    }
    if orig_iat < user.tokens_valid_after {
        return Err(RefreshError::Revoked { user_id: user.id });
    }
    Ok(auth.tokens.issue(user.id, user.email, now, orig_iat))
}
