//! The checks themselves: what is broken behind the program's back must be noticed.

use taosync::locks::{self, Way};
use taosync_model::{Value, vocabulary as v};

use crate::chance::{self, uri};
use crate::play::Stage;
use crate::schedule::{Ending, Schedule, Step, Trouble, Who};
use crate::{CANARY, checks};

/// A calm day: a test comes out, everybody syncs, some sit it, one local hands in, another has not yet.
fn calm_day() -> Schedule {
    let sit = |local, nth| Step::Sit { local, nth, ending: Ending::Finished, trouble: Trouble::Nothing };
    let mut steps: Vec<Step> = (0..3).map(|delivery| Step::Publish(delivery, 0, Trouble::Nothing)).collect();
    steps.extend([Step::Settle(0), Step::Settle(1), Step::Settle(2), sit(0, 0), sit(0, 1), Step::Settle(0), sit(1, 2)]);
    Schedule { seed: 1, beginning: chance::schedule(1).beginning, steps }
}

/// What may be broken, where, and what must notice.
const BROKEN: &[(&str, Where, &str)] = &[
    ("an entity of a replica is gone", Where::Local, "DELETE FROM replica_entry WHERE uri LIKE '%taker%'"),
    ("a link of a replica is gone", Where::Local, "DELETE FROM replica_link"),
    ("a result at central is gone", Where::Central, "DELETE FROM received"),
    ("a result counts as sent without a receipt", Where::Local1, "UPDATE outbox SET state = 'sent'"),
    ("a result was never put into the outbox", Where::Local1, "DELETE FROM outbox"),
    ("the bytes of a result at central are damaged", Where::Central, "UPDATE received SET payload = zeroblob(100)"),
    ("a scope lacks a member", Where::Central, "DELETE FROM scope_entry WHERE type = 4"),
    ("an entity at central is gone", Where::Central, "UPDATE entity SET types = 0 WHERE uri LIKE '%taker%'"),
    (
        "a result was erased that is in no backup",
        Where::Local,
        "UPDATE outbox_content SET payload = NULL WHERE id IN (SELECT id FROM outbox WHERE state = 'sent')",
    ),
    ("a name stands plain in a file", Where::Local, "INSERT INTO setting (name, value) VALUES ('note', 'Kanarie')"),
];

#[derive(Clone, Copy)]
enum Where {
    Central,
    Local,
    /// The one with something to hand in.
    Local1,
}

/// Everything a schedule checks, without syncing anything first: what is broken must not be mended before.
async fn look(stage: &mut Stage) -> Result<(), String> {
    for local in [0, 1] {
        let store = stage.nodes.locals[local].store();
        checks::replica_is_whole(&store).await?;
        checks::equal(&store, &stage.world, &["A"]).await?;
        stage.note(local).await?;
    }
    stage.compare_results().await?;
    checks::files_are_silent(stage.nodes.place(), &stage.nodes.secrets)?;
    stage.at_the_end(1).await
}

#[test]
fn what_is_broken_is_noticed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let unnoticed = runtime.block_on(async {
        let mut unnoticed = Vec::new();
        for (name, place, statement) in BROKEN {
            let mut stage = Stage::open().await;
            stage.steps(&calm_day()).await.unwrap();
            look(&mut stage).await.expect("nothing is broken yet");
            let machine = match place {
                Where::Central => &stage.nodes.central,
                Where::Local => &stage.nodes.locals[0],
                Where::Local1 => &stage.nodes.locals[1],
            };
            let rows = machine.store().tamper(statement).await.unwrap();
            assert!(rows > 0, "{name}: nothing was broken");
            match look(&mut stage).await {
                Ok(()) => unnoticed.push(*name),
                Err(violation) => eprintln!("{name}: {}", violation.chars().take(160).collect::<String>()),
            }
            stage.nodes.end().await;
        }
        unnoticed
    });
    assert!(unnoticed.is_empty(), "not noticed: {}", unnoticed.join(", "));
}

/// A backup of each role after the calm day, in which nothing is wrong.
async fn backed_up() -> Stage {
    let mut stage = Stage::open().await;
    stage.steps(&calm_day()).await.unwrap();
    for who in [Who::Central, Who::Local(0)] {
        stage.backup(who, &Trouble::Nothing).await.unwrap();
        stage.restore(who, None).await.expect("nothing is broken yet");
    }
    stage
}

#[test]
fn a_broken_backup_is_noticed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        for who in [Who::Central, Who::Local(0)] {
            // It lacks what it must hold.
            let mut stage = backed_up().await;
            let aside = stage.aside.iter_mut().find(|aside| aside.who == who).unwrap();
            let held = *aside.holds.first().expect("a result is in the backup");
            aside.holds.insert((held.0, held.1 + 1, held.2));
            let lacking = stage.restore(who, None).await;
            assert!(lacking.is_err_and(|words| words.contains("are not there")), "{who:?}");
            // Its bytes are damaged.
            let path = stage.aside.iter().find(|aside| aside.who == who).unwrap().path.clone();
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let damaged = stage.restore(who, None).await;
            assert!(damaged.is_err_and(|words| words.contains("TS-013")), "{who:?}");
            stage.nodes.end().await;
        }
    });
}

#[test]
fn a_lock_that_stays_is_noticed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stage = Stage::open().await;
        stage.steps(&calm_day()).await.unwrap();
        let node = stage.nodes.locals[0].node();
        let left = locks::sync_lock(node.place.dir(), Way::Down, &*node.clock).unwrap();
        let kept_out = stage.settle(0).await;
        assert!(kept_out.is_err_and(|words| words.contains("TS-009")));
        drop((left, node));
        stage.settle(0).await.unwrap();
        stage.nodes.end().await;
    });
}

#[test]
fn a_wrong_expectation_is_noticed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let noticed = runtime.block_on(async {
        let mut stage = Stage::open().await;
        stage.steps(&calm_day()).await.unwrap();
        // Somebody told central something else than it did.
        let taker = stage.world.entities.keys().find(|name| name.contains("taker")).unwrap().clone();
        let center = uri("center", 0);
        stage.world.entities.get_mut(&center).unwrap().1.set(v::RDFS_LABEL, vec![Value::plain("another")]);
        let told = stage.settle(0).await;
        stage.world.entities.remove(&taker);
        let gone = checks::central_holds(&stage.nodes.central.store(), &stage.world, &[taker].into()).await;
        let payloads = stage.attempts.made.values_mut();
        payloads.for_each(|made| made.payload[0] ^= 1);
        let bytes = stage.note(0).await;
        let spoken = checks::is_silent("a log", format!("login={CANARY}-taker1").as_bytes(), &[]);
        stage.nodes.end().await;
        [told, gone, bytes, spoken]
    });
    for (number, result) in noticed.into_iter().enumerate() {
        assert!(result.is_err(), "expectation {number}");
    }
}
