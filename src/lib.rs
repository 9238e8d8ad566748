//! Signet turns an e-mail and a password into a signed JWT, and refreshes it.
//!
//! | room | what is in it |
//! |---|---|
//! | [`cli`] | the commands: `serve`, `migrate`, `config`, `doctor`, `user` and more |
//! | [`config`] | every setting, from a file, the environment or a flag |
//! | [`server`] | the accept loop, over TCP, TLS or a Unix socket |
//! | [`app`] | the one composition: parts become routes |
//! | [`api`] | the contract, one file per operation |
//! | [`auth`] | obtain and refresh as functions; tokens, passwords, the clock |
//! | [`users`] | the accounts in their database |
//! | [`text`] | text made safe for a terminal |
//!
//! Imports point one way: `cli` to `app` to `api` to `auth` to `users`.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod server;
pub mod text;
pub mod users;
