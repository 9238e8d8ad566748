//! Tests of the service through its public interfaces, with one file per subject.
//!
//! Each test creates a `World` with a new database and a settable clock, sends requests, and checks
//! the status and the body of the responses.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod account_commands;
mod accounts;
mod admission;
mod audit;
mod bad_input;
mod binary;
mod body;
mod cli;
mod config;
mod corpus;
mod database_commands;
mod databases;
mod docs;
mod doctor;
mod document;
mod edges;
mod examples;
mod gateway;
mod hashes;
mod import;
mod import_emails;
mod import_update;
mod key_files;
mod migrations;
mod network;
mod output;
mod pages;
mod postgres;
mod relay;
mod replaced;
mod rotation;
mod secret;
mod serve;
mod signing_keys;
mod socket;
mod store;
mod telemetry;
mod terminal;
mod throttle;
mod timing;
mod token;
mod verify;
mod verify_operation;
mod world;
