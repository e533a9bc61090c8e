//! The real router of a central on a real socket with TLS, asked by plain HTTP/1.1 clients.
#![expect(clippy::unwrap_used, reason = "a failing step fails the test")]

mod access;
mod chunks;
mod client;
mod desk;
mod enrol;
mod hand_in;
mod limits;
mod openapi;
mod pages;
mod place;
mod problems;
mod room;
mod runner;
mod runner_document;
mod runner_packages;
mod signatures;
mod sizes;
mod surface;
mod tao;
mod tokens;
