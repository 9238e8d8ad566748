//! Obtain: an e-mail and a password become a token.

use tracing::warn;

use super::{
    Auth, Caller, Fault, Grant, HashError,
    clock::milliseconds,
    password::Verdict,
    throttle::{self, Throttled},
};
use crate::accounts::{User, email};

/// Why credentials got no token. The wire tells the first five in one and the same way.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
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
    Throttled(#[from] Throttled),
    /// The client did not wait for its answer.
    #[error("the client has gone")]
    CallerGone,
    /// Our own fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Refusal {
    /// The same in a word, for what is measured.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::UnusablePassword => "unusable_password",
            Self::WrongPassword => "wrong_password",
            Self::Disabled => "disabled",
            Self::Overtaken => "overtaken",
            Self::Throttled(_) => "throttled",
            Self::CallerGone => "caller_gone",
            Self::Fault(fault) => fault.reason(),
        }
    }
}

/// Issues a token to the account with `email`, if `password` is exactly its password.
///
/// Every refusal costs the same: one lookup and one hash.
///
/// # Errors
/// When the credentials are refused.
pub async fn obtain(
    auth: &Auth,
    caller: &Caller,
    email: &str,
    password: &str,
) -> Result<Grant, Refusal> {
    let outcome = login(auth, caller, email, password).await;
    auth.audit.login(email, caller.address, &outcome);
    auth.meter.obtain(&outcome);
    outcome.map(|(_, grant)| grant)
}

async fn login(
    auth: &Auth,
    caller: &Caller,
    email: &str,
    password: &str,
) -> Result<(User, Grant), Refusal> {
    let users = auth.users.for_request();
    let user = users.by_email(email).await.map_err(Fault::from)?;
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
        .map_err(Fault::from)??;
    // No connection is held meanwhile; and a hash that nobody waits for is left undone.
    let bucket = throttle::bucket(caller.address);
    let left = caller.left(auth.passwords.grace());
    let verdict = auth.passwords.verify(password, stored, &bucket, left);
    let decided = match verdict.await {
        Ok(verdict) => decide(user, verdict),
        // It counts as a guess: whoever hangs up must not cost more than who waits.
        Err(HashError::CallerGone) => Err(Refusal::CallerGone),
        Err(error) => return Err(Fault::from(error).into()),
    };
    let (user, stale) = match decided {
        Ok(accepted) => accepted,
        Err(refusal) => {
            let counted = auth.throttle.failed(&users, milliseconds, &attempt);
            counted.await.map_err(Fault::from)?;
            return Err(refusal);
        }
    };
    if stale {
        // If there is no time for it now, there will be at the next login.
        match auth.passwords.hash_for(&bucket, password).await {
            Ok(hash) => users.rehash(&user, hash).await.map_err(Fault::from)?,
            Err(error) => warn!(user_id = user.id, %error, "the password keeps its old hash"),
        }
    }
    let recorded = users
        .record_login(&user, now, Some(bucket))
        .await
        .map_err(Fault::from)?;
    if !recorded {
        return Err(Refusal::Overtaken);
    }
    let now = now.unix_timestamp();
    let orig_iat = now.max(user.tokens_valid_after);
    let grant = auth
        .tokens
        .issue(user.id, user.email.clone(), now, orig_iat);
    Ok((user, grant))
}

/// The account that may log in, and whether its hash is stale.
fn decide(user: Option<User>, verdict: Verdict) -> Result<(User, bool), Refusal> {
    match (user, verdict) {
        (None, _) => Err(Refusal::UnknownAccount),
        (Some(user), Verdict::Wrong) if user.password.is_none() => Err(Refusal::UnusablePassword),
        (Some(_), Verdict::Wrong) => Err(Refusal::WrongPassword),
        (Some(user), Verdict::Right { .. }) if !user.is_active => Err(Refusal::Disabled),
        (Some(user), Verdict::Right { stale }) => Ok((user, stale)),
    }
}
