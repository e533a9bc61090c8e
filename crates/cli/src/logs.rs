//! Logs go to stderr, as much as `TAOSYNC_LOG` asks for. Nothing in this program logs a secret or a body.

use tracing_subscriber::EnvFilter;

/// Starts logging; without `TAOSYNC_LOG` (`error`, `warn`, `info`, `debug`, or filters such as `taosync_sync=debug`)
/// warnings are shown.
pub fn to_stderr() {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .with_env_var("TAOSYNC_LOG")
        .from_env_lossy();
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
