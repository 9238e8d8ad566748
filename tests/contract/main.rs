//! The service as its clients see it: one file per subject.
//!
//! A test makes a world of its own (a fresh database, a clock that it sets), sends, pins the status,
//! then the body.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

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
mod databases;
mod doctor;
mod document;
mod edges;
mod examples;
mod hashes;
mod import;
mod import_emails;
mod import_update;
mod migrations;
mod network;
mod pages;
mod postgres;
mod readme;
mod relay;
mod replaced;
mod rotation;
mod secret;
mod serve;
mod socket;
mod store;
mod telemetry;
mod terminal;
mod throttle;
mod timing;
mod token;
mod verify;
mod world;
