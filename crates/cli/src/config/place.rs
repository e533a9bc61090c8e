//! Where a node lives: one directory, or the two of an installed service.

use std::path::{Path, PathBuf};

/// Files of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    dir: PathBuf,
    config_file: PathBuf,
}

impl Place {
    /// With a directory, everything is there; without, configuration in `/etc/taosync` and data in `/var/lib/taosync`.
    pub fn new(dir: Option<&Path>) -> Self {
        match dir {
            Some(dir) => Self { dir: dir.to_owned(), config_file: dir.join("taosync.toml") },
            None => Self { dir: "/var/lib/taosync".into(), config_file: "/etc/taosync/taosync.toml".into() },
        }
    }

    /// The directory of data.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The TOML file.
    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// The directory of keys.
    pub fn keys(&self) -> PathBuf {
        self.dir.join("keys")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.dir.join("taosync.sqlite")
    }

    /// Where a running server says how it is reached.
    pub fn serve_file(&self) -> PathBuf {
        self.dir.join("serve.json")
    }
}
