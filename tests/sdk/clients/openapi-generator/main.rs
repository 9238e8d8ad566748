//! Runs the Rust client of openapi-generator. Prints a line for each check that passes.

use std::{env::var, fmt::Debug};

use signet_openapi::{
    apis::{
        Error,
        authentication_api::{ObtainTokenError, RefreshTokenError, obtain_token, refresh_token},
        configuration::Configuration,
    },
    models::{ObtainError, ObtainRequest, RefreshError, RefreshRequest, Token, token::Type},
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let service = Configuration {
        base_path: var("AUTH_URL").expect("the service's URL"),
        ..Configuration::default()
    };
    let email = var("AUTH_EMAIL").expect("an account");
    let password = var("AUTH_PASSWORD").expect("its password");
    let credentials = |password: &str| ObtainRequest::new(email.clone(), password.to_owned());

    let token = accepted(obtain_token(&service, credentials(&password)).await);
    println!("obtain gives a token");

    accepted(refresh_token(&service, RefreshRequest::new(token)).await);
    println!("refresh gives a token");

    // The fields of the models are strings without `Option`, so a request can have a blank field, but no missing field.
    assert_eq!(
        obtain_rejected(obtain_token(&service, credentials("")).await),
        ObtainError {
            password: Some(vec!["This field may not be blank.".to_owned()]),
            ..ObtainError::new()
        }
    );
    println!("a blank password gives the typed 400");

    assert_eq!(
        refresh_rejected(refresh_token(&service, RefreshRequest::new(String::new())).await),
        RefreshError {
            token: Some(vec!["This field may not be blank.".to_owned()]),
            ..RefreshError::new()
        }
    );
    println!("a blank token gives the typed 400");

    assert_eq!(
        obtain_rejected(obtain_token(&service, credentials("not the password")).await),
        ObtainError {
            non_field_errors: Some(vec![
                "Unable to log in with provided credentials.".to_owned()
            ]),
            ..ObtainError::new()
        }
    );
    println!("a wrong password gives the typed 400");

    let bad = RefreshRequest::new("not a token".to_owned());
    assert_eq!(
        refresh_rejected(refresh_token(&service, bad).await),
        RefreshError {
            non_field_errors: Some(vec!["Error decoding signature.".to_owned()]),
            ..RefreshError::new()
        }
    );
    println!("a bad token gives the typed 400");
}

fn accepted<E: Debug>(answer: Result<Token, Error<E>>) -> String {
    let token = answer.expect("a token");
    assert_eq!((token.r#type, token.expires_in), (Type::Jwt, 3600));
    assert_eq!(token.token.split('.').count(), 3);
    token.token
}

fn obtain_rejected(answer: Result<Token, Error<ObtainTokenError>>) -> ObtainError {
    match rejected(answer) {
        ObtainTokenError::Status400(error) => error,
        other => panic!("{other:?}"),
    }
}

fn refresh_rejected(answer: Result<Token, Error<RefreshTokenError>>) -> RefreshError {
    match rejected(answer) {
        RefreshTokenError::Status400(error) => error,
        other => panic!("{other:?}"),
    }
}

fn rejected<E: Debug>(answer: Result<Token, Error<E>>) -> E {
    match answer {
        Err(Error::ResponseError(response)) => {
            assert_eq!(response.status.as_u16(), 400);
            response.entity.expect("an error of the operation's type")
        }
        other => panic!("{other:?}"),
    }
}
