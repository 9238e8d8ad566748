//! Login: exchanges an email and a password for a token.

use tracing::warn;

use super::{
    AuthService, ClientInfo, HashError, IssuedToken, LoginError, clock::unix_milliseconds,
    hash_pool::DISCONNECT_GRACE, password::Verification, rate_limit,
};
use crate::accounts::{Account, email};

/// Issues a token to the account with `email` if `password` is the account's password.
///
/// Each rejection includes one lookup and one hash, so that the response time does not reveal the cause.
///
/// # Errors
/// If the login is rejected, or the service fails.
pub async fn login(
    auth: &AuthService,
    client: &ClientInfo,
    email: &str,
    password: &str,
) -> Result<IssuedToken, LoginError> {
    let outcome = authenticate(auth, client, email, password).await;
    auth.audit.login(email, client.address, &outcome);
    auth.metrics.record_login(&outcome);
    outcome.map(|(_, token)| token)
}

async fn authenticate(
    auth: &AuthService,
    client: &ClientInfo,
    email: &str,
    password: &str,
) -> Result<(Account, IssuedToken), LoginError> {
    let accounts = auth.accounts.for_request();
    let limiter = &auth.rate_limiter;
    let account = accounts.by_email(email).await?;
    let now = auth.clock.now();
    let milliseconds = unix_milliseconds(now);
    let credentials = format!("{}\0{password}", email::normalize(email));
    let fingerprint = auth.tokens.fingerprint(&credentials);
    let (known, address) = (account.as_ref(), client.address);
    let attempt = limiter.check_login(&accounts, milliseconds, email, fingerprint, known, address);
    let attempt = attempt.await??;

    // The login does not block a database connection while the password is hashed.
    let bucket = rate_limit::ip_bucket(address);
    let stored = known.and_then(|account| account.password.as_ref());
    let disconnected = client.disconnected(DISCONNECT_GRACE);
    let passwords = &auth.passwords;
    let verification = passwords.verify(password, stored, &bucket, disconnected);
    let checked = match verification.await {
        Ok(verification) => check_account(account, verification),
        // Otherwise an attacker could try more passwords by disconnecting early.
        Err(HashError::ClientDisconnected) => Err(LoginError::ClientDisconnected),
        Err(error) => return Err(error.into()),
    };
    let (account, needs_rehash) = match checked {
        Ok(accepted) => accepted,
        Err(rejection) => {
            let recorded = limiter.record_failure(&accounts, milliseconds, &attempt);
            recorded.await?;
            return Err(rejection);
        }
    };
    if needs_rehash {
        match passwords.hash_for(&bucket, password).await {
            Ok(hash) => accounts.rehash(&account, hash).await?,
            // The next login tries again.
            Err(error) => warn!(user_id = account.id, %error, "cannot rehash the password"),
        }
    }
    if !accounts.record_login(&account, now, Some(bucket)).await? {
        return Err(LoginError::ConcurrentModification);
    }
    let now = now.unix_timestamp();
    let orig_iat = now.max(account.tokens_valid_after);
    let email = account.email.clone();
    let token = auth.tokens.issue(account.id, email, now, orig_iat);
    Ok((account, token))
}

/// Returns the account if the client may log in, and whether the account's hash needs an update.
fn check_account(
    account: Option<Account>,
    verification: Verification,
) -> Result<(Account, bool), LoginError> {
    let account = account.ok_or(LoginError::UnknownAccount)?;
    match verification {
        Verification::Mismatch if account.password.is_none() => Err(LoginError::UnusablePassword),
        Verification::Mismatch => Err(LoginError::WrongPassword),
        Verification::Match { .. } if !account.is_active => Err(LoginError::Disabled),
        Verification::Match { needs_rehash } => Ok((account, needs_rehash)),
    }
}
