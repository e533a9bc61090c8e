//! Which attempts there were on each local server, and what was handed in of them, with every byte: written down when
//! they ended, before anybody sent them.

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::Digest;
use taosync_model::assessment::Attempt;
use taosync_model::execution::ExecutionState;
use taosync_store::Store;
use taosync_store::executions::{Execution, ExecutionFilter};
use taosync_store::outbox::{OutboxFilter, OutboxResult, OutboxState};
use taosync_store::received::{ReceivedFilter, ReceivedPayload};
use uuid::Uuid;

use crate::ensure;

const ALL: u32 = 10_000;

/// What was made when an attempt ended.
#[derive(Clone, Debug)]
pub struct Made {
    pub local: usize,
    pub payload: Vec<u8>,
    pub state: ExecutionState,
    /// Local once showed that central holds it.
    pub shown_sent: bool,
}

/// All that was made, by item and version, and the answers that were confirmed to test takers.
#[derive(Default)]
pub struct Attempts {
    pub made: BTreeMap<(Uuid, u32), Made>,
    /// Answers saved in an attempt so far, in order; each is confirmed.
    pub answers: BTreeMap<Uuid, Vec<String>>,
    open: BTreeMap<usize, Vec<Uuid>>,
    over: BTreeMap<usize, Vec<Uuid>>,
}

/// What a local server says about itself.
pub struct Account {
    executions: Vec<Execution>,
    rows: Vec<OutboxResult>,
}

impl Account {
    pub async fn of(store: &Store) -> Self {
        Self {
            executions: store.executions_list(&ExecutionFilter::default(), ALL).await.unwrap(),
            rows: store.outbox_results(&OutboxFilter::default(), ALL).await.unwrap(),
        }
    }
}

impl Attempts {
    /// Attempts of a local server that are open.
    pub fn open(&self, local: usize) -> &[Uuid] {
        self.open.get(&local).map_or(&[], Vec::as_slice)
    }

    /// Attempts of a local server that are over.
    pub fn over(&self, local: usize) -> &[Uuid] {
        self.over.get(&local).map_or(&[], Vec::as_slice)
    }

    /// Holds what a local server says against what it said before, and writes down what is new. Nothing that was there
    /// may be missing or different.
    pub fn note(&mut self, local: usize, account: Account) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for result in account.rows {
            let envelope = &result.row.envelope;
            let key = (envelope.item, envelope.version);
            ensure!(seen.insert(key), "item {key:?} is twice in the outbox of local {local}");
            let sent = result.row.state == OutboxState::Sent;
            if let Some(known) = self.made.get_mut(&key) {
                ensure!(known.local == local, "item {key:?} of local {} is on local {local}", known.local);
                let same = Digest::of(&known.payload) == envelope.digest
                    && result.payload.as_ref().is_none_or(|payload| *payload == known.payload);
                ensure!(same, "item {key:?} of local {local} was remade");
                ensure!(
                    result.payload.is_some() || result.row.hidden,
                    "the payload of {key:?} is gone at local {local}"
                );
                known.shown_sent |= sent;
                continue;
            }
            let Some(payload) = result.payload else {
                return Err(format!("item {key:?} of local {local} was never seen and has no payload"));
            };
            ensure!(Digest::of(&payload) == envelope.digest, "item {key:?} of local {local} has another digest");
            let state = envelope.state.ok_or("an attempt without a state")?;
            self.check_answers(key, &payload)?;
            self.made.insert(key, Made { local, payload, state, shown_sent: sent });
        }
        for (key, _) in self.made.iter().filter(|(_, made)| made.local == local) {
            ensure!(seen.contains(key), "item {key:?} has gone from the outbox of local {local}");
        }
        let (over, open) = account.executions.iter().partition::<Vec<_>, _>(|execution| execution.state.is_over());
        for execution in &over {
            let key = (execution.id, execution.version);
            ensure!(seen.contains(&key), "attempt {key:?} is over at local {local}, and nothing is in the outbox");
        }
        self.open.insert(local, open.into_iter().map(|execution| execution.id).collect());
        self.over.insert(local, over.into_iter().map(|execution| execution.id).collect());
        Ok(())
    }

    /// Every answer that was confirmed is in what was made; only the last saved one may be there without.
    fn check_answers(&self, key: (Uuid, u32), payload: &[u8]) -> Result<(), String> {
        let attempt =
            taosync_results::decode_attempt(payload, taosync_results::MAX_PLAIN).map_err(|e| e.to_string())?;
        let found = answers_in(&attempt);
        for answer in self.answers.get(&key.0).into_iter().flatten() {
            ensure!(found.contains(answer), "answer {answer} of {key:?} is not in what is handed in");
        }
        Ok(())
    }

    /// Holds what central has against what was made: each at most once, byte for byte, and everything that was ever
    /// shown as sent.
    pub fn compare(&self, received: &[ReceivedPayload]) -> Result<(), String> {
        let mut held = BTreeSet::new();
        for one in received {
            let envelope = &one.item.envelope;
            let key = (envelope.item, envelope.version);
            let Some(made) = self.made.get(&key) else { return Err(format!("central has {key:?}, which nobody made")) };
            ensure!(held.insert(key), "central has {key:?} twice");
            ensure!(one.payload == made.payload, "central has {key:?} with other bytes");
            ensure!(one.item.status != "conflict", "central has {key:?} in conflict with nothing");
            ensure!(made.state == ExecutionState::Finished, "{key:?} was {} and was handed in", made.state);
        }
        for (key, made) in &self.made {
            ensure!(!made.shown_sent || held.contains(key), "{key:?} was shown as sent, and central does not have it");
        }
        Ok(())
    }

    /// Everything a local server has to hand in is at central.
    pub fn all_in(&self, local: usize, received: &[ReceivedPayload]) -> Result<(), String> {
        let held: BTreeSet<(Uuid, u32)> =
            received.iter().map(|one| (one.item.envelope.item, one.item.envelope.version)).collect();
        for (key, made) in self.made.iter().filter(|(_, made)| made.local == local) {
            let due = made.state == ExecutionState::Finished;
            ensure!(!due || held.contains(key), "{key:?} of local {local} is finished and not at central");
            ensure!(!due || made.shown_sent, "{key:?} of local {local} is finished and not shown as sent");
        }
        Ok(())
    }
}

/// Everything central holds.
pub async fn received(store: &Store) -> Vec<ReceivedPayload> {
    store.received_page(&ReceivedFilter::default(), ALL, u64::MAX).await.unwrap()
}

fn answers_in(attempt: &Attempt) -> BTreeSet<String> {
    let variables = attempt.result.items.iter().flat_map(|item| &item.variables);
    variables.filter_map(|variable| variable.values.as_ref()).flatten().map(|value| value.text.clone()).collect()
}
