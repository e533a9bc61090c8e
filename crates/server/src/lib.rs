//! The HTTP surface of both roles (DESIGN §3). No rules of the product live here: handlers read a request within
//! limits, ask `store` and `sync`, and write an answer.
//!
//! * [`listen`]: sockets, TLS, time limits, shutdown.
//! * `oauth`: who may come in: tokens, wrong tries, the bearer of a request.
//! * `api`: what both roles answer, and central's protocol for local servers.
//! * `runner`: what a test runner asks of a local server.
//! * [`pages`]: for people who sign in with a browser.
//! * [`routes`]: the table of all endpoints, and who may use each.
//! * [`problem`]: every error, as problem+json with a stable code.

mod api;
mod body;
mod envelope;
pub mod listen;
mod oauth;
pub mod pages;
pub mod problem;
mod range;
pub mod routes;
mod runner;
pub mod state;

pub use api::{central_endpoints, central_router};
pub use listen::{ListenError, ListenLimits, serve};
pub use runner::{local_endpoints, local_router};
pub use state::{Central, Local};

/// Version of this program, in `healthz` and token answers.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
