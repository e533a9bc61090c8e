//! What a test runner does on a local server, up to the item in the outbox.

use crate::school::{ANNA, BELA, MATHS, PASSWORD, School, answers, delivery, replace_delivery, school, variable};
use jiff::Timestamp;
use secrecy::SecretString;
use taosync_model::assessment::{Attempt, LogEntry, VariableKind};
use taosync_model::execution::ExecutionState;
use taosync_model::item::ItemKind;
use taosync_model::{Clock as _, Entity, OrgId, vocabulary};
use taosync_results::{MAX_PLAIN, decode_attempt, write_xml};
use taosync_store::outbox::{OutboxFilter, OutboxResult};
use taosync_sync::runner::{MAX_PARTS, MAX_POSITION, MAX_SAVE, RunnerError, SavedVariables, Submission};
use taosync_sync::up::export::{Reading, Source, Target, export};
use taosync_sync::up::pseudonyms::Names;
use taosync_vault::random;
use taosync_vault::results_keys::ResultsIdentities;
use uuid::Uuid;

const FINISHED: ExecutionState = ExecutionState::Finished;

async fn outbox(school: &School) -> Vec<OutboxResult> {
    school.local.outbox_results(&OutboxFilter::default(), 2000).await.unwrap()
}

async fn only_attempt(school: &School) -> Attempt {
    let rows = outbox(school).await;
    assert_eq!(rows.len(), 1);
    decode_attempt(rows[0].payload.as_ref().unwrap(), MAX_PLAIN).unwrap()
}

fn entry(event: &str) -> LogEntry {
    let at = "2026-05-12T08:00:00Z".parse().unwrap();
    LogEntry { at, event: event.to_owned(), by: None, data: serde_json::Value::Null }
}

#[tokio::test]
async fn parts_fold_into_what_is_handed_in() {
    let school = school().await;
    let runner = &school.runner;
    let execution = runner.start(MATHS, ANNA).await.unwrap();
    assert_eq!(execution.package_version, 3);
    let test = SavedVariables { item: None, variables: vec![variable(VariableKind::Outcome, "SCORE_TOTAL", "2")] };
    runner
        .save_variables(execution.id, random::uuid(), &[answers("b", "first"), answers("a", "x"), test])
        .await
        .unwrap();
    let save = random::uuid();
    runner.save_log(execution.id, save, &[entry("PAUSED")]).await.unwrap();
    runner.save_log(execution.id, save, &[entry("PAUSED")]).await.unwrap();
    runner.save_position(execution.id, &serde_json::json!({ "item": 1 })).await.unwrap();
    runner.save_position(execution.id, &serde_json::json!({ "item": 2 })).await.unwrap();
    let mut later = answers("b", "second");
    later.item.as_mut().unwrap().session_status = Some("pendingSubmission".to_owned());
    later.variables.truncate(1);
    runner.save_variables(execution.id, random::uuid(), &[later]).await.unwrap();
    let finished = runner.finish(execution.id, FINISHED, None).await.unwrap();
    assert_eq!(finished.state, FINISHED);
    let attempt = only_attempt(&school).await;
    let items: Vec<&str> = attempt.result.items.iter().map(|item| item.identifier.as_str()).collect();
    assert_eq!(items, ["b", "a"], "the order of first appearance");
    let b = &attempt.result.items[0];
    assert_eq!(b.variables[0].values.as_ref().unwrap()[0].text, "second", "the later value replaces");
    assert_eq!((b.variables.len(), b.session_status.as_str()), (2, "pendingSubmission"));
    assert_eq!(attempt.log, [entry("PAUSED")], "a repeated request is one row");
    assert_eq!(attempt.session.as_ref().unwrap().position["item"], 2);
    assert_eq!(attempt.result.test.as_ref().unwrap().variables.len(), 1);
    let envelope = &outbox(&school).await[0].row.envelope;
    assert_eq!((envelope.item, envelope.version, envelope.previous), (execution.id, 1, None));
    assert_eq!((envelope.counts.items, envelope.counts.variables, envelope.counts.log), (2, 5, 1));
    assert_eq!(envelope.origin, school.authority.node);
}

#[tokio::test]
async fn lost_answers_may_be_asked_for_again() {
    let school = school().await;
    let runner = &school.runner;
    let (one, two) = tokio::join!(runner.start(MATHS, ANNA), runner.start(MATHS, ANNA));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.id, two.id, "two starts at once are one attempt");
    let finished = runner.finish(one.id, FINISHED, None).await.unwrap();
    assert_eq!(runner.finish(one.id, FINISHED, None).await.unwrap(), finished);
    assert_eq!(runner.terminate(one.id, "too late").await.unwrap().state, FINISHED, "the first end stays");
    assert_eq!(outbox(&school).await.len(), 1);
    assert_ne!(runner.start(MATHS, ANNA).await.unwrap().id, one.id, "after the end a new one may begin");
    let error = runner.save_variables(one.id, random::uuid(), &[answers("a", "late")]).await.unwrap_err();
    assert_eq!(error.code(), "execution_over");
}

#[tokio::test]
async fn log_rows_after_the_end_are_an_item_of_their_own() {
    let school = school().await;
    let id = school.attempt(ANNA, "a").await;
    let save = random::uuid();
    for _ in 0..2 {
        school.runner.save_log(id, save, &[entry("CLOSED"), entry("PRINTED")]).await.unwrap();
    }
    let other = school.runner.save_log(id, save, &[entry("CLOSED")]).await.unwrap_err();
    assert_eq!(other.code(), "save_differs");
    let rows = outbox(&school).await;
    assert_eq!(rows.len(), 2, "the same save twice is one item");
    let envelope = &rows[1].row.envelope;
    assert_eq!((envelope.kind, envelope.execution, envelope.counts.log), (ItemKind::Log, Some(id), 2));
    assert_eq!(school.hand_in_well().await.sent, 2);
}

#[tokio::test]
async fn a_terminated_attempt_keeps_its_answers_and_says_why() {
    let school = school().await;
    let execution = school.runner.start(MATHS, ANNA).await.unwrap();
    school.runner.save_variables(execution.id, random::uuid(), &[answers("a", "x")]).await.unwrap();
    assert_eq!(school.runner.terminate(execution.id, "  ").await.unwrap_err().code(), "bad_request");
    let ended = school.runner.terminate(execution.id, "left the room").await.unwrap();
    assert_eq!((ended.state, ended.reason.as_deref()), (ExecutionState::Terminated, Some("left the room")));
    let attempt = only_attempt(&school).await;
    assert_eq!(attempt.other["reason"], "left the room");
    assert_eq!(attempt.result.items.len(), 1);
}

#[tokio::test]
async fn what_speaks_against_a_start_is_named() {
    let school = school().await;
    let runner = &school.runner;
    let start = async || runner.start(MATHS, ANNA).await;
    let now = school.clock.now().as_second();
    let period = |name: &str, second: i64| {
        delivery().with(&format!("http://www.tao.lu/Ontologies/TAODelivery.rdf#{name}"), second.to_string())
    };
    let cases: [(Entity, &str); 4] = [
        (period("PeriodStart", now + 60), "too_early"),
        (period("PeriodEnd", now - 60), "too_late"),
        (delivery().with(vocabulary::EXCLUDED_SUBJECTS, ANNA), "excluded"),
        (Entity { package: None, ..delivery() }, "not_published"),
    ];
    for (entity, code) in cases {
        replace_delivery(&school.local, &school.org, &entity).await;
        assert_eq!(start().await.unwrap_err().code(), code);
    }
    replace_delivery(&school.local, &school.org, &period("Maxexec", 1)).await;
    let id = start().await.unwrap().id;
    assert_eq!(start().await.unwrap().id, id, "the running one is not a second one");
    runner.finish(id, FINISHED, None).await.unwrap();
    assert_eq!(start().await.unwrap_err().code(), "no_more_attempts");
    assert_eq!(runner.start(MATHS, "http://example.org/nobody").await.unwrap_err().code(), "not_eligible");
    assert_eq!(runner.start("http://example.org/other", ANNA).await.unwrap_err().code(), "not_eligible");
}

#[tokio::test]
async fn saving_is_bounded() {
    let school = school().await;
    let id = school.runner.start(MATHS, ANNA).await.unwrap().id;
    let position = |bytes: usize| serde_json::Value::from("x".repeat(bytes - 2));
    school.runner.save_position(id, &position(MAX_POSITION)).await.unwrap();
    assert_eq!(school.runner.save_position(id, &position(MAX_POSITION + 1)).await.unwrap_err().code(), "too_much");
    let empty = serde_json::to_vec(&[answers("a", "")]).unwrap().len();
    let of = |bytes: usize| [answers("a", &"x".repeat(bytes - empty))];
    assert_eq!(
        school.runner.save_variables(id, random::uuid(), &of(MAX_SAVE + 1)).await.unwrap_err().code(),
        "too_much"
    );
    let mut last = Uuid::nil();
    for _ in 0..MAX_PARTS / MAX_SAVE {
        last = random::uuid();
        school.runner.save_variables(id, last, &of(MAX_SAVE)).await.unwrap();
    }
    school.runner.save_variables(id, last, &of(MAX_SAVE)).await.unwrap();
    assert_eq!(
        school.runner.save_variables(id, random::uuid(), &[answers("a", "")]).await.unwrap_err().code(),
        "too_much"
    );
    school.runner.finish(id, FINISHED, None).await.unwrap();
}

#[tokio::test]
async fn signing_in_shows_what_may_be_started() {
    let school = school().await;
    let (right, wrong) = (SecretString::from(PASSWORD), SecretString::from("wrong"));
    let signed_in = school.runner.authenticate("anna", &right, None).await.unwrap();
    assert_eq!((signed_in.test_taker.as_str(), signed_in.deliveries.len()), (ANNA, 1));
    assert_eq!((signed_in.deliveries[0].uri.as_str(), signed_in.deliveries[0].running), (MATHS, None));
    let id = school.runner.start(MATHS, ANNA).await.unwrap().id;
    assert_eq!(school.runner.deliveries_for(ANNA).await.unwrap()[0].running, Some(id));
    for login in ["anna", "nobody"] {
        for _ in 0..3 {
            assert_eq!(school.runner.authenticate(login, &wrong, None).await.unwrap_err().code(), "wrong_login");
        }
        let error = school.runner.authenticate(login, &wrong, None).await.unwrap_err();
        assert!(matches!(error, RunnerError::SlowDown { seconds: 1..=60 }), "{error}");
    }
    assert!(school.runner.authenticate("bela", &right, None).await.is_ok(), "others do not wait");
    assert!(school.runner.authenticate("anna", &right, Some("PC 7")).await.is_ok(), "nor does she elsewhere");
    school.clock.shift(61);
    assert!(school.runner.authenticate("anna", &right, None).await.is_ok());
}

fn file(taker: Option<&str>, score: &str) -> Vec<u8> {
    let mut result = taosync_model::assessment::AssessmentResult::default();
    result.context.sourced_id = taker.map(str::to_owned);
    result.items.push(taosync_model::assessment::ItemResult {
        identifier: "not-in-the-package".to_owned(),
        sequence_index: None,
        datestamp: "2026-05-12T08:30:00".to_owned(),
        session_status: "final".to_owned(),
        candidate_comment: None,
        variables: vec![variable(VariableKind::Outcome, "SCORE", score)],
    });
    write_xml(&result).into_bytes()
}

#[tokio::test]
async fn submitted_files_are_attempts_and_the_same_file_is_the_same_attempt() {
    let school = school().await;
    let files = || vec![("1.xml".to_owned(), file(Some("anna"), "1")), ("2.xml".to_owned(), file(Some(BELA), "2"))];
    let first = school.runner.submit(files(), None, None).await.unwrap();
    assert!(first.iter().all(|o| matches!(o.outcome, Submission::Stored(_))), "{first:?}");
    let again = school.runner.submit(files(), None, None).await.unwrap();
    for (one, two) in first.iter().zip(&again) {
        let (Submission::Stored(one), Submission::Unchanged(two)) = (&one.outcome, &two.outcome) else {
            panic!("{two:?}")
        };
        assert_eq!(one, two);
    }
    let other = school.runner.submit(vec![("3.xml".to_owned(), file(Some("anna"), "9"))], None, None).await.unwrap();
    assert!(matches!(other[0].outcome, Submission::Stored(_)));
    let rows = outbox(&school).await;
    assert_eq!(rows.len(), 3);
    let expected: Timestamp = "2026-05-12T08:30:00Z".parse().unwrap();
    assert_eq!(rows[0].row.envelope.finished_at, Some(expected));
    assert_eq!(school.hand_in_well().await.sent, 3);
}

#[tokio::test]
async fn one_bad_file_stores_none() {
    let school = school().await;
    let files = vec![
        ("good.xml".to_owned(), file(Some("anna"), "1")),
        ("broken.xml".to_owned(), b"<assessmentResult".to_vec()),
        ("stranger.xml".to_owned(), file(Some("nobody"), "1")),
        ("nameless.xml".to_owned(), file(None, "1")),
    ];
    let outcomes = school.runner.submit(files.clone(), None, None).await.unwrap();
    assert_eq!(outcomes[0].outcome, Submission::Held);
    assert!(
        outcomes[1..].iter().all(|o| matches!(&o.outcome, Submission::Problem(text) if text.contains(';'))),
        "{outcomes:?}"
    );
    assert!(outbox(&school).await.is_empty());
    let nameless = vec![files[3].clone()];
    let outcomes = school.runner.submit(nameless.clone(), None, Some("bela")).await.unwrap();
    assert!(matches!(outcomes[0].outcome, Submission::Stored(_)));
    let outcomes = school.runner.submit(nameless, Some("http://example.org/other"), Some("bela")).await.unwrap();
    assert!(matches!(&outcomes[0].outcome, Submission::Problem(text) if text.contains("eligibility")), "{outcomes:?}");
}

#[tokio::test]
async fn what_is_exported_can_be_submitted_elsewhere() {
    let (here, there) = (school().await, school().await);
    here.attempt(ANNA, "a").await;
    let dir = tempfile::tempdir().unwrap();
    let done = export(
        &here.local,
        Source::Outbox(OutboxFilter::default()),
        Target::XmlFiles(dir.path()),
        Reading { identities: &ResultsIdentities::default(), names: Names::Uris },
    )
    .await
    .unwrap();
    assert_eq!((done.attempts, done.variables, done.gone), (1, 2, 0));
    let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let files = vec![("a.xml".to_owned(), std::fs::read(path).unwrap())];
    let outcomes = there.runner.submit(files, None, None).await.unwrap();
    assert!(matches!(outcomes[0].outcome, Submission::Stored(_)), "{outcomes:?}");
    let (one, two) = (only_attempt(&here).await, only_attempt(&there).await);
    assert_eq!(one.result, two.result);
}

#[tokio::test]
async fn a_thousand_files_take_well_under_a_second() {
    let school = school().await;
    let org = OrgId::new("school-2").unwrap();
    let takers = crate::school::many_takers(1000);
    crate::school::fill_local(&school.local, &org, &takers).await;
    let files: Vec<(String, Vec<u8>)> = takers
        .iter()
        .enumerate()
        .map(|(number, taker)| {
            let mut result = taosync_model::assessment::AssessmentResult::default();
            result.context.sourced_id = Some(taker.first(vocabulary::USER_LOGIN).unwrap().to_owned());
            for item in 0..10 {
                let variables = answers("", &format!("answer {number}")).variables;
                result.items.push(taosync_model::assessment::ItemResult {
                    identifier: format!("item-{item}"),
                    sequence_index: Some(item + 1),
                    datestamp: "2026-05-12T08:30:00Z".to_owned(),
                    session_status: "final".to_owned(),
                    candidate_comment: None,
                    variables,
                });
            }
            (format!("{number}.xml"), write_xml(&result).into_bytes())
        })
        .collect();
    let begun = std::time::Instant::now();
    let outcomes = school.runner.submit(files, None, None).await.unwrap();
    let took = begun.elapsed();
    assert!(outcomes.iter().all(|o| matches!(o.outcome, Submission::Stored(_))));
    eprintln!("1,000 files of 20 variables: {took:?}");
    let limit = if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(took.as_secs() < limit, "{took:?}");
}
