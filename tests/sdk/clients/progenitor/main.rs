//! Runs the client of progenitor. Prints a line for each check that passes.

use std::{env::var, fmt::Debug};

use types::{ObtainError, ObtainRequest, RefreshError, RefreshRequest, Token, TokenType};

progenitor::generate_api!(
    spec = "../../../../openapi/openapi.json",
    inner_type = crate::Omitted
);

/// The field that `pre` removes from each request. The types allow neither a missing nor a blank field.
#[derive(Clone, Debug)]
pub struct Omitted(Option<&'static str>);

impl ClientHooks<Omitted> for Client {
    async fn pre<E>(
        &self,
        request: &mut reqwest::Request,
        _: &OperationInfo,
    ) -> Result<(), Error<E>> {
        let Omitted(Some(field)) = self.inner() else {
            return Ok(());
        };
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let mut body: serde_json::Value =
            serde_json::from_slice(body.expect("a body")).expect("a JSON body");
        body.as_object_mut()
            .and_then(|fields| fields.remove(*field))
            .expect("the field");
        *request.body_mut() = Some(body.to_string().into());
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let without = |field| Client::new(&var("AUTH_URL").expect("the service's URL"), Omitted(field));
    let client = without(None);
    let credentials = |password: &str| ObtainRequest {
        email: var("AUTH_EMAIL")
            .expect("an account")
            .try_into()
            .expect("an email"),
        password: password.try_into().expect("a password"),
    };
    let token = |token: &str| RefreshRequest {
        token: token.try_into().expect("a token"),
    };
    let right = credentials(&var("AUTH_PASSWORD").expect("its password"));

    let obtained = accepted(client.obtain_token(&right).await);
    println!("obtain gives a token");

    accepted(client.refresh_token(&token(&obtained)).await);
    println!("refresh gives a token");

    let error: ObtainError = rejected(without(Some("password")).obtain_token(&right).await);
    assert_eq!(error.password, ["This field is required."]);
    println!("a missing password gives the typed 400");

    let error: RefreshError = rejected(
        without(Some("token"))
            .refresh_token(&token(&obtained))
            .await,
    );
    assert_eq!(error.token, ["This field is required."]);
    println!("a missing token gives the typed 400");

    let error = rejected(client.obtain_token(&credentials("not the password")).await);
    assert_eq!(
        error.non_field_errors,
        ["Unable to log in with provided credentials."]
    );
    println!("a wrong password gives the typed 400");

    let error = rejected(client.refresh_token(&token("not a token")).await);
    assert_eq!(error.non_field_errors, ["Error decoding signature."]);
    println!("a bad token gives the typed 400");
}

fn accepted<E: Debug>(answer: Result<ResponseValue<Token>, Error<E>>) -> String {
    let token = answer.expect("a token").into_inner();
    assert_eq!((token.type_, token.expires_in), (TokenType::Jwt, 3600));
    assert_eq!(token.token.split('.').count(), 3);
    token.token
}

fn rejected<E: Debug>(answer: Result<ResponseValue<Token>, Error<E>>) -> E {
    match answer {
        Err(Error::ErrorResponse(response)) => {
            assert_eq!(response.status().as_u16(), 400);
            response.into_inner()
        }
        other => panic!("{other:?}"),
    }
}
