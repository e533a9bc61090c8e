//! `[retention]`: how long central keeps what is somebody's. What a local server keeps follows from it, and from
//! `result_service.keep_days`.

use serde::Deserialize;

/// `[retention]`. 0 keeps for ever.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days after which the content of a result is erased, from its hand-in.
    pub answers_days: u32,
    /// Days after the end of a delivery after which its eligibilities go.
    pub closed_exams_days: u32,
    /// Days after which a test taker whom no eligibility names, and who was not changed, is erased.
    pub people_days: u32,
}
