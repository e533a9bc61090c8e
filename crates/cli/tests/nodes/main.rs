//! Whole nodes in one process, over real HTTPS.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compaction;
mod compare;
mod compare_lies;
mod copies;
mod data_down;
mod deliveries;
mod dice;
mod erasure;
mod faults;
mod garbage;
mod guard;
mod hostile;
mod leaving;
mod locked;
mod moving;
mod packages_cut;
mod random;
mod results_up;
mod sealed;
mod stalled;
mod support;
mod tao_remote;
mod versions;
mod went_back;
mod wrong_clock;
