//! One attempt a line, as JSON.

use std::io::Write;

use serde::Serialize;
use taosync_model::assessment::Attempt;
use taosync_model::item::Envelope;

use crate::ResultError;

#[derive(Serialize)]
struct Line<'a> {
    envelope: &'a Envelope,
    attempt: &'a Attempt,
}

/// Writes `{"envelope":…,"attempt":…}` and a line break.
pub fn write_jsonl(out: &mut impl Write, envelope: &Envelope, attempt: &Attempt) -> Result<(), ResultError> {
    let line = Line { envelope, attempt };
    serde_json::to_writer(&mut *out, &line).map_err(|e| ResultError::Write(e.into()))?;
    out.write_all(b"\n").map_err(ResultError::Write)
}
