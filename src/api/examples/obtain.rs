//! The examples of `POST /v1/auth/jwt/obtain/`.

use super::{Exchange, common, invalid};
use crate::{
    api::{
        obtain::{Credentials, Obtain},
        rejection::Rejection,
        schema::message::{BLANK, EMAIL, NOT_A_STRING, NUL, NULL, REQUIRED},
        text::{Email, Password},
        token::Token,
    },
    auth::LoginError,
};

pub(in crate::api) fn obtain(expires_in: i64) -> Vec<Exchange> {
    let credentials = |email: &str, password: &str| Credentials {
        email: Email(email.to_owned()),
        password: Password(password.to_owned()),
    };
    let success = Exchange::response::<Obtain>;
    let error = |name, summary, rejection: Rejection| {
        Exchange::response::<Obtain>(name, summary, Err(rejection))
    };
    let mut examples = vec![
        success(
            "documented",
            "The credentials of an account",
            Ok(Token::documented(expires_in)),
        )
        .with_request(&credentials("jonhdoeqa@email.com", "1234ABCD")),
        error(
            "wrong_credentials",
            "An unknown e-mail, a wrong password or a disabled account: all are told alike",
            LoginError::WrongPassword.into(),
        )
        .with_request(&credentials("jonhdoeqa@email.com", "not the password")),
        error(
            "blank_fields",
            "Empty fields, or only white space in them",
            invalid([("email", BLANK), ("password", BLANK)]),
        ),
        error(
            "invalid_email",
            "An e-mail that is none",
            invalid([("email", EMAIL)]),
        )
        .with_request(&credentials("jonhdoeqa@email.c", "1234ABCD")),
        error(
            "null_character",
            "A null character in the password",
            invalid([("password", NUL)]),
        ),
        error(
            "missing_email",
            "The payload must contain an email",
            invalid([("email", REQUIRED)]),
        ),
        error(
            "missing_password",
            "The payload must contain a password",
            invalid([("password", REQUIRED)]),
        ),
        error(
            "null_fields",
            "Fields that are null",
            invalid([("email", NULL), ("password", NULL)]),
        ),
        error(
            "not_a_string",
            "A password of another JSON type",
            invalid([("password", NOT_A_STRING)]),
        ),
    ];
    examples.extend(common::<Obtain>());
    examples
}
