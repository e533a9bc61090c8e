//! Progress bars, on a terminal only.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use taosync_sync::session::Progress;

use crate::output::Output;

/// The line while bytes come: files, bytes, rate, time left.
const BYTES: &str = "{spinner} {msg} [{bar:30}] {prefix}{bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";

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
        self.0.unset_length();
        self.0.set_position(0);
        self.0.set_prefix("");
        self.0.set_style(style("{spinner} {msg} {elapsed}"));
        // Labels of tests cannot steer the terminal.
        self.0.set_message(words.replace(char::is_control, "\u{fffd}"));
    }

    /// How far the phase is.
    pub fn reach(&self, done: u64, of: u64) {
        if self.0.length() != Some(of) {
            self.0.set_length(of);
            self.0.set_style(style("{spinner} {msg} [{bar:30}] {human_pos}/{human_len} {elapsed}"));
        }
        self.0.set_position(done.min(of));
    }

    /// How many bytes have come; rate and time left follow from them.
    fn weigh(&self, done: u64, of: u64) {
        if self.0.length().is_none() {
            self.0.reset_eta();
            self.0.set_style(style(BYTES));
        }
        if self.0.length() != Some(of) {
            self.0.set_length(of);
        }
        self.0.set_position(done.min(of));
    }

    /// What a sync says.
    pub fn follow(&self, progress: &Progress) {
        match progress {
            Progress::Phase(words) => self.begin(words),
            Progress::Entities { done, of } | Progress::Results { done, of } => self.reach(*done, *of),
            Progress::Package { bytes_done, bytes_of, files_done, files_of } => {
                self.weigh(*bytes_done, *bytes_of);
                self.0.set_prefix(if *files_of == 0 {
                    String::new()
                } else {
                    format!("{files_done}/{files_of} files, ")
                });
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
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that remembers what was written on it.
    #[derive(Clone, Debug, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl Seen {
        fn write(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push(text.to_owned());
            Ok(())
        }

        fn last_line(&self) -> String {
            self.0.lock().unwrap().iter().rev().find(|text| !text.trim().is_empty()).cloned().unwrap_or_default()
        }
    }

    impl TermLike for Seen {
        fn width(&self) -> u16 {
            160
        }

        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write(text)
        }

        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.write(text)
        }

        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }

        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_follows_a_sync_and_every_template_is_understood() {
        for template in ["{spinner} {msg} {elapsed}", BYTES] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        let bar = Bar::phase(Output::Json, "test takers");
        bar.follow(&Progress::Entities { done: 7, of: 5 });
        assert_eq!((bar.0.position(), bar.0.length()), (5, Some(5)));
        assert!(bar.0.is_hidden(), "nothing is drawn where nobody watches");
    }

    #[test]
    fn the_line_of_a_package_shows_files_bytes_rate_and_time_left() {
        let seen = Seen::default();
        let target = ProgressDrawTarget::term_like(Box::new(seen.clone()));
        let bar = Bar(ProgressBar::with_draw_target(None, target));
        bar.follow(&Progress::Phase("fetching test 1 of 2, Maths".into()));
        bar.follow(&Progress::Package { bytes_done: 0, bytes_of: 4_194_304, files_done: 0, files_of: 0 });
        std::thread::sleep(Duration::from_millis(60));
        bar.follow(&Progress::Package { bytes_done: 1_048_576, bytes_of: 4_194_304, files_done: 7, files_of: 20 });
        bar.0.tick();
        let line = seen.last_line();
        for part in ["fetching test 1 of 2, Maths", "7/20 files", "1.00 MiB/4.00 MiB", "/s,", "left"] {
            assert!(line.contains(part), "'{part}' is not in: {line}");
        }
        bar.follow(&Progress::Phase("comparing".into()));
        bar.0.tick();
        assert!(!seen.last_line().contains("MiB"), "{}", seen.last_line());
    }
}
