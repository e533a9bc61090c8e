//! Results are for the holders of the results keys, from their end on: the school cannot read them back, central routes
//! them by their envelopes.

use secrecy::ExposeSecret as _;
use taosync_model::execution::ExecutionState;
use taosync_model::item::{FORM_AGE_ZSTD, FORM_ZSTD_JSON};
use taosync_results::{MAX_PLAIN, decode_attempt};
use taosync_store::Results;
use taosync_store::outbox::{OutboxFilter, OutboxResult};
use taosync_store::received::{ReceivedFilter, ReceivedPayload};
use taosync_sync::session::What;
use taosync_sync::up::sealing::readable;
use taosync_vault::node_identity::NodeIdentity;
use taosync_vault::results_keys::ResultsIdentities;
use taosync_vault::{item_proof, random};

use crate::results_up::{play, with_test};
use crate::support::{Central, Local, by_test};

async fn in_outbox(local: &Local) -> Vec<OutboxResult> {
    local.store().outbox_results(&OutboxFilter::default(), 100).await.unwrap()
}

async fn received(central: &Central) -> Vec<ReceivedPayload> {
    central.store().received_page(&ReceivedFilter::default(), 100, u64::MAX).await.unwrap()
}

fn opens(one: &ReceivedPayload, identities: &ResultsIdentities, answer: &str) -> bool {
    let Ok(plain) = readable(one.item.form(), &one.payload, identities) else { return false };
    let attempt = decode_attempt(&plain, MAX_PLAIN).unwrap();
    serde_json::to_string(&attempt).unwrap().contains(answer)
}

fn identity() -> (String, ResultsIdentities) {
    let identity = NodeIdentity::generate();
    let text = identity.to_text();
    (identity.recipient(), ResultsIdentities::from_text(text.expose_secret()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_school_cannot_read_its_results_back_once_the_window_is_over() {
    let central = Central::start().await;
    with_test(&central, 0..3).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    let id = play(&runner, 0).await;
    let first = in_outbox(&local).await.remove(0);
    assert_eq!(first.row.envelope.form, FORM_AGE_ZSTD);
    assert_eq!(first.to_read().unwrap().0, FORM_ZSTD_JSON, "it can be shown while it can be reactivated");
    // Central's own identity opens what the school made; no key of the school does.
    let payload = first.payload.unwrap();
    assert!(readable(FORM_AGE_ZSTD, &payload, central.store().keyring().results()).is_ok());
    let keys = local.store().keyring();
    assert!(keys.results().is_empty());
    let node = ResultsIdentities::from_text(keys.identity().to_text().expose_secret()).unwrap();
    assert!(readable(FORM_AGE_ZSTD, &payload, &node).is_err());
    // It goes on, ends again, and the window passes.
    runner.reactivate(id).await.unwrap();
    runner.finish(id, ExecutionState::Finished, None).await.unwrap();
    local.node.clock.shift(25 * 3600);
    local.store().executions_erase_resume(local.store().clock().now()).await.unwrap();
    let later = in_outbox(&local).await;
    assert_eq!(later.len(), 2);
    assert!(later.iter().all(|one| one.readable.is_none() && one.to_read().unwrap().0 == FORM_AGE_ZSTD));
    assert_eq!(local.store().execution_parts(id).await.unwrap().len(), 0);

    assert_eq!(local.sync_equal().await.results.sent, 2);
    let public = keys.node_key().public();
    for one in received(&central).await {
        assert_eq!((one.item.form(), one.item.sealed), (FORM_AGE_ZSTD, false), "sealed where it was made");
        assert!(opens(&one, central.store().keyring().results(), "answer-0-3"));
        let proof = central.store().received_proof(one.item.id).await.unwrap().unwrap();
        assert!(item_proof::verify(&public, &one.item.envelope, &proof).is_ok(), "the school's word stays with it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_keys_take_over_and_schools_hear_of_it_with_their_next_request() {
    let central = Central::start().await;
    with_test(&central, 0..4).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    let store = central.store();
    let ((one, opens_one), (two, opens_two)) = (identity(), identity());
    store.results_key_add(&one, "one", &by_test("add")).await.unwrap();
    store.results_key_add(&two, "two", &by_test("add")).await.unwrap();
    assert!(store.results_key_remove("central", &by_test("remove")).await.is_err(), "none was rehearsed");
    assert_eq!(store.results_recipients().await.unwrap(), store.keyring().results().recipients());
    store.results_keys_rehearsed(std::slice::from_ref(&one), &by_test("rehearse")).await.unwrap();
    assert!(store.results_key_remove("central", &by_test("remove")).await.is_err(), "one alone could be lost");
    store.results_keys_rehearsed(&[two], &by_test("rehearse")).await.unwrap();
    store.results_key_remove("central", &by_test("remove")).await.unwrap();
    // The school has a token of an hour; it hears of the keys all the same.
    local.sync_equal().await;
    play(&runner, 0).await;
    local.sync_equal().await;
    let held = received(&central).await.remove(0);
    assert!(!opens(&held, store.keyring().results(), "answer-0-1"), "central does not open it any more");
    assert!(opens(&held, &opens_one, "answer-0-1") && opens(&held, &opens_two, "answer-0-1"));
    assert!(store.results_key_remove("two", &by_test("remove")).await.is_err(), "the other one could be lost");
    assert!(store.received_check(None, 10).await.unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_school_finished_before_it_knew_a_key_is_sealed_on_arrival() {
    let central = Central::start().await;
    with_test(&central, 0..2).await;
    let readable_central = central.store().clone().with_results(Results::Readable);
    let sealing = central.store().clone();
    let central = central.with_store(readable_central).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    play(&runner, 0).await;
    assert_eq!(in_outbox(&local).await[0].row.envelope.form, FORM_ZSTD_JSON);
    local.sync_equal().await;
    let held = received(&central).await.remove(0);
    assert_eq!((held.item.form(), held.item.sealed), (FORM_ZSTD_JSON, false), "kept readable by choice");
    play(&runner, 1).await;
    let central = central.with_store(sealing).await;
    local.sync_equal().await;
    let held = received(&central).await.pop().unwrap();
    assert_eq!((held.item.envelope.form, held.item.form(), held.item.sealed), (FORM_ZSTD_JSON, FORM_AGE_ZSTD, true));
    assert!(opens(&held, central.store().keyring().results(), "answer-1-2"));
    assert!(central.store().received_check(None, 10).await.unwrap().problems.is_empty());
    // Handed in again it is the same result: sealing changed nothing of what it is.
    local.edit("UPDATE outbox SET state = 'pending'");
    let again = local.sync(What::Results).await;
    assert_eq!((again.results.duplicate, received(&central).await.len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_requests_are_known_again_though_sealing_differs() {
    let central = Central::start().await;
    with_test(&central, 0..2).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    let id = play(&runner, 0).await;
    let entry = |event: &str| taosync_model::assessment::LogEntry {
        at: jiff::Timestamp::UNIX_EPOCH,
        event: event.into(),
        by: None,
        data: serde_json::Value::Null,
    };
    let save = random::uuid();
    for _ in 0..2 {
        runner.save_log(id, save, &[entry("LATE")]).await.unwrap();
    }
    assert!(runner.save_log(id, save, &[entry("OTHER")]).await.is_err(), "one id, two contents");
    let org = taosync_model::OrgId::new("A").unwrap();
    let user = serde_json::json!({"name": "Anna"});
    assert_eq!(runner.lti_user_add(&org, &user).await.unwrap(), runner.lti_user_add(&org, &user).await.unwrap());
    let kinds: Vec<_> =
        in_outbox(&local).await.into_iter().map(|one| (one.row.envelope.kind, one.row.envelope.form)).collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    assert!(kinds.iter().all(|(_, form)| *form == FORM_AGE_ZSTD));
    assert_eq!(local.sync_equal().await.results.sent, 3);
}
