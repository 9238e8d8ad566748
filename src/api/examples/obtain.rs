//! The examples of `POST /v1/auth/jwt/obtain/`.

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

pub(in crate::api) fn obtain(expires_in: i64) -> Vec<Exchange> {
    let success = Exchange::response::<Obtain>(
        "documented",
        "The credentials of an account",
        Ok(Token::documented(expires_in)),
    )
    .with_request(&credentials("jonhdoeqa@email.com", "1234ABCD"));
    let wrong = Exchange::rejected::<Obtain>(
        "wrong_credentials",
        "Unknown email, wrong password or disabled account: the response is the same for all three",
        LoginError::WrongPassword,
    )
    .with_request(&credentials("jonhdoeqa@email.com", "not the password"));
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
    [
        invalid::<Obtain, 2>(
            "blank_fields",
            "Empty fields, or fields with only white space",
            [("email", BLANK), ("password", BLANK)],
        ),
        invalid::<Obtain, 1>("invalid_email", "An invalid email", [("email", EMAIL)])
            .with_request(&credentials("jonhdoeqa@email.c", "1234ABCD")),
        invalid::<Obtain, 1>(
            "null_character",
            "A null character in the password",
            [("password", NUL)],
        ),
        invalid::<Obtain, 1>(
            "missing_email",
            "The payload must contain an email",
            [("email", REQUIRED)],
        ),
        invalid::<Obtain, 1>(
            "missing_password",
            "The payload must contain a password",
            [("password", REQUIRED)],
        ),
        invalid::<Obtain, 2>(
            "null_fields",
            "Fields that are null",
            [("email", NULL), ("password", NULL)],
        ),
        invalid::<Obtain, 1>(
            "not_a_string",
            "A password of another JSON type",
            [("password", NOT_A_STRING)],
        ),
    ]
}
