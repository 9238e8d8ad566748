//! Drives the client of progenitor; prints a line per check that holds.

use std::{env::var, fmt::Debug};

use types::{ObtainError, ObtainRequest, RefreshError, RefreshRequest, Token, TokenType};

progenitor::generate_api!(
    spec = "../../../../openapi/openapi.json",
    inner_type = crate::LeftOut
);

/// The field that a request loses on its way out. The types let no field be left out and none be blank.
#[derive(Clone, Debug)]
pub struct LeftOut(Option<&'static str>);

impl ClientHooks<LeftOut> for Client {
    async fn pre<E>(
        &self,
        request: &mut reqwest::Request,
        _: &OperationInfo,
    ) -> Result<(), Error<E>> {
        let LeftOut(Some(field)) = self.inner() else {
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
    let without = |field| Client::new(&var("AUTH_URL").expect("the service's URL"), LeftOut(field));
    let client = without(None);
    let credentials = |password: &str| ObtainRequest {
        email: var("AUTH_EMAIL")
            .expect("an account")
            .try_into()
            .expect("an e-mail"),
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

    let error: ObtainError = refused(without(Some("password")).obtain_token(&right).await);
    assert_eq!(error.password, ["This field is required."]);
    println!("a missing password gives the typed 400");

    let error: RefreshError = refused(
        without(Some("token"))
            .refresh_token(&token(&obtained))
            .await,
    );
    assert_eq!(error.token, ["This field is required."]);
    println!("a missing token gives the typed 400");

    let error = refused(client.obtain_token(&credentials("not the password")).await);
    assert_eq!(
        error.non_field_errors,
        ["Unable to log in with provided credentials."]
    );
    println!("a wrong password gives the typed 400");

    let error = refused(client.refresh_token(&token("not a token")).await);
    assert_eq!(error.non_field_errors, ["Error decoding signature."]);
    println!("a bad token gives the typed 400");
}

fn accepted<E: Debug>(answer: Result<ResponseValue<Token>, Error<E>>) -> String {
    let token = answer.expect("a token").into_inner();
    assert_eq!((token.type_, token.expires_in), (TokenType::Jwt, 3600));
    assert_eq!(token.token.split('.').count(), 3);
    token.token
}

fn refused<E: Debug>(answer: Result<ResponseValue<Token>, Error<E>>) -> E {
    match answer {
        Err(Error::ErrorResponse(response)) => {
            assert_eq!(response.status().as_u16(), 400);
            response.into_inner()
        }
        other => panic!("{other:?}"),
    }
}
