use std::sync::Arc;

use taosync_model::EntityType;
use taosync_model::clock::SystemClock;

use super::*;
use crate::config::Place;
use crate::context::Context;
use crate::output::Output;

fn context() -> Context {
    // Fails only when another test was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Context { place: Place::new(None), output: Output::Json, clock: Arc::new(SystemClock) }
}

/// Figures differ from run to run; the words do not.
fn without_figures(text: &str) -> String {
    let mut redacted = String::new();
    for line in text.lines() {
        let words = line.split(' ').filter(|word| !word.is_empty()).map(redacted_word);
        let indent = if line.starts_with("  ") { "  " } else { "" };
        redacted.push_str(indent);
        redacted.push_str(&words.collect::<Vec<_>>().join(" "));
        redacted.push('\n');
    }
    redacted
}

fn redacted_word(word: &str) -> String {
    if word.starts_with("https://") {
        return "https://#".to_owned();
    }
    let is_figure = word.starts_with(|c: char| c.is_ascii_digit() || c == '(');
    let redacted = word.replace(|c: char| is_figure && (c.is_ascii_digit() || c == '.'), "#");
    let mut words = redacted.clone();
    while words.contains("##") {
        words = words.replace("##", "#");
    }
    // Bytes may be many or few.
    if ["B", "kB", "MB", "kB,", "B,"].contains(&words.as_str()) { "bytes".to_owned() } else { words }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story_with_twenty_takers() {
    let stage = Stage::open(&context(), None).await.unwrap();
    let dir = stage.dir().to_owned();
    let told = tell(&stage, 20).await;
    stage.close().await.unwrap();
    let figures = told.unwrap();
    assert_eq!(figures.problems, Vec::<String>::new());
    assert!(figures.digest_equal);
    assert!(!dir.exists(), "a temporary directory goes");

    let takers = figures.types[&EntityType::TestTaker];
    assert_eq!((takers.central, takers.local), (13, 13), "14 of 20 are ours, and one left");
    assert_eq!((figures.other_org.at_central, figures.other_org.at_local), (6, 0));
    assert_eq!((figures.exam.attempts, figures.exam.questions), (2, 8));
    let results = &figures.results;
    assert_eq!((results.finished, results.acknowledged, results.at_central), (2, 2, 2));
    assert_eq!(figures.data.created[&EntityType::TestTaker], 20);
    assert_eq!(figures.package.new_chunks[1], 0, "the same package needs no further pieces");
    assert!(figures.removed.could_sign_in && !figures.removed.can_sign_in);

    let json = serde_json::to_value(&figures).unwrap();
    assert_eq!(json["digest_equal"], true);
    assert_eq!(json["types"]["test-taker"], serde_json::json!({"central": 13, "local": 13}));
    assert!(json["second_sync"]["requests"].as_u64().unwrap() >= 1);
    assert!(json["second_sync"]["bytes_down"].as_u64().unwrap() > 0);
    insta::assert_snapshot!("story", without_figures(&ending(&figures)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_asked_for_stays_and_its_nodes_are_whole() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("demo");
    let stage = Stage::open(&context(), Some(&dir)).await.unwrap();
    let text = invitation(&stage, std::path::Path::new("taosync"));
    assert!(text.contains(stage.central.url.as_str()) && text.contains(stage.local.url.as_str()), "{text}");
    assert!(text.contains(&dir.join("local").display().to_string()), "{text}");
    let url = stage.central.url.clone();
    stage.close().await.unwrap();
    let again = Context { place: Place::new(Some(&dir.join("central"))), ..context() };
    let node = crate::node::Node::open(&again).await.unwrap();
    assert_eq!(Some(node.config.listen.0.port()), url.port(), "served again, it is found where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_equal_is_found_and_told() {
    let stage = Stage::open(&context(), None).await.unwrap();
    let figures = tell(&stage, 10).await.unwrap();
    assert_eq!(figures.problems, Vec::<String>::new());
    // Somebody changes central behind the school's back: no sync has brought it.
    let org = proof::org(data::OUR_ORG).unwrap();
    let store = &stage.central.node.store;
    let page = store.entities_list(EntityType::TestTaker, Some(&org), None).await.unwrap();
    let change = vec![taosync_store::entities::Change::Remove(page[0].1.uri.clone())];
    let mut tx = store.write("test", taosync_store::Durability::Flushed).await.unwrap();
    store.entities_change(&mut tx, change).await.unwrap();
    tx.commit().await.unwrap();
    let mut problems = Vec::new();
    let types = proof::both_sides(&stage, &mut problems).await.unwrap();
    stage.close().await.unwrap();
    assert_ne!(types[&EntityType::TestTaker].central, types[&EntityType::TestTaker].local);
    assert!(problems.iter().any(|problem| problem.starts_with("test-taker")), "{problems:?}");
    let text = ending(&Figures { problems, ..figures });
    assert!(text.contains("NOT RIGHT: test-taker"), "{text}");
}
