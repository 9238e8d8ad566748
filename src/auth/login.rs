//! Obtain: an e-mail and a password become a token.

use tracing::warn;

use super::{
    AuthService, ClientInfo, HashError, InternalError, IssuedToken,
    clock::milliseconds,
    password::Verdict,
    rate_limit::{self, RateLimited},
};
use crate::accounts::{User, email};

/// Why credentials got no token. The wire tells the first five in one and the same way.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No account has this e-mail.
    #[error("no account has this e-mail")]
    UnknownAccount,
    /// The account has no usable password.
    #[error("the account has no usable password")]
    UnusablePassword,
    /// The password is not the account's.
    #[error("the password is wrong")]
    WrongPassword,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// The account was changed while the password was being verified.
    #[error("the account was changed during the login")]
    Overtaken,
    /// Too many attempts failed.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The client did not wait for its answer.
    #[error("the client has gone")]
    ClientDisconnected,
    /// Our own fault.
    #[error(transparent)]
    InternalError(#[from] InternalError),
}

impl LoginError {
    /// The same in a word, for what is measured.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::UnusablePassword => "unusable_password",
            Self::WrongPassword => "wrong_password",
            Self::Disabled => "disabled",
            Self::Overtaken => "overtaken",
            Self::RateLimited(_) => "throttled",
            Self::ClientDisconnected => "caller_gone",
            Self::InternalError(fault) => fault.reason(),
        }
    }
}

/// Issues a token to the account with `email`, if `password` is exactly its password.
///
/// Every refusal costs the same: one lookup and one hash.
///
/// # Errors
/// When the credentials are refused.
pub async fn login(
    auth: &AuthService,
    caller: &ClientInfo,
    email: &str,
    password: &str,
) -> Result<IssuedToken, LoginError> {
    let outcome = evaluate(auth, caller, email, password).await;
    auth.audit.login(email, caller.address, &outcome);
    auth.meter.obtain(&outcome);
    outcome.map(|(_, grant)| grant)
}

async fn evaluate(
    auth: &AuthService,
    caller: &ClientInfo,
    email: &str,
    password: &str,
) -> Result<(User, IssuedToken), LoginError> {
    let users = auth.users.for_request();
    let user = users.by_email(email).await.map_err(InternalError::from)?;
    let stored = user.as_ref().and_then(|user| user.password.as_ref());
    let now = auth.clock.now();
    let milliseconds = milliseconds(now);
    let guess = format!("{}\0{password}", email::key(email));
    let attempt = auth
        .throttle
        .login(
            &users,
            milliseconds,
            email,
            auth.tokens.fingerprint(&guess),
            user.as_ref(),
            caller.address,
        )
        .await
        .map_err(InternalError::from)??;
    // No connection is held meanwhile; and a hash that nobody waits for is left undone.
    let bucket = rate_limit::bucket(caller.address);
    let left = caller.left(auth.passwords.grace());
    let verdict = auth.passwords.verify(password, stored, &bucket, left);
    let decided = match verdict.await {
        Ok(verdict) => check_account(user, verdict),
        // It counts as a guess: whoever hangs up must not cost more than who waits.
        Err(HashError::ClientDisconnected) => Err(LoginError::ClientDisconnected),
        Err(error) => return Err(InternalError::from(error).into()),
    };
    let (user, stale) = match decided {
        Ok(accepted) => accepted,
        Err(refusal) => {
            let counted = auth.throttle.failed(&users, milliseconds, &attempt);
            counted.await.map_err(InternalError::from)?;
            return Err(refusal);
        }
    };
    if stale {
        // If there is no time for it now, there will be at the next login.
        match auth.passwords.hash_for(&bucket, password).await {
            Ok(hash) => users
                .rehash(&user, hash)
                .await
                .map_err(InternalError::from)?,
            Err(error) => warn!(user_id = user.id, %error, "the password keeps its old hash"),
        }
    }
    let recorded = users
        .record_login(&user, now, Some(bucket))
        .await
        .map_err(InternalError::from)?;
    if !recorded {
        return Err(LoginError::Overtaken);
    }
    let now = now.unix_timestamp();
    let orig_iat = now.max(user.tokens_valid_after);
    let grant = auth
        .tokens
        .issue(user.id, user.email.clone(), now, orig_iat);
    Ok((user, grant))
}

/// The account that may log in, and whether its hash is stale.
fn check_account(user: Option<User>, verdict: Verdict) -> Result<(User, bool), LoginError> {
    match (user, verdict) {
        (None, _) => Err(LoginError::UnknownAccount),
        (Some(user), Verdict::Wrong) if user.password.is_none() => {
            Err(LoginError::UnusablePassword)
        }
        (Some(_), Verdict::Wrong) => Err(LoginError::WrongPassword),
        (Some(user), Verdict::Right { .. }) if !user.is_active => Err(LoginError::Disabled),
        (Some(user), Verdict::Right { stale }) => Ok((user, stale)),
    }
}
