//! The examples of `POST /v1/auth/jwt/obtain/`.

use serde_json::json;

use super::{Exchange, common, invalid};
use crate::{
    api::{
        obtain::{Credentials, Obtain},
        schema::message::{BLANK, EMAIL, NOT_A_STRING, NUL, NULL, REQUIRED},
        text::{Email, Password},
        token::Token,
    },
    auth::LoginError,
};

const ACCOUNT_EMAIL: &str = "jonhdoeqa@email.com";
const ACCOUNT_PASSWORD: &str = "1234ABCD";

pub(in crate::api) fn obtain(expires_in: i64) -> Vec<Exchange> {
    let success = Exchange::response::<Obtain>(
        "documented",
        "The credentials of an account",
        Ok(Token::documented(expires_in)),
    )
    .with_request(&credentials(ACCOUNT_EMAIL, ACCOUNT_PASSWORD));
    let wrong = Exchange::rejected::<Obtain>(
        "wrong_credentials",
        "Unknown email, wrong password or disabled account: the response is the same for all three",
        LoginError::WrongPassword,
    )
    .with_request(&credentials(ACCOUNT_EMAIL, "not the password"));
    let mut examples = vec![success, wrong];
    examples.extend(invalid_fields());
    examples.extend(common::<Obtain>());
    examples
}

fn credentials(email: &str, password: &str) -> Credentials {
    Credentials {
        email: Email(email.to_owned()),
        password: Password(password.to_owned()),
    }
}

fn invalid_fields() -> [Exchange; 7] {
    let (email, password) = (ACCOUNT_EMAIL, ACCOUNT_PASSWORD);
    [
        invalid::<Obtain, 2>(
            "blank_fields",
            "Empty fields, or fields with only white space",
            [("email", BLANK), ("password", BLANK)],
        )
        .with_invalid_request(json!({ "email": "", "password": " " })),
        invalid::<Obtain, 1>("invalid_email", "An invalid email", [("email", EMAIL)])
            .with_request(&credentials("jonhdoeqa@email.c", password)),
        invalid::<Obtain, 1>(
            "null_character",
            "A null character in the password",
            [("password", NUL)],
        )
        .with_invalid_request(json!({ "email": email, "password": "1234\0ABCD" })),
        invalid::<Obtain, 1>(
            "missing_email",
            "The payload must contain an email",
            [("email", REQUIRED)],
        )
        .with_invalid_request(json!({ "password": password })),
        invalid::<Obtain, 1>(
            "missing_password",
            "The payload must contain a password",
            [("password", REQUIRED)],
        )
        .with_invalid_request(json!({ "email": email })),
        invalid::<Obtain, 2>(
            "null_fields",
            "Fields that are null",
            [("email", NULL), ("password", NULL)],
        )
        .with_invalid_request(json!({ "email": null, "password": null })),
        invalid::<Obtain, 1>(
            "not_a_string",
            "A password of another JSON type",
            [("password", NOT_A_STRING)],
        )
        .with_invalid_request(json!({ "email": email, "password": 1234 })),
    ]
}
