//! Refresh: a token that is still good becomes a newer one.

use super::{
    Audit, AuthService, ClientInfo, InternalError, IssuedToken, clock::milliseconds,
    rate_limit::RateLimited, token::TokenError,
};

/// Why a token was not refreshed, in the order in which the checks are made.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// It does not verify.
    #[error("the token is invalid: {0}")]
    InvalidToken(#[from] TokenError),
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It names no account: `user_id` or `username` is missing or empty.
    #[error("the token names no account")]
    NoSubject,
    /// The account that it names is not there, or has another e-mail by now.
    #[error("the account is gone, or has another e-mail")]
    UnknownAccount,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// It does not tell when its password was given.
    #[error("the token has no orig_iat")]
    NoOrigIat,
    /// The refresh window has passed.
    #[error("the refresh window has passed")]
    WindowPassed,
    /// It was issued before the account's cut.
    #[error("the token was revoked")]
    Revoked {
        /// The account's id.
        user_id: i64,
    },
    /// Too many tokens from this address did not verify.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// Our own fault.
    #[error(transparent)]
    InternalError(#[from] InternalError),
}

impl RefreshError {
    /// The same in a word, for what is measured.
    pub(super) const fn reason(&self) -> &'static str {
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
            Self::InternalError(fault) => fault.reason(),
        }
    }
}

/// Issues a newer token for `token`. It keeps `orig_iat`; all else is read from the account anew.
///
/// # Errors
/// When the token is refused; the checks are those of the contract, in its order.
pub async fn refresh(
    auth: &AuthService,
    caller: &ClientInfo,
    token: &str,
) -> Result<IssuedToken, RefreshError> {
    let outcome = renew(auth, caller, token).await;
    auth.meter.refresh(&outcome);
    outcome.inspect_err(|refusal| Audit::refresh(caller.address, refusal))
}

async fn renew(
    auth: &AuthService,
    caller: &ClientInfo,
    token: &str,
) -> Result<IssuedToken, RefreshError> {
    let at = auth.clock.now();
    let now = at.unix_timestamp();
    let presented = match auth.tokens.verify(token, now) {
        Ok(presented) => presented,
        Err(invalid) => {
            // Only these are throttled: a token that verifies costs no look at the throttle.
            let at = milliseconds(at);
            let users = auth.users.for_request();
            let allowed = auth.throttle.garbage(&users, at, caller.address);
            let attempt = allowed.await.map_err(InternalError::from)??;
            let counted = auth.throttle.failed(&users, at, &attempt);
            counted.await.map_err(InternalError::from)?;
            return Err(invalid.into());
        }
    };
    if presented.exp < now {
        return Err(RefreshError::Expired);
    }
    let (Some(id), Some(username)) = (presented.user_id, presented.username) else {
        return Err(RefreshError::NoSubject);
    };
    if username.is_empty() {
        return Err(RefreshError::NoSubject);
    }
    let user = auth
        .users
        .token_subject(id)
        .await
        .map_err(InternalError::from)?
        .filter(|user| user.email == username)
        .ok_or(RefreshError::UnknownAccount)?;
    if !user.is_active {
        return Err(RefreshError::Disabled);
    }
    let orig_iat = presented
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
