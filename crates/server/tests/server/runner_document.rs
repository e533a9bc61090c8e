//! docs/RUNNER.md shows an exam: its requests are made here, in their order, and answered as it says.

use serde_json::Value;
use taosync_vault::random;

use crate::client::Answer;
use crate::room::Room;

/// Stands for a value that is another each time, or for members that an example leaves out.
const ANYTHING: &str = "…";

/// One request of the page and its answer.
struct Example<'p> {
    method: &'p str,
    path: &'p str,
    body: Option<&'p str>,
    status: u16,
    answer: Option<&'p str>,
}

fn examples(page: &str) -> Vec<Example<'_>> {
    let parts = page.split("<!-- ask: ").skip(1);
    let example = |part| -> Option<Example<'_>> {
        let (asked, answered) = str::split_once(part, "<!-- answer: ")?;
        let (request, body) = asked.split_once(" -->\n")?;
        let (method, path) = request.split_once(' ')?;
        let (status, answer) = answered.split_once(" -->\n")?;
        Some(Example { method, path, body: json(body), status: status.parse().ok()?, answer: json(answer) })
    };
    parts.map(|part| example(part).unwrap_or_else(|| panic!("an example without an end: {part:.60}"))).collect()
}

/// The block of JSON a text begins with.
fn json(text: &str) -> Option<&str> {
    Some(text.strip_prefix("```json\n")?.split_once("\n```")?.0)
}

/// Whether an answer is what the page says, and all of it unless the page says that something is left out.
fn is_true(said: &Value, real: &Value) -> bool {
    match (said, real) {
        (Value::Object(said), Value::Object(real)) => {
            let named = said.iter().filter(|(name, _)| *name != ANYTHING);
            let all_true = named.clone().all(|(name, said)| real.get(name).is_some_and(|real| is_true(said, real)));
            all_true && (said.contains_key(ANYTHING) || named.count() == real.len())
        }
        (Value::Array(said), Value::Array(real)) => {
            said.len() == real.len() && said.iter().zip(real).all(|(said, real)| is_true(said, real))
        }
        (Value::String(said), _) if said == ANYTHING => true,
        _ => said == real,
    }
}

/// What later examples call by a name.
#[derive(Default)]
struct Names {
    execution: String,
    package: String,
}

impl Names {
    fn put_into(&self, text: &str) -> String {
        text.replace("{execution}", &self.execution)
            .replace("{package}", &self.package)
            .replace("{save}", &random::uuid().to_string())
    }

    fn take_from(&mut self, answer: &Value) {
        let word = |name: &str| answer[name].as_str().map(str::to_owned);
        self.execution = word("id").unwrap_or_else(|| std::mem::take(&mut self.execution));
        self.package = word("package_address").unwrap_or_else(|| std::mem::take(&mut self.package));
    }
}

async fn ask(room: &Room, example: &Example<'_>, path: &str) -> Answer {
    let body = example.body.unwrap_or_default().to_owned();
    match example.method {
        "GET" => room.get(path).await,
        "PUT" => room.put(path, body).await,
        "POST" => room.post_text(path, body).await,
        other => panic!("{other} is no method of this page"),
    }
}

#[tokio::test]
async fn the_exam_of_the_page_runs_as_it_says() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RUNNER.md")).unwrap();
    let room = Room::open().await;
    room.fill().await;
    let examples = examples(&page);
    assert!(examples.len() >= 12, "only {} requests", examples.len());
    let mut names = Names::default();
    for example in examples {
        let path = names.put_into(example.path);
        let answer = ask(&room, &example, &path).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, example.status, "{path}: {text}");
        let Some(said) = example.answer else { continue };
        let said: Value = serde_json::from_str(&names.put_into(said)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(is_true(&said, &answer.json()), "{path} is really answered\n{:#}", answer.json());
        names.take_from(&answer.json());
    }
    assert!(!names.execution.is_empty() && !names.package.is_empty());
}

#[test]
fn an_untrue_answer_is_found() {
    let real = serde_json::json!({"a": 1, "b": ["x", {"c": 2}]});
    for (said, truth) in [
        (r#"{"a": 1, "b": ["…", {"c": 2}]}"#, true),
        (r#"{"a": 1, "…": "…"}"#, true),
        (r#"{"a": "…", "b": "…"}"#, true),
        (r#"{"a": 1}"#, false),
        (r#"{"a": 2, "…": "…"}"#, false),
        (r#"{"a": 1, "b": ["x"]}"#, false),
        (r#"{"a": 1, "b": "…", "d": "…"}"#, false),
    ] {
        assert_eq!(is_true(&serde_json::from_str(said).unwrap(), &real), truth, "{said}");
    }
}
