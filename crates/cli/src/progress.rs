//! Progress bars, on a terminal only.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use taosync_sync::session::Progress;

use crate::output::Output;

/// What a person watches while a command works.
#[derive(Clone, Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for a phase; invisible when nobody watches.
    pub fn phase(output: Output, words: &str) -> Self {
        let bar = if output == Output::Text && std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        bar.enable_steady_tick(Duration::from_millis(120));
        let bar = Self(bar);
        bar.begin(words);
        bar
    }

    /// The next phase, of unknown length.
    pub fn begin(&self, words: &str) {
        self.0.set_style(style("{spinner} {msg} {elapsed}"));
        self.0.set_message(words.to_owned());
    }

    /// How far the phase is.
    pub fn reach(&self, done: u64, of: u64) {
        if self.0.length() != Some(of) {
            self.0.set_length(of);
            self.0.set_style(style("{spinner} {msg} [{bar:30}] {human_pos}/{human_len} {elapsed}"));
        }
        self.0.set_position(done.min(of));
    }

    /// What a sync says.
    pub fn follow(&self, progress: &Progress) {
        match progress {
            Progress::Phase(words) => self.begin(words),
            Progress::Entities { done, of } | Progress::Results { done, of } => self.reach(*done, *of),
            Progress::Bytes { done, of } => {
                self.reach(*done, *of);
                self.0.set_style(style("{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {elapsed}"));
            }
        }
    }

    /// Clears the line.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_follows_a_sync_and_every_template_is_understood() {
        for template in
            ["{spinner} {msg} {elapsed}", "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}"]
        {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        let bar = Bar::phase(Output::Json, "test takers");
        bar.follow(&Progress::Entities { done: 7, of: 5 });
        assert_eq!((bar.0.position(), bar.0.length()), (5, Some(5)));
        assert!(bar.0.is_hidden());
    }
}
