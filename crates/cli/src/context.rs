//! What every command is given: where the node lives, how to answer, and the clock.

use std::sync::Arc;

use taosync_model::Clock;

use crate::config::Place;
use crate::output::Output;

/// The surroundings of a command.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where the node lives.
    pub place: Place,
    /// How answers are wanted.
    pub output: Output,
    /// Time and identifiers.
    pub clock: Arc<dyn Clock>,
}
