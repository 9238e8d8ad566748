//! Signet exchanges an email and a password for a signed JWT, and refreshes the token.
//!
//! | module | contents |
//! |---|---|
//! | [`cli`] | the commands: `serve`, `migrate`, `config`, `doctor`, `user` and more |
//! | [`config`] | every setting, from a file, an environment variable or a flag |
//! | [`server`] | the accept loop, over TCP, TLS or a Unix socket |
//! | [`http`] | the router and the middleware of all requests, documentation pages, metrics |
//! | [`api`] | the contract, one file per operation |
//! | [`auth`] | login and refresh as functions; tokens, passwords, rate limits |
//! | [`accounts`] | the accounts in their database |
//! | [`problem`] | an error with its remedy |
//! | `template` | renders the templates of generated files |
//! | [`text`] | text that is safe for a terminal |
//!
//! Imports point one way: `cli` to `server` and `http`, then to `api`, `auth` and `accounts`. Only `cli` imports `config`.

// The macros panic if the output is closed. `cli::output` prints.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod accounts;
pub mod api;
pub mod auth;
pub mod cli;
pub mod config;
pub mod http;
pub mod problem;
pub mod server;
mod template;
pub mod text;
