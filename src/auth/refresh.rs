//! Refresh: exchanges a valid token for a newer one.

use super::{
    Audit, AuthService, ClientInfo, IssuedToken, audit::PresentedFor, error::TokenRejection,
    verify::authenticate_client,
};

/// Issues a newer token for `token`. The new token has the same `orig_iat`, and the email of the account.
///
/// # Errors
/// If the token is rejected, or the service fails. The contract sets the order of the checks.
pub async fn refresh(
    auth: &AuthService,
    client: &ClientInfo,
    token: &str,
) -> Result<IssuedToken, TokenRejection> {
    let outcome = exchange(auth, client, token).await;
    auth.metrics.record_refresh(&outcome);
    outcome.inspect_err(|error| Audit::token_rejected(PresentedFor::Refresh, client.address, error))
}

async fn exchange(
    auth: &AuthService,
    client: &ClientInfo,
    token: &str,
) -> Result<IssuedToken, TokenRejection> {
    let now = auth.clock.now();
    let presented = authenticate_client(auth, client, token, now).await?;
    let now = now.unix_timestamp();
    let orig_iat = presented
        .claims
        .orig_iat
        .filter(|seconds| *seconds != 0)
        .ok_or(TokenRejection::NoOrigIat)?;
    if now > orig_iat.saturating_add(auth.tokens.lifetimes.refresh_window) {
        return Err(TokenRejection::WindowPassed);
    }
    presented.check_revocation(orig_iat)?;
    let subject = presented.subject;
    Ok(auth
        .tokens
        .reissue(token, subject.id, subject.email, now, orig_iat))
}
