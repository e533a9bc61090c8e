//! The TAOs there are to load.

use std::path::{Path, PathBuf};

use crate::dump::Dump;

/// States of a real pair of TAOs through one exam, beside the checkout; a checkout alone has none.
pub const GOLDEN: &str = "../shared/tao/db";

/// The tables of both.
const TABLES: &str = include_str!("../fixtures/tables.sql");
/// A small central of our own: one organisation with a center, its people, an eligibility and a delivery.
const SMALL_CENTRAL: &str = include_str!("../fixtures/small-central.sql");
/// A client before its first sync.
const SMALL_CLIENT: &str = include_str!("../fixtures/small-client.sql");

/// A golden state by its name, such as `1-central-published`. Says `SKIPPED:` when there is none on this machine.
pub fn golden(name: &str) -> Option<Dump> {
    let path = golden_path(name);
    if !path.exists() {
        println!("SKIPPED: {} is not there", Path::new(GOLDEN).join(format!("{name}.sql.gz")).display());
        return None;
    }
    Some(Dump::read(&path).expect("a golden state can be read"))
}

fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(GOLDEN).join(format!("{name}.sql.gz"))
}

/// The small central.
pub fn small_central() -> Dump {
    Dump::parse(&format!("{TABLES}{SMALL_CENTRAL}"))
}

/// The small client: TAO's tables and roles, no entities.
pub fn small_client() -> Dump {
    Dump::parse(&format!("{TABLES}{SMALL_CLIENT}"))
}
