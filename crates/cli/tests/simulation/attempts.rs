//! Which attempts there were on each local server, and what was handed in of them, with every byte: written down when
//! they ended, before anybody sent them.

use std::collections::{BTreeMap, BTreeSet};

use taosync_model::Digest;
use taosync_model::assessment::Attempt;
use taosync_model::execution::ExecutionState;
use taosync_model::item::FORM_ZSTD_JSON;
use taosync_store::Store;
use taosync_store::executions::{Execution, ExecutionFilter};
use taosync_store::outbox::{OutboxFilter, OutboxResult, OutboxState};
use taosync_store::received::{ReceivedFilter, ReceivedPayload};
use uuid::Uuid;

use crate::ensure;

const ALL: u32 = 10_000;

/// An item, its version, and the digest of its bytes: only a machine that was copied or put back makes two of one
/// version.
pub type Key = (Uuid, u32, Digest);

/// What was made when an attempt ended.
#[derive(Clone, Debug)]
pub struct Made {
    pub payload: Vec<u8>,
    pub state: ExecutionState,
    /// Machines whose disks must hold it: more than one after a copy, none when the only one was put back.
    pub on: BTreeSet<usize>,
    /// A local server once showed that central holds it.
    pub shown_sent: bool,
    /// Central held it, and was put back to a time before.
    pub forgotten: bool,
    /// The first backup of central's with it, by its number.
    pub in_backup: Option<usize>,
    /// Machines that have erased their copy, because it is in a backup.
    pub erased_on: BTreeSet<usize>,
    /// Somebody chose a state of central older than a backup with it, after copies were erased: it may be gone.
    pub given_up: bool,
}

/// All that was made, and the answers that were confirmed to test takers.
#[derive(Default)]
pub struct Attempts {
    pub made: BTreeMap<Key, Made>,
    /// Answers saved in an attempt so far; each is confirmed.
    pub answers: BTreeMap<Uuid, Vec<String>>,
    /// A machine was copied or put back: one version of an item can have two contents.
    pub may_conflict: bool,
    open: BTreeMap<usize, Vec<Uuid>>,
    over: BTreeMap<usize, Vec<Uuid>>,
}

/// What a local server says about itself.
pub struct Account {
    executions: Vec<Execution>,
    rows: Vec<OutboxResult>,
    /// Rows whose payload is gone for good.
    erased: BTreeSet<Uuid>,
}

impl Account {
    pub async fn of(store: &Store) -> Self {
        Self {
            executions: store.executions_list(&ExecutionFilter::default(), ALL).await.unwrap(),
            rows: store.outbox_results(&OutboxFilter::default(), ALL).await.unwrap(),
            erased: store.outbox_erased().await.unwrap().into_iter().collect(),
        }
    }

    pub fn keys(&self) -> BTreeSet<Key> {
        let envelopes = self.rows.iter().map(|result| &result.row.envelope);
        envelopes.map(|envelope| (envelope.item, envelope.version, envelope.digest)).collect()
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
    /// may be missing or different. Says how many results were erased since.
    pub fn note(&mut self, local: usize, account: Account) -> Result<u64, String> {
        let mut erased = 0;
        let mut versions = BTreeSet::new();
        let seen = account.keys();
        for result in account.rows {
            let envelope = &result.row.envelope;
            let key = (envelope.item, envelope.version, envelope.digest);
            ensure!(versions.insert((key.0, key.1)), "item {key:?} is twice in the outbox of local {local}");
            let sent = result.row.state == OutboxState::Sent;
            ensure!(result.payload.is_some() || result.row.hidden, "the payload of {key:?} is gone at local {local}");
            if let Some(known) = self.made.get_mut(&key) {
                ensure!(known.on.contains(&local), "item {key:?} is on local {local}, which did not make it");
                let same = Digest::of(&known.payload) == key.2
                    && result.payload.as_ref().is_none_or(|payload| *payload == known.payload);
                ensure!(same, "item {key:?} of local {local} was remade");
                known.shown_sent |= sent;
                if !account.erased.contains(&result.row.id) {
                    known.erased_on.remove(&local);
                } else if known.erased_on.insert(local) {
                    ensure!(known.in_backup.is_some(), "{key:?} was erased at local {local} and is in no backup");
                    erased += 1;
                }
                continue;
            }
            // Once its window is over, only central can read what was confirmed.
            let readable =
                result.to_read().filter(|(form, _)| *form == FORM_ZSTD_JSON).map(|(_, bytes)| bytes.to_vec());
            let Some(payload) = result.payload else {
                return Err(format!("item {key:?} of local {local} was never seen and has no payload"));
            };
            ensure!(Digest::of(&payload) == key.2, "item {key:?} of local {local} has another digest");
            if let Some(readable) = readable {
                self.check_answers(key, &readable)?;
            }
            let state = envelope.state.ok_or("an attempt without a state")?;
            let made = Made {
                payload,
                state,
                on: BTreeSet::from([local]),
                shown_sent: sent,
                forgotten: false,
                in_backup: None,
                erased_on: BTreeSet::new(),
                given_up: false,
            };
            self.made.insert(key, made);
        }
        for (key, _) in self.made.iter().filter(|(_, made)| made.on.contains(&local)) {
            ensure!(seen.contains(key), "item {key:?} has gone from the outbox of local {local}, or was remade");
        }
        let (over, open) = account.executions.iter().partition::<Vec<_>, _>(|execution| execution.state.is_over());
        for execution in &over {
            let version = (execution.id, execution.version);
            ensure!(versions.contains(&version), "attempt {version:?} of local {local} is over, and not in the outbox");
        }
        self.open.insert(local, open.into_iter().map(|execution| execution.id).collect());
        self.over.insert(local, over.into_iter().map(|execution| execution.id).collect());
        Ok(erased)
    }

    /// Every answer that was confirmed is in what was made.
    fn check_answers(&self, key: Key, payload: &[u8]) -> Result<(), String> {
        let attempt =
            taosync_results::decode_attempt(payload, taosync_results::MAX_PLAIN).map_err(|e| e.to_string())?;
        let found = answers_in(&attempt);
        let confirmed = self.answers.get(&key.0).into_iter().flatten();
        for answer in confirmed.filter(|_| !self.may_conflict) {
            ensure!(found.contains(answer), "answer {answer} of {key:?} is not in what is handed in");
        }
        Ok(())
    }

    /// A second machine holds what the first one did.
    pub fn copied(&mut self, from: usize, to: usize) {
        self.may_conflict = true;
        for made in self.made.values_mut().filter(|made| made.on.contains(&from)) {
            made.on.insert(to);
            if made.erased_on.contains(&from) {
                made.erased_on.insert(to);
            }
        }
    }

    /// A local server went back: what it made since is gone there.
    pub fn put_back(&mut self, local: usize, account: &Account) {
        self.may_conflict = true;
        let kept = account.keys();
        for (key, made) in &mut self.made {
            if kept.contains(key) {
                made.on.insert(local);
            } else {
                made.on.remove(&local);
            }
        }
    }

    /// What must be in a backup of this local server.
    pub fn keys_on(&self, local: usize) -> BTreeSet<Key> {
        self.made.iter().filter(|(_, made)| made.on.contains(&local)).map(|(key, _)| *key).collect()
    }

    /// A backup of central's holds these.
    pub fn backed_up(&mut self, number: usize, keys: &BTreeSet<Key>) {
        for (_, made) in self.made.iter_mut().filter(|(key, _)| keys.contains(key)) {
            made.in_backup.get_or_insert(number);
        }
    }

    /// Central went back to what was put aside under a number: what it does not hold any more has to come again.
    pub fn central_put_back(&mut self, number: usize, received: &[ReceivedPayload]) {
        let held: BTreeSet<Key> = received.iter().map(key_of).collect();
        for (key, made) in &mut self.made {
            made.forgotten = !held.contains(key);
            let is_older = made.in_backup.is_some_and(|backup| number < backup);
            made.given_up |= made.forgotten && is_older && !made.erased_on.is_empty();
        }
    }

    /// Holds what central has against what was made: each at most once, byte for byte, and everything that was ever
    /// shown as sent.
    pub fn compare(&mut self, received: &[ReceivedPayload]) -> Result<(), String> {
        let mut held = BTreeSet::new();
        for one in received {
            let key = key_of(one);
            let Some(made) = self.made.get_mut(&key) else {
                return Err(format!("central has {key:?}, which nobody made"));
            };
            ensure!(held.insert(key), "central has {key:?} twice");
            ensure!(one.payload == made.payload, "central has {key:?} with other bytes");
            ensure!(self.may_conflict || one.item.status != "conflict", "central has {key:?} in conflict with nothing");
            (made.forgotten, made.given_up) = (false, false);
        }
        for key in &held {
            let may_travel = self.goes(key, |_| true);
            ensure!(may_travel, "{key:?} was {} and was handed in", self.made[key].state);
        }
        for (key, made) in self.made.iter().filter(|(_, made)| made.shown_sent && !made.forgotten) {
            ensure!(held.contains(key), "{key:?} of {:?} was shown as sent, and central does not have it", made.on);
        }
        Ok(())
    }

    /// Everything a local server has to hand in is at central.
    pub fn all_in(&self, local: usize, received: &[ReceivedPayload]) -> Result<(), String> {
        let held: BTreeSet<Key> = received.iter().map(key_of).collect();
        let is_here = |made: &Made| made.on.contains(&local);
        let due = self.made.iter().filter(|(key, made)| is_here(made) && self.goes(key, is_here));
        for (key, made) in due {
            let may_miss = made.given_up && made.erased_on.contains(&local);
            ensure!(held.contains(key) || may_miss, "{key:?} of local {local} is finished and not at central");
            ensure!(made.shown_sent, "{key:?} of local {local} is finished and not shown as sent");
        }
        Ok(())
    }

    /// Whether a version is handed in: it is finished, or one of these that follow it is.
    fn goes(&self, (item, version, _): &Key, counts: impl Fn(&Made) -> bool) -> bool {
        self.made.iter().any(|((other, later, _), made)| {
            other == item && later >= version && made.state == ExecutionState::Finished && counts(made)
        })
    }
}

/// Which version of which item it is.
pub fn key_of(one: &ReceivedPayload) -> Key {
    (one.item.envelope.item, one.item.envelope.version, one.item.envelope.digest)
}

/// Everything central holds.
pub async fn received(store: &Store) -> Result<Vec<ReceivedPayload>, String> {
    let page = store.received_page(&ReceivedFilter::default(), ALL, u64::MAX).await;
    page.map_err(|error| format!("central cannot read what it holds: {error}"))
}

fn answers_in(attempt: &Attempt) -> BTreeSet<String> {
    let variables = attempt.result.items.iter().flat_map(|item| &item.variables);
    variables.filter_map(|variable| variable.values.as_ref()).flatten().map(|value| value.text.clone()).collect()
}
