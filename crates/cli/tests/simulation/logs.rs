//! Everything the program logs, kept to be searched.

use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::EnvFilter;

static BEGIN: Once = Once::new();
static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// What is logged, as much as a person could ever ask for.
const FILTER: &str = "info,taosync=trace,taosync_sync=trace,taosync_server=trace,taosync_store=trace,\
                      taosync_vault=trace,taosync_packages=trace,taosync_results=trace,taosync_wire=trace,sqlx=info";

struct Keep;

impl Write for Keep {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        if std::env::var_os("TAOSYNC_SIMULATE_LOGS").is_some() {
            io::stderr().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to keep logs; once is enough.
pub fn keep() {
    BEGIN.call_once(|| {
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(FILTER)).with_ansi(false).with_writer(|| Keep).init();
    });
}

/// What was logged since the last time.
pub fn take() -> Vec<u8> {
    std::mem::take(&mut *WRITTEN.lock().unwrap_or_else(PoisonError::into_inner))
}
