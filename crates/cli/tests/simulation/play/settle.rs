//! After a schedule: everything is mended, every machine has to come level, and all of it is held against what was told.

use taosync_store::Durability;
use taosync_sync::session::What;

use super::syncs::start_sync;
use super::{Begin, DIVERGED, SEARCHED, Stage, WORDS};
use crate::attempts;
use crate::schedule::{Ending, Trouble, Wish};
use crate::trouble::bounded;
use crate::{checks, ensure, logs};

impl Stage {
    /// Everything is mended: one sync must bring a local server level with central, and everything finished there.
    pub async fn settle(&mut self, local: usize) -> Result<(), String> {
        self.nodes.central.set_ahead(0);
        self.nodes.locals[local].set_ahead(0);
        self.end_what_runs_on_lost_tests(local).await?;
        // Most keep nothing that they need not keep.
        let hide = self.nodes.base(local) > 0;
        let wish = Wish { what: What::All, types: Vec::new(), chunk_size: 100, items: 100, accept: true, hide };
        let mut tries = 0;
        let summary = loop {
            let summary = bounded(start_sync(&self.nodes, local, &wish)).await?;
            let summary = summary.expect("nobody kills it now").map_err(|error| format!("{error:?}"))?;
            if tries == WORDS || !self.may_refuse(local, summary.code.as_deref()) {
                break summary;
            }
            tries += 1;
            if summary.code.as_deref() == Some(DIVERGED) {
                self.give_word(local).await;
            }
        };
        ensure!(summary.status == "success", "everything is mended, and a sync says {summary:#?}");
        ensure!(summary.digest_equal && summary.proof == "digest", "success without proof: {summary:#?}");
        let store = self.nodes.locals[local].store();
        checks::replica_is_whole(&store).await?;
        checks::equal(&store, &self.world, self.nodes.orgs(local)).await?;
        checks::tests_are_ready(&store).await?;
        let held = store.removals_held().await.unwrap();
        ensure!(held.is_empty(), "removals are held although somebody agreed: {held:?}");
        self.note(local).await?;
        self.unaware.remove(&local);
        let received = attempts::received(&self.nodes.central.store()).await?;
        self.attempts.compare(&received)?;
        self.attempts.all_in(local, &received)
    }

    /// A test that central lost and replaced stays as long as somebody sits it.
    async fn end_what_runs_on_lost_tests(&mut self, local: usize) -> Result<(), String> {
        if self.tally.faults.contains_key("central put back") {
            for execution in self.attempts.open(local).to_vec() {
                self.attempt(local, Begin::Open(execution), Ending::Finished, &Trouble::Nothing).await?;
            }
        }
        Ok(())
    }

    /// What a person says when central asks which machine goes on: copies become machines of their own.
    pub(super) async fn give_word(&mut self, local: usize) {
        if self.nodes.is_copy(local) {
            return self.nodes.renew(local).await;
        }
        let machine = &self.nodes.locals[local];
        let store = machine.store();
        machine
            .run(async move {
                let mut tx = store.write("adopt", Durability::Flushed).await.unwrap();
                store.continuation_adopt(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
            })
            .await;
    }

    pub async fn at_the_end(&mut self, seed: u64) -> Result<(), String> {
        let store = self.nodes.central.store();
        checks::scopes_are_whole(&store).await?;
        checks::central_holds(&store, &self.world, &self.world.entities.keys().cloned().collect()).await?;
        self.tally.items = attempts::received(&store).await?.len() as u64;
        checks::is_silent("what people were told", self.said.as_bytes(), &self.nodes.secrets)?;
        checks::is_silent("the log", &logs::take(), &self.nodes.secrets)?;
        if seed.is_multiple_of(SEARCHED) {
            checks::files_are_silent(self.nodes.place(), &self.nodes.secrets)?;
        }
        Ok(())
    }
}
