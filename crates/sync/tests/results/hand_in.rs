//! Two stores without a network: whatever is lost on the way, central holds every result exactly once, and local shows
//! "sent" only for what central has proved to hold.

use crate::school::{ANNA, BELA, Fault, MATHS, School, answers, school};
use taosync_model::Digest;
use taosync_model::execution::ExecutionState;
use taosync_model::item::ReceiptStatus;
use taosync_model::item::{Envelope, ItemKind};
use taosync_store::outbox::{NewItem, OutboxFilter, OutboxState};
use taosync_store::received::ReceivedFilter;
use taosync_sync::up::export::{Editions, Reading, Source, Target, export};
use taosync_sync::up::pseudonyms::Names;
use taosync_sync::up::{Push, Receiver, UpError};
use taosync_vault::receipts::BATCH;
use taosync_vault::results_keys::ResultsIdentities;
use taosync_vault::{item_proof, random};
use taosync_wire::frame::{FrameError, FrameReader, FrameWriter, MAX_BODY};
use taosync_wire::v1::outbox::{MAX_UNSIGNED, MAX_UNSIGNED_BYTES, OutboxFrame, ReceiptFrame};

fn plainly(identities: &ResultsIdentities) -> Reading<'_> {
    Reading { identities, names: Names::Uris }
}

fn no_keys() -> ResultsIdentities {
    ResultsIdentities::default()
}

async fn held(school: &School) -> Vec<(uuid::Uuid, u32, Digest)> {
    let list = school.central.received_list(&ReceivedFilter::default(), 1000).await.unwrap();
    list.into_iter().map(|r| (r.envelope.item, r.envelope.version, r.envelope.digest)).collect()
}

/// The server runs these on any thread.
#[expect(dead_code, reason = "checked when it compiles")]
fn futures_are_send(school: &School, link: &taosync_sync::link::Link, receiver: &mut Receiver) {
    fn is_send(_: impl Send) {}
    is_send(taosync_sync::up::push(&school.local, link, &school.org, &school.limits, &|_| ()));
    is_send(receiver.feed(&[]));
    is_send(school.runner.submit(vec![], None, None));
    is_send(school.runner.finish(uuid::Uuid::nil(), ExecutionState::Finished, None));
    let source = Source::Received(ReceivedFilter::default(), Editions::All);
    is_send(export(&school.central, source, Target::XmlFiles(std::path::Path::new(".")), plainly(&no_keys())));
}

/// Every item shown as sent is at central, once, with the same bytes.
async fn check_promise(school: &School) {
    let held = held(school).await;
    let sent = OutboxFilter { state: Some(OutboxState::Sent), ..OutboxFilter::default() };
    for row in school.local.outbox_list(&sent, 1000).await.unwrap() {
        let key = (row.envelope.item, row.envelope.version, row.envelope.digest);
        assert_eq!(held.iter().filter(|h| **h == key).count(), 1, "{key:?}");
    }
}

#[tokio::test]
async fn results_arrive_byte_identical_and_once() {
    let school = school().await;
    let (anna, bela) = (school.attempt(ANNA, "a").await, school.attempt(BELA, "b").await);
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.pending, outcome.duplicate, outcome.top_receipt_no), (2, 0, 0, 2));
    assert!(!outcome.went_back && outcome.out_of_scope == 0 && outcome.bytes > 0);
    let ids: Vec<_> = held(&school).await.into_iter().map(|h| h.0).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&anna) && ids.contains(&bela));
    check_promise(&school).await;
    assert_eq!(school.hand_in_well().await.sent, 0, "nothing is sent twice");
}

#[tokio::test]
async fn a_lost_request_or_answer_costs_only_another_try() {
    let school = school().await;
    school.attempt(ANNA, "a").await;
    let (outcome, end) = school.hand_in(Fault::DropRequest).await;
    assert!(matches!(end, Err(UpError::Answer(FrameError::Truncated { .. }))), "{end:?}");
    assert_eq!((outcome.sent, outcome.pending), (0, 1));
    assert!(held(&school).await.is_empty());
    let (outcome, end) = school.hand_in(Fault::CutAnswer(0)).await;
    assert!(end.is_err() && outcome.sent == 0);
    assert_eq!(held(&school).await.len(), 1, "the fault was in the answer: central has it");
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.duplicate, outcome.pending), (1, 1, 0));
    assert_eq!(held(&school).await.len(), 1);
}

#[tokio::test]
async fn an_answer_may_be_cut_at_any_byte() {
    let school = school().await;
    let count = BATCH as u64 + 2;
    for number in 0..count {
        school.runner.lti_user_add(&school.org, &serde_json::json!({ "number": number })).await.unwrap();
    }
    let (mut length, mut kept_part) = (0, false);
    loop {
        let (outcome, end) = school.hand_in(Fault::CutAnswer(length)).await;
        check_promise(&school).await;
        // What was proved once stays proved: the next answer is shorter by it.
        kept_part |= outcome.sent == BATCH as u64 && outcome.pending == 2;
        assert!(outcome.sent == 0 || outcome.sent == BATCH as u64 || outcome.pending == 0, "{outcome:?}");
        if end.is_ok() {
            break;
        }
        length += if kept_part { 7 } else { 131 };
        if outcome.sent > 0 {
            length = 0;
        }
        assert!(length < 100_000, "the answer never fits");
    }
    assert!(kept_part, "a signed batch before the cut counts");
    assert!(school.hand_in_well().await.pending == 0);
    assert_eq!(held(&school).await.len() as u64, count);
}

#[tokio::test]
async fn a_request_may_be_cut_at_any_byte() {
    let school = school().await;
    for taker in [ANNA, BELA] {
        school.attempt(taker, "a").await;
    }
    for length in (0..4000).step_by(61) {
        let (_, end) = school.hand_in(Fault::CutRequest(length)).await;
        check_promise(&school).await;
        match end {
            Ok(()) => break,
            Err(UpError::Central(problem)) => {
                assert_eq!((problem.status, problem.code.as_str()), (400, "broken_stream"));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    school.hand_in_well().await;
    assert_eq!(held(&school).await.len(), 2);
}

#[tokio::test]
async fn what_is_not_proved_is_not_sent() {
    let changes: [fn(&mut ReceiptFrame); 7] = [
        |frame| {
            if let ReceiptFrame::Signed { signature, .. } = frame {
                *signature = "0".repeat(128);
            }
        },
        |frame| {
            if let ReceiptFrame::Signed { audit, .. } = frame {
                audit.no += 1;
            }
        },
        |frame| on_receipt(frame, |r| r.central = uuid::Uuid::nil()),
        |frame| on_receipt(frame, |r| r.digest = Digest::of(b"other")),
        |frame| on_receipt(frame, |r| r.version += 1),
        |frame| on_receipt(frame, |r| r.status = ReceiptStatus::Conflict),
        |frame| on_receipt(frame, |r| r.receipt_no += 1),
    ];
    let school = school().await;
    school.attempt(ANNA, "a").await;
    for (number, tamper) in changes.into_iter().enumerate() {
        let (outcome, end) = school.hand_in(Fault::Tamper(tamper)).await;
        assert!(end.is_ok());
        assert_eq!((outcome.sent, outcome.unproven, outcome.pending), (0, 1, 1), "change {number}");
    }
    assert_eq!(school.hand_in_well().await.sent, 1);
}

fn on_receipt(frame: &mut ReceiptFrame, change: impl Fn(&mut taosync_model::item::Receipt)) {
    if let ReceiptFrame::Receipt(receipt) = frame {
        change(receipt);
    }
}

#[tokio::test]
async fn a_reactivated_attempt_makes_the_next_version() {
    let school = school().await;
    let id = school.attempt(ANNA, "a").await;
    school.hand_in_well().await;
    school.runner.reactivate(id).await.unwrap();
    school.runner.save_variables(id, random::uuid(), &[answers("item-2", "b")]).await.unwrap();
    school.runner.finish(id, ExecutionState::Finished, None).await.unwrap();
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.superseded, outcome.conflict), (1, 1, 0));
    let mut csv = Vec::new();
    let source = Source::Received(ReceivedFilter::default(), Editions::Newest);
    let done = export(&school.central, source, Target::Csv(&mut csv), plainly(&no_keys())).await.unwrap();
    assert_eq!((done.attempts, done.variables), (1, 4), "the newest version has both items");
    let source = Source::Received(ReceivedFilter::default(), Editions::All);
    let done = export(&school.central, source, Target::Jsonl(&mut Vec::new()), plainly(&no_keys())).await.unwrap();
    assert_eq!(done.attempts, 2);
}

#[tokio::test]
async fn two_versions_of_one_number_are_both_kept() {
    let school = school().await;
    let id = school.attempt(ANNA, "a").await;
    // A copy of the machine hands in something else as version 1 of the same attempt.
    let row = school.local.outbox_results(&OutboxFilter::default(), 1).await.unwrap().remove(0);
    let mut attempt = taosync_results::decode_attempt(&row.payload.unwrap(), taosync_results::MAX_PLAIN).unwrap();
    attempt.result.items.clear();
    let payload = taosync_results::encode_attempt(&attempt);
    let mut envelope = row.row.envelope;
    (envelope.digest, envelope.size) = (Digest::of(&payload), payload.len() as u64);
    school.answer(&stream(&school, &[(envelope, payload)]), None).await;
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.conflict, outcome.pending), (1, 1, 0));
    assert_eq!(held(&school).await.iter().filter(|h| h.0 == id).count(), 2);
    let dir = tempfile::tempdir().unwrap();
    let source = Source::Received(ReceivedFilter::default(), Editions::Newest);
    let done = export(&school.central, source, Target::XmlFiles(dir.path()), plainly(&no_keys())).await.unwrap();
    assert_eq!(done.attempts, 2);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "neither overwrites the other");
}

fn stream(school: &School, items: &[(taosync_model::item::Envelope, Vec<u8>)]) -> Vec<u8> {
    let mut writer = FrameWriter::new().unwrap();
    for (envelope, payload) in items {
        writer.push(&OutboxFrame::Item(Box::new(envelope.clone())), payload).unwrap();
        let signature = item_proof::sign_batch(school.local.keyring().node_key(), &[item_proof::leaf_of(envelope)]);
        writer.push(&OutboxFrame::Signed { signature }, &[]).unwrap();
    }
    writer.push(&OutboxFrame::End, &[]).unwrap();
    writer.finish().unwrap()
}

#[tokio::test]
async fn items_wait_for_their_signature_up_to_a_limit() {
    let school = school().await;
    let payload = zstd::encode_all(&b"{}"[..], 1).unwrap();
    let users = |number: usize| -> Vec<Envelope> {
        let user = || Envelope::first(ItemKind::LtiUser, random::uuid(), school.org.clone(), random::uuid(), &payload);
        (0..number).map(|_| user()).collect()
    };
    for (number, signed, held_then, code) in [
        (MAX_UNSIGNED, MAX_UNSIGNED, MAX_UNSIGNED, None),
        (MAX_UNSIGNED + 1, MAX_UNSIGNED + 1, MAX_UNSIGNED, Some("unsigned_items")),
        // What stands under no word is refused by name, and nothing of it is held.
        (3, 0, MAX_UNSIGNED, None),
    ] {
        let items = users(number);
        let mut writer = FrameWriter::new().unwrap();
        for envelope in &items {
            writer.push(&OutboxFrame::Item(Box::new(envelope.clone())), &payload).unwrap();
        }
        if signed > 0 {
            let leaves: Vec<Digest> = items.iter().map(item_proof::leaf_of).collect();
            let signature = item_proof::sign_batch(school.local.keyring().node_key(), &leaves);
            writer.push(&OutboxFrame::Signed { signature }, &[]).unwrap();
        }
        writer.push(&OutboxFrame::End, &[]).unwrap();
        let answer = frames(&school.answer(&writer.finish().unwrap(), None).await);
        let failed = answer.iter().find_map(|frame| match frame {
            ReceiptFrame::Failed(problem) => Some(problem.code.as_str()),
            _ => None,
        });
        assert_eq!(failed, code);
        let refused = answer.iter().filter(|f| matches!(f, ReceiptFrame::Refused(r) if r.code == "bad_signature"));
        assert_eq!(refused.count(), if signed == 0 { number } else { 0 });
        assert_eq!(held(&school).await.len(), held_then);
    }
}

#[tokio::test]
async fn large_items_must_be_signed_at_once() {
    let school = school().await;
    let half = usize::try_from(MAX_UNSIGNED_BYTES / 2).unwrap();
    for (size, is_taken) in [(half, true), (half + 1, false)] {
        let mut writer = FrameWriter::new().unwrap();
        for number in 0..3_usize {
            let bytes = vec![0; size - usize::from(number == 0)];
            let user = Envelope::first(ItemKind::LtiUser, random::uuid(), school.org.clone(), random::uuid(), &bytes);
            writer.push(&OutboxFrame::Item(Box::new(user)), &bytes).unwrap();
        }
        writer.push(&OutboxFrame::End, &[]).unwrap();
        let answer = frames(&school.answer(&writer.finish().unwrap(), None).await);
        assert_eq!(
            !answer.iter().any(|f| matches!(f, ReceiptFrame::Failed(p) if p.code == "unsigned_items")),
            is_taken
        );
    }
}

fn frames(answer: &[u8]) -> Vec<ReceiptFrame> {
    let mut reader = FrameReader::<ReceiptFrame>::new().unwrap();
    reader.feed(answer).unwrap();
    std::iter::from_fn(|| reader.next_frame().map(|(frame, _)| frame)).collect()
}

#[tokio::test]
async fn an_item_that_breaks_the_word_over_it_blocks_no_other() {
    let school = school().await;
    let changed = school.attempt(ANNA, "a").await;
    let other = school.attempt(BELA, "b").await;
    let (outcome, end) = school.hand_in(Fault::Change(changed)).await;
    end.unwrap();
    assert_eq!((outcome.sent, outcome.refused, outcome.pending), (1, 1, 0));
    assert_eq!(held(&school).await.iter().map(|held| held.0).collect::<Vec<_>>(), [other]);
    let refused = OutboxFilter { state: Some(OutboxState::Refused), ..OutboxFilter::default() };
    let shown = school.local.outbox_list(&refused, 10).await.unwrap();
    assert_eq!((shown[0].envelope.item, shown[0].last_code.as_deref()), (changed, Some("bad_signature")));
    assert_eq!(school.hand_in_well().await.sent, 1, "and goes when nobody changes it");
}

#[tokio::test]
async fn an_unreadable_item_is_refused_alone_and_tried_again_later() {
    let school = school().await;
    school.attempt(ANNA, "a").await;
    let lti = serde_json::json!({ "name": "Anna" });
    let user = school.runner.lti_user_add(&school.org, &lti).await.unwrap();
    assert_eq!(school.runner.lti_user_add(&school.org, &lti).await.unwrap(), user, "the same user is one item");
    // A form that this central does not know, for which a later one can be asked again.
    let bad = uuid::Uuid::from_u128(1);
    let row = school.local.outbox_results(&OutboxFilter::default(), 1).await.unwrap().remove(0);
    let (mut envelope, payload) = (row.row.envelope, row.payload.unwrap());
    (envelope.item, envelope.form) = (bad, 9);
    school.local.outbox_add(&[NewItem { envelope, payload, source: None }]).await.unwrap();
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.refused, outcome.pending), (2, 1, 0));
    let refused = OutboxFilter { state: Some(OutboxState::Refused), ..OutboxFilter::default() };
    let shown = school.local.outbox_list(&refused, 10).await.unwrap();
    assert_eq!((shown[0].envelope.item, shown[0].last_code.as_deref()), (bad, Some("unknown_form")));
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.refused), (0, 1), "a later run tries again");
}

#[tokio::test]
async fn an_item_beyond_the_protocol_blocks_no_other() {
    let school = school().await;
    school.attempt(ANNA, "a").await;
    let row = school.local.outbox_list(&OutboxFilter::default(), 1).await.unwrap().remove(0);
    let mut queue = Vec::new();
    for (id, length) in [(1, MAX_BODY), (2, MAX_BODY + 1)] {
        let payload = vec![0; length as usize];
        let mut envelope = row.envelope.clone();
        (envelope.item, envelope.digest, envelope.size) = (uuid::Uuid::from_u128(id), Digest::of(&payload), length);
        queue.push(NewItem { envelope, payload, source: None });
    }
    school.local.outbox_add(&queue).await.unwrap();
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.refused, outcome.pending), (1, 2, 0));
    let filter = OutboxFilter { state: Some(OutboxState::Refused), ..OutboxFilter::default() };
    let codes: Vec<_> =
        school.local.outbox_list(&filter, 9).await.unwrap().into_iter().filter_map(|row| row.last_code).collect();
    assert_eq!(codes, ["unreadable_payload", "too_large"], "at the limit it travels, beyond it stays here");
}

#[tokio::test]
async fn central_refuses_only_what_cannot_be_read() {
    let school = school().await;
    school.attempt(ANNA, "a").await;
    let row = school.local.outbox_results(&OutboxFilter::default(), 1).await.unwrap().remove(0);
    let (good, payload) = (row.row.envelope, row.payload.unwrap());
    let with = |change: fn(&mut taosync_model::item::Envelope), payload: &[u8]| {
        let mut envelope = good.clone();
        (envelope.size, envelope.digest) = (payload.len() as u64, Digest::of(payload));
        change(&mut envelope);
        (envelope, payload.to_vec())
    };
    let bomb = taosync_sync::up::payload::encode(&"x".repeat(70 * 1024 * 1024)).unwrap();
    let items = [
        (with(|e| e.org = taosync_model::OrgId::new("other").unwrap(), &payload), "wrong_org"),
        (with(|e| e.digest = Digest::of(b"x"), &payload), "digest_mismatch"),
        (with(|e| e.delivery = None, &payload), "incomplete_envelope"),
        (with(|e| e.state = Some(ExecutionState::Active), &payload), "incomplete_envelope"),
        (with(|e| e.version = 0, &payload), "incomplete_envelope"),
        (with(|e| e.form = 9, &payload), "unknown_form"),
        (with(|e| e.form = 2, &payload), "unreadable_payload"),
        (with(|_| (), b"no zstd"), "unreadable_payload"),
        (with(|_| (), &bomb), "unreadable_payload"),
    ];
    let (items, codes): (Vec<_>, Vec<_>) = items.into_iter().unzip();
    let mut items = items;
    items.push((good, payload));
    let mut receiver = Receiver::new(school.central.clone(), school.authority.clone()).unwrap();
    let mut frames = receiver.feed(&stream(&school, &items)).await;
    frames.extend(receiver.finish().await);
    let refused: Vec<&str> = frames
        .iter()
        .filter_map(|frame| if let ReceiptFrame::Refused(r) = frame { Some(r.code.as_str()) } else { None })
        .collect();
    assert_eq!(refused, codes);
    assert_eq!(held(&school).await.len(), 1, "the good one is held");
    assert!(matches!(frames.last(), Some(ReceiptFrame::End(standing)) if standing.top_receipt_no == 1));
}

#[tokio::test]
async fn rubbish_is_answered_and_ends_the_stream() {
    let school = school().await;
    let mut receiver = Receiver::new(school.central.clone(), school.authority.clone()).unwrap();
    let frames = receiver.feed(b"this is no zstd stream at all").await;
    assert!(
        matches!(frames.as_slice(), [ReceiptFrame::Failed(problem)] if problem.code == "broken_stream"),
        "{frames:?}"
    );
    assert!(receiver.is_over());
    assert!(receiver.feed(b"more").await.is_empty());
    assert!(receiver.finish().await.is_empty());
}

#[tokio::test]
async fn who_left_the_org_is_stored_and_flagged() {
    let school = school().await;
    school.attempt(ANNA, "a").await;
    let mut tx = school.central.write("leave", taosync_store::Durability::Flushed).await.unwrap();
    let gone = vec![taosync_store::entities::Change::Remove(ANNA.to_owned())];
    school.central.entities_change(&mut tx, gone).await.unwrap();
    tx.commit().await.unwrap();
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.out_of_scope), (1, 1));
}

#[tokio::test]
async fn only_configured_states_are_handed_in() {
    let mut school = school().await;
    let execution = school.runner.start(MATHS, ANNA).await.unwrap();
    school.runner.terminate(execution.id, "fire alarm").await.unwrap();
    school.attempt(BELA, "b").await;
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.pending, outcome.kept_back), (1, 0, 1));
    school.limits.states.push(ExecutionState::Terminated);
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.kept_back), (1, 0));
}

#[tokio::test]
async fn what_was_kept_back_goes_before_the_version_that_follows_it() {
    let school = school().await;
    let execution = school.attempt(ANNA, "a").await;
    assert_eq!(school.hand_in_well().await.sent, 1);
    school.runner.reactivate(execution).await.unwrap();
    school.runner.terminate(execution, "fire alarm").await.unwrap();
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.kept_back), (0, 1));
    school.runner.reactivate(execution).await.unwrap();
    school.runner.finish(execution, ExecutionState::Finished, None).await.unwrap();
    let outcome = school.hand_in_well().await;
    assert_eq!((outcome.sent, outcome.conflict, outcome.kept_back), (2, 0, 0));
    let versions: Vec<u32> = held(&school).await.into_iter().map(|(_, version, _)| version).collect();
    assert_eq!(versions, [1, 2, 3]);
}

#[tokio::test]
async fn requests_are_bounded_and_all_are_sent() {
    let mut school = school().await;
    school.limits.items = 1;
    for taker in [ANNA, BELA] {
        school.attempt(taker, "a").await;
    }
    assert_eq!(school.hand_in_well().await.sent, 2);
    school.limits.bytes = 1;
    school.limits.items = 50;
    for taker in [ANNA, BELA] {
        school.attempt(taker, "again").await;
    }
    assert_eq!(school.hand_in_well().await.sent, 2);
}

#[tokio::test]
async fn a_central_that_went_back_gets_everything_again() {
    let mut school = school().await;
    school.attempt(ANNA, "a").await;
    school.hand_in_well().await;
    // Central is restored from a backup older than the result: another history, without it.
    let fresh = crate::school::school().await;
    school.authority.epoch = fresh.authority.epoch;
    let (old, key) = (school.authority.central, school.trust().key);
    school.central = fresh.central.clone();
    school.authority.central = old;
    assert_ne!(school.trust().key, key, "the fault is in place");
    school.attempt(BELA, "b").await;
    let outcome = school.hand_in_well().await;
    assert!(outcome.went_back);
    assert_eq!((outcome.sent, outcome.pending), (2, 0), "the lost one was offered again in the same run");
    assert_eq!(held(&school).await.len(), 2);
    let again = school.hand_in_well().await;
    assert_eq!((again.sent, again.went_back), (0, false));
}

#[tokio::test]
async fn a_lower_number_in_the_same_history_is_noticed() {
    let school = school().await;
    school.attempt(ANNA, "a").await;
    school.hand_in_well().await;
    school.attempt(BELA, "b").await;
    let (outcome, end) = school
        .hand_in(Fault::Tamper(|frame| {
            if let ReceiptFrame::End(standing) = frame {
                standing.top_receipt_no = 0;
            }
        }))
        .await;
    assert!(end.is_ok() && outcome.went_back, "and a central that says so every time ends, too");
    assert_eq!((outcome.pending, outcome.duplicate), (0, 1));
    check_promise(&school).await;
}

/// An attempt that ends, goes on and ends again.
async fn two_versions(school: &School, taker: &str) -> uuid::Uuid {
    let id = school.attempt(taker, "first").await;
    school.runner.reactivate(id).await.unwrap();
    school.runner.save_variables(id, random::uuid(), &[answers("item-1", "second")]).await.unwrap();
    school.runner.finish(id, ExecutionState::Finished, None).await.unwrap();
    id
}

#[tokio::test]
async fn versions_made_during_a_push_arrive_in_their_order() {
    let mut school = school().await;
    school.limits.items = 1;
    let anna = two_versions(&school, ANNA).await;
    let mut push = Push::begin(&school.local, school.trust(), &school.org, &school.limits).await.unwrap();
    let (mut made, mut bela) = (0, None);
    while let Some(mut parcel) = push.next_parcel().await.unwrap() {
        made += 1;
        if made == 2 {
            // The walk is among the second versions: it has passed where the first one of this attempt now lies.
            bela = Some(two_versions(&school, BELA).await);
        }
        let answer = school.answer(&parcel.body.clone(), None).await;
        parcel.feed(&answer);
        push.settle(parcel).await.unwrap();
    }
    let outcome = push.finish().await.unwrap();
    assert_eq!((outcome.sent, outcome.superseded, outcome.conflict, outcome.pending), (4, 2, 0, 0), "{outcome:?}");
    let arrived: Vec<_> = held(&school).await.into_iter().map(|(item, version, _)| (item, version)).collect();
    let bela = bela.unwrap();
    for item in [anna, bela] {
        let versions: Vec<_> = arrived.iter().filter(|(of, _)| *of == item).map(|(_, version)| *version).collect();
        assert_eq!(versions.len(), 2, "{arrived:?}");
    }
    check_promise(&school).await;
}
