//! Obtain: an e-mail and a password become a token.

use tracing::info;

use super::{Auth, Caller, Fault, Grant, password::Verdict};

/// Why credentials got no token. The wire tells the first four in one and the same way.
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
    /// The account is disabled, or was while the password was being verified.
    #[error("the account is disabled")]
    Disabled,
    /// The client did not wait for its answer.
    #[error("the client has gone")]
    CallerGone,
    /// Our own fault.
    #[error(transparent)]
    Fault(#[from] Fault),
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
    let user = auth.users.by_email(email).await.map_err(Fault::from)?;
    let stored = user.as_ref().and_then(|user| user.password.as_ref());
    // No connection is held meanwhile; and a hash that nobody waits for is left undone.
    let verdict = tokio::select! {
        verdict = auth.passwords.verify(password, stored) => verdict.map_err(Fault::from)?,
        () = caller.left() => return Err(Refusal::CallerGone),
    };

    let user = user.ok_or(Refusal::UnknownAccount)?;
    let Verdict::Right(rehashed) = verdict else {
        return Err(match user.password {
            None => Refusal::UnusablePassword,
            Some(_) => Refusal::WrongPassword,
        });
    };
    if !user.is_active {
        return Err(Refusal::Disabled);
    }
    if let Some(hash) = rehashed {
        auth.users.rehash(&user, hash).await.map_err(Fault::from)?;
        info!(
            user_id = user.id,
            "rehashed the password at the current cost"
        );
    }
    let now = auth.clock.now();
    let user = auth
        .users
        .record_login(&user, now)
        .await
        .map_err(Fault::from)?
        .ok_or(Refusal::Disabled)?;
    let now = now.unix_timestamp();
    Ok(auth
        .tokens
        .issue(&user, now, now.max(user.tokens_valid_after)))
}
