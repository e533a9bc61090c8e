//! The workspace the chores work on, and the cargo they call.

use std::path::Path;
use std::process::{Command, Stdio};

/// Makes the folder of the workspace's `Cargo.toml`, the parent of this crate's, the current one.
pub fn enter() -> anyhow::Result<()> {
    // Cargo sets it for `cargo run`; the value seen while compiling would name another machine's folder.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .ok_or_else(|| anyhow::anyhow!("CARGO_MANIFEST_DIR is not set: run this as `cargo xtask …`"))?;
    let root = Path::new(&manifest).parent().ok_or_else(|| anyhow::anyhow!("xtask has no parent folder"))?;
    Ok(std::env::set_current_dir(root)?)
}

/// The cargo that runs us, without the variables it set for us (build scripts of some crates watch them, and would
/// build again at the next plain `cargo build`) and without standard input.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&key);
        }
    }
    command.stdin(Stdio::null());
    command
}
