//! Whether what a machine answered is an answer it may give.

use taosync::failure::Failure;
use taosync_sync::session::What;

use super::syncs::{Calm, Synced};
use super::{DATES, DAY, DIVERGED, RUNNING, Stage, UNNAMED, WENT_BACK, YEAR};
use crate::schedule::Wish;
use crate::{checks, ensure};

impl Stage {
    /// Whether a sync ended as it may.
    pub(super) async fn judge(&mut self, local: usize, wish: &Wish, done: Synced, calm: Calm) -> Result<(), String> {
        let Ok(done) = done else {
            *self.tally.syncs.entry("killed".into()).or_default() += 1;
            return Ok(());
        };
        let summary = match done {
            Ok(summary) => summary,
            Err(failure) => {
                self.hear_of(&failure);
                *self.tally.syncs.entry(format!("error {}", failure.code)).or_default() += 1;
                ensure!(calm != Calm::Yes, "a sync that nobody disturbed failed: {failure:?}");
                let is_named = !UNNAMED.contains(&failure.code);
                ensure!(is_named, "the database said something that nobody expected: {failure:?}");
                let may_wait = failure.code != RUNNING || calm == Calm::No;
                ensure!(may_wait, "a sync was kept out, and there was no other: {failure:?}");
                return Ok(());
            }
        };
        let code = summary.code.clone().map(|code| format!(" {code}")).unwrap_or_default();
        *self.tally.syncs.entry(format!("{}{code}", summary.status)).or_default() += 1;
        let words = summary.reason.iter().chain(&summary.advice).cloned().collect::<Vec<_>>().join("\n");
        if self.trace {
            eprintln!("   {}{code} {words}", summary.status);
        }
        self.said.push_str(&words);
        self.tally.fired("removals held", u64::from(summary.held_removals > 0));
        let may_refuse = self.may_refuse(local, summary.code.as_deref())
            || summary.code.as_deref() == Some(DATES) && self.no_clock_is_right(local).await;
        ensure!(
            calm != Calm::Yes || summary.status != "failed" || may_refuse,
            "a sync that nobody disturbed failed: {words}"
        );
        let is_named = !summary.code.as_deref().is_some_and(|code| UNNAMED.contains(&code));
        ensure!(is_named, "the database said something that nobody expected: {words}");
        let says_why = summary.status != "failed" || (summary.code.is_some() && summary.reason.is_some());
        ensure!(says_why, "a sync failed without a word: {summary:?}");
        if summary.status == "success" && wish.what != What::Results {
            ensure!(summary.digest_equal, "a sync says success with unequal digests: {summary:?}");
            if wish.types.is_empty() && calm != Calm::Changing {
                let store = self.nodes.locals[local].store();
                checks::equal(&store, &self.world, self.nodes.orgs(local))
                    .await
                    .map_err(|e| format!("after a success: {e}"))?;
            }
        }
        Ok(())
    }

    /// Whether a local server may be refused with this code: it has another self, or central was put back.
    pub(super) fn may_refuse(&self, local: usize, code: Option<&str>) -> bool {
        match code {
            Some(DIVERGED) => self.disputed.contains(&self.nodes.base(local)),
            Some(WENT_BACK) => self.unaware.contains(&local),
            _ => false,
        }
    }

    /// Whether certificates may be outside of their dates for a local server whose clock is a day off or more: it has never
    /// met central (docs/OPERATIONS.md: then it must be right), or central's clock, whose time it takes, is years off too.
    async fn no_clock_is_right(&self, local: usize) -> bool {
        let machine = &self.nodes.locals[local];
        let remotes = machine.store().remotes_list().await.unwrap();
        let is_first = remotes.iter().any(|remote| remote.central.is_none());
        machine.ahead().abs() >= DAY && (is_first || self.nodes.central.ahead().abs() >= YEAR)
    }

    /// Keeps what a command says when it fails.
    pub(super) fn hear_of(&mut self, failure: &Failure) {
        let words = failure.to_text();
        if self.trace {
            eprintln!("   {words}");
        }
        self.said.push_str(&words);
    }

    /// Keeps what a person would read, with its causes.
    pub(super) fn hear(&mut self, error: &dyn std::error::Error) {
        let mut next = Some(error);
        while let Some(error) = next {
            if self.trace {
                eprintln!("   {error}");
            }
            self.said.push_str(&error.to_string());
            self.said.push('\n');
            next = error.source();
        }
    }
}
