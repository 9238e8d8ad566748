//! The examples of `POST /v1/auth/jwt/obtain/`.

use serde_json::{Value, json};

use super::{Exchange, common};
use crate::{
    api::{
        rejection::Rejection,
        schema::message::{BLANK, EMAIL, NOT_A_STRING, NUL, NULL, REQUIRED},
    },
    auth::LoginError,
};

const ACCOUNT_EMAIL: &str = "jonhdoeqa@email.com";
const ACCOUNT_PASSWORD: &str = "1234ABCD";

pub(in crate::api) fn examples(expires_in: i64) -> Vec<Exchange> {
    let success = Exchange::success("documented", "The credentials of an account", expires_in)
        .with_request(credentials(ACCOUNT_EMAIL, ACCOUNT_PASSWORD));
    let wrong = Exchange::rejected(
        "wrong_credentials",
        "Unknown email, wrong password or disabled account: the response is the same for all three",
        LoginError::WrongPassword,
    )
    .with_request(credentials(ACCOUNT_EMAIL, "not the password"));
    let examples = [success, wrong].into_iter();
    examples.chain(invalid_fields()).chain(common()).collect()
}

fn credentials(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

fn invalid_fields() -> [Exchange; 7] {
    [
        Exchange::invalid(
            "blank_fields",
            "Empty fields, or fields with only white space",
            credentials("", " "),
            json!({ "email": [BLANK], "password": [BLANK] }),
        ),
        Exchange::rejected(
            "invalid_email",
            "An invalid email",
            Rejection::Invalid(json!({ "email": [EMAIL] })),
        )
        .with_request(credentials("jonhdoeqa@email.c", ACCOUNT_PASSWORD)),
        Exchange::invalid(
            "null_character",
            "A null character in the password",
            credentials(ACCOUNT_EMAIL, "1234\0ABCD"),
            json!({ "password": [NUL] }),
        ),
        Exchange::invalid(
            "missing_email",
            "The payload must contain an email",
            json!({ "password": ACCOUNT_PASSWORD }),
            json!({ "email": [REQUIRED] }),
        ),
        Exchange::invalid(
            "missing_password",
            "The payload must contain a password",
            json!({ "email": ACCOUNT_EMAIL }),
            json!({ "password": [REQUIRED] }),
        ),
        Exchange::invalid(
            "null_fields",
            "Fields that are null",
            json!({ "email": null, "password": null }),
            json!({ "email": [NULL], "password": [NULL] }),
        ),
        Exchange::invalid(
            "not_a_string",
            "A password of another JSON type",
            json!({ "email": ACCOUNT_EMAIL, "password": 1234 }),
            json!({ "password": [NOT_A_STRING] }),
        ),
    ]
}
