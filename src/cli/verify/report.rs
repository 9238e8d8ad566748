//! Compares responses, and collects the differences.

use serde_json::json;

use super::{
    cases::{Case, ExpectedResponse},
    service::{Response, Service},
};
use crate::{
    api::{obtain::Obtain, path_of, refresh::Refresh},
    cli::error::CliError,
};

/// The result of the comparison.
#[derive(Default)]
pub(super) struct Report {
    /// The number of requests with the same responses.
    pub(super) same: u32,
    /// Differences that are part of the contract, each with the reason.
    pub(super) expected: Vec<String>,
    /// All other differences.
    pub(super) unexpected: Vec<String>,
}

impl Report {
    /// Compares the responses to the request of a case with the expected responses.
    pub(super) fn compare(&mut self, case: &Case, old: &Response, new: &Response) {
        let check = |response: &Response, expected: &ExpectedResponse| {
            expected.check(response.status, &response.body, |name| {
                let value = response.headers.get(name);
                value.and_then(|value| value.to_str().ok())
            })
        };
        if let Err(why) = check(new, &case.expect) {
            let line = format!("{}: the new service responds {new}; {why}", case.name);
            self.unexpected.push(line);
        } else if check(old, &case.expect).is_ok() {
            self.same += 1;
        } else if let (Some(because), Some(reference)) = (&case.because, &case.reference)
            && check(old, reference).is_ok()
        {
            let line = format!("{}: old {old}, new {new}: {because}", case.name);
            self.expected.push(line);
        } else {
            let line = format!("{}: old {old}, new {new}", case.name);
            self.unexpected.push(line);
        }
    }

    /// Obtains a token from each service, and refreshes the token at the other service.
    pub(super) async fn exchange_tokens(
        &mut self,
        old: &Service,
        new: &Service,
        email: &str,
        password: &str,
    ) -> Result<(), CliError> {
        let (obtain, refresh) = (path_of::<Obtain>(), path_of::<Refresh>());
        let login = json!({ "email": email, "password": password });
        let wrong = json!({ "email": email, "password": format!("not {password}") });
        let rejected = [
            old.post(&obtain, &wrong).await?,
            new.post(&obtain, &wrong).await?,
        ];
        self.compare_members("obtain with a wrong password", &rejected[0], &rejected[1]);

        let issued = [
            old.post(&obtain, &login).await?,
            new.post(&obtain, &login).await?,
        ];
        self.compare_members("obtain", &issued[0], &issued[1]);
        let mut advice = "check that both services have the same secret, and that the account has the same ID and email";
        if let [Some(by_old), Some(by_new)] = [issued[0].algorithm(), issued[1].algorithm()]
            && by_old != by_new
        {
            advice = "the algorithms differ: a service needs the secret for HS256, and the public key for ES256";
            self.unexpected.push(format!(
                "obtain: the old service signs with {by_old}, and the new service signs with {by_new}; {advice}"
            ));
        }
        for (issued, by, at) in [(&issued[0], old, new), (&issued[1], new, old)] {
            let Some(token) = issued.token() else {
                self.unexpected.push(format!(
                    "obtain: the {} service responds {} without a token",
                    by.name, issued.status
                ));
                continue;
            };
            let refreshed = at.post(&refresh, &json!({ "token": token })).await?;
            let step = format!(
                "refresh at the {} service of a token from the {} service",
                at.name, by.name
            );
            if refreshed.token().is_none() {
                self.unexpected.push(format!(
                    "{step}: {} without a token; {advice}",
                    refreshed.status
                ));
                continue;
            }
            self.compare_members(&step, issued, &refreshed);
        }
        Ok(())
    }

    /// Compares the parts of two responses for one account that do not depend on the time.
    fn compare_members(&mut self, step: &str, one: &Response, other: &Response) {
        let differences = one.differences(other);
        if differences.is_empty() {
            self.same += 1;
        } else {
            let differences: Vec<_> = differences.into_iter().collect();
            let differences = differences.join(", ");
            self.unexpected.push(format!(
                "{step}: {} against {}, different: {differences}",
                one.status, other.status
            ));
        }
    }
}
