//! An exam: pupils sign in, read the test, answer, and finish, over HTTPS like any test runner.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use taosync_model::Clock;
use taosync_model::assessment::{LogEntry, VariableKind};
use taosync_packages::compile::CompiledTest;
use taosync_sync::runner::{ItemRef, SavedVariables};
use taosync_vault::random;
use url::form_urlencoded;
use uuid::Uuid;

use super::answers::{Luck, Question, single};
use super::data::{DELIVERIES, Taker};
use super::figures::ExamFigures;
use super::runner_client::{Entrance, RunnerClient};
use super::went_wrong;
use crate::failure::Failure;

/// Pupils at work at once.
const AT_ONCE: usize = 8;

/// A pupil who signed in.
#[derive(Deserialize)]
struct SignedIn {
    test_taker: String,
    deliveries: Vec<Startable>,
}

#[derive(Deserialize)]
struct Startable {
    uri: String,
    label: String,
}

#[derive(Deserialize)]
struct Shown {
    package_address: String,
}

#[derive(Deserialize)]
struct Attempt {
    id: Uuid,
    state: String,
}

/// The test as every runner reads it once.
struct Paper {
    delivery: String,
    test: String,
    questions: Vec<Question>,
    pictures: u64,
}

/// Lets pupils sit the first delivery; gives the ids of their attempts.
pub async fn exam(
    entrance: &Entrance,
    pupils: &[&Taker],
    clock: &Arc<dyn Clock>,
) -> Result<(ExamFigures, Vec<Uuid>), Failure> {
    let since = Instant::now();
    let first = pupils.first().ok_or_else(|| went_wrong("nobody is there to sit the exam"))?;
    let mut client = RunnerClient::connect(entrance).await?;
    let paper = Paper::read(&mut client, first).await?;
    let mut figures = ExamFigures {
        questions: paper.questions.len() as u64,
        pictures: paper.pictures,
        requests: client.requests,
        ..ExamFigures::default()
    };
    client.close().await?;
    let numbered: Vec<(usize, &Taker)> = pupils.iter().copied().enumerate().collect();
    let rooms = numbered.chunks(numbered.len().div_ceil(AT_ONCE)).map(|room| sit(entrance, &paper, room, &**clock));
    let mut attempts = Vec::new();
    let mut score = 0.0;
    for room in try_join_all(rooms).await? {
        attempts.extend(room.attempts);
        figures.variables += room.variables;
        figures.requests += room.requests;
        score += room.score;
    }
    figures.attempts = attempts.len() as u64;
    figures.mean_score = score / attempts.len() as f64;
    figures.seconds = since.elapsed().as_secs_f64();
    Ok((figures, attempts))
}

/// Whether a taker can sign in at the school now.
pub async fn can_sign_in(entrance: &Entrance, taker: &Taker) -> Result<bool, Failure> {
    let mut client = RunnerClient::connect(entrance).await?;
    let answer = client.send("authenticate", &login_of(taker)).await?;
    client.close().await?;
    match answer.status.as_u16() {
        200 => Ok(true),
        401 => Ok(false),
        other => Err(went_wrong(format!("signing in was answered with {other}"))),
    }
}

/// What pupils on one connection did, one after the other.
#[derive(Default)]
struct Room {
    attempts: Vec<Uuid>,
    variables: u64,
    requests: u64,
    score: f64,
}

async fn sit(
    entrance: &Entrance,
    paper: &Paper,
    pupils: &[(usize, &Taker)],
    clock: &dyn Clock,
) -> Result<Room, Failure> {
    let mut client = RunnerClient::connect(entrance).await?;
    let mut room = Room::default();
    for (number, taker) in pupils {
        let signed_in: SignedIn = client.post("authenticate", &login_of(taker)).await?;
        let wanted = json!({"delivery": paper.delivery, "test_taker": signed_in.test_taker});
        let attempt: Attempt = client.post("executions", &wanted).await?;
        let path = |act: &str| format!("executions/{}/{act}", attempt.id);
        let save = |what: &str| format!("executions/{}/{what}/{}", attempt.id, random::uuid());
        client.put(&save("log"), &[event("STARTED", clock.now(), json!({}))]).await?;
        let mut total = 0.0;
        for (at, question) in paper.questions.iter().enumerate() {
            let (saved, score) = answered(question, at, *number);
            room.variables += saved.variables.len() as u64;
            total += score.unwrap_or_default();
            client.put(&save("variables"), &[saved]).await?;
            client.put(&path("position"), &json!({"item": question.identifier})).await?;
        }
        let score = single(VariableKind::Outcome, "SCORE_TOTAL", "float", total.to_string());
        client.put(&save("variables"), &[SavedVariables { item: None, variables: vec![score] }]).await?;
        let submitted = event("SUBMITTED", clock.now(), json!({"test": paper.test}));
        client.put(&save("log"), &[submitted]).await?;
        let ended: Attempt = client.post(&path("finish"), &json!({"state": "finished"})).await?;
        if ended.state != "finished" {
            return Err(went_wrong(format!("an attempt is {} after its end", ended.state)));
        }
        room.attempts.push(ended.id);
        room.variables += 1;
        room.score += total;
    }
    room.requests = client.requests;
    client.close().await?;
    Ok(room)
}

fn answered(question: &Question, at: usize, pupil: usize) -> (SavedVariables, Option<f64>) {
    let seconds = 20 + (pupil * 7 + at * 13) % 70;
    let (variables, score) = question.answer(Luck::of(pupil, at), seconds as u32);
    let item = ItemRef {
        identifier: question.identifier.clone(),
        sequence_index: Some(at as u32 + 1),
        session_status: Some("final".to_owned()),
    };
    (SavedVariables { item: Some(item), variables }, score)
}

impl Paper {
    /// Finds the delivery, and reads its questions and pictures out of the package on this machine.
    async fn read(client: &mut RunnerClient, taker: &Taker) -> Result<Self, Failure> {
        let signed_in: SignedIn = client.post("authenticate", &login_of(taker)).await?;
        let delivery = signed_in.deliveries.into_iter().find(|delivery| delivery.label == DELIVERIES[0]);
        let delivery =
            delivery.ok_or_else(|| went_wrong(format!("'{}' cannot be started at the school", DELIVERIES[0])))?.uri;
        let shown: Shown = client.get(&format!("delivery?{}", query(&[("uri", &delivery)]))).await?;
        let address = shown.package_address;
        let compiled: CompiledTest = client.get(&format!("{address}/compiled")).await?;
        let mut questions = Vec::new();
        let mut pictures = 0;
        for reference in compiled.test.item_refs() {
            let item = compiled.item(&reference.href);
            let item = item.ok_or_else(|| went_wrong(format!("{} is not in the compiled test", reference.href)))?;
            let file = client.bytes(&format!("{address}/files/{}", item.href)).await?;
            let weight = reference.weights.values().next().copied().unwrap_or(1.0);
            questions.push(Question::read(&reference.identifier, weight, item, &file)?);
            for asset in item.assets.iter().filter(|path| is_picture(path)) {
                pictures += u64::from(!client.bytes(&format!("{address}/files/{asset}")).await?.is_empty());
            }
        }
        Ok(Self { delivery, test: compiled.test.identifier, questions, pictures })
    }
}

fn is_picture(path: &str) -> bool {
    [".png", ".svg"].iter().any(|end| path.ends_with(end))
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn login_of(taker: &Taker) -> Value {
    json!({"login": taker.login, "password": taker.password})
}

fn event(name: &str, at: Timestamp, data: Value) -> LogEntry {
    LogEntry { at, event: name.to_owned(), by: None, data }
}
