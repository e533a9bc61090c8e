//! Everything that can be wrong with a file, and how it is said.

use crate::school::School;
use proptest::prelude::*;
use taosync_roster::{MAX_PROBLEMS, RosterKind, parse, parse_jsonl};

const HEADER: &str = "label,interface language,login,password";

fn complaints(csv: &str) -> Vec<String> {
    let problems = parse(RosterKind::TestTakers, "people.csv", csv.as_bytes()).expect_err(csv);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn wrong_rows_are_named_with_line_and_column_all_at_once() {
    let csv = format!(
        "{HEADER},mail\n\
         A,fr-FR,a,secret,\n\
         ,fr-FR,b,secret,\n\
         C,french,c,secret,\n\
         \"D\nd\",fr-FR,,secret,nobody\n\
         E,fr-FR,e|f,,\n\
         F,fr-FR,a,secret,\n\
         G,fr-FR,g,secret,,surplus\n\
         \"H\"h,fr-FR,h,secret,\n\
         I,fr-FR,i\n"
    );
    let expected = [
        "people.csv:3, column \"label\": the cell is empty; fill it in",
        "people.csv:4, column \"interface language\": \"french\" is not the code of a language; write it like fr-FR or en-US",
        "people.csv:5, column \"login\": the cell is empty; fill it in",
        "people.csv:5, column \"mail\": this is not an e-mail address; write it like name@example.org, or leave it empty",
        "people.csv:7, column \"login\": the login is not usable; use at most 255 bytes, without | and line breaks",
        "people.csv:7, column \"password\": the cell is empty; give every person a password",
        "people.csv:9: cell 6 has no column: the first line names 5; quote cells that contain the delimiter, or name the column",
        "people.csv:10: text follows a closing quote; quote the whole cell, and double the quotes inside it",
        "people.csv:11, column \"password\": the cell is empty; give every person a password",
        "people.csv:8, column \"login\": the same login as on line 2; keep one of the two rows",
    ];
    assert_eq!(complaints(&csv), expected);
}

#[test]
fn passwords_are_never_shown() {
    let csv = format!("{HEADER}\nA,xx-,a,Hunter2\n\"A\",fr-FR,a,Hunter2\n\"x\"Hunter2,,,");
    let problems = parse(RosterKind::TestTakers, "f.csv", csv.as_bytes()).expect_err("bad");
    assert!(!format!("{problems:?}").contains("Hunter2"));
    let good = format!("{HEADER}\nA,fr-FR,a,Hunter2\n");
    let roster = parse(RosterKind::TestTakers, "f.csv", good.as_bytes()).expect("good");
    assert_eq!(roster.row_count(), 1);
    assert!(!format!("{roster:?}").contains("Hunter2"));
}

#[test]
fn headers_are_checked() {
    assert!(complaints("")[0].starts_with("people.csv:1: the file is empty"));
    assert!(complaints("\n\n")[0].contains("empty"));
    assert_eq!(complaints("label,login,password").len(), 1);
    assert!(complaints(&format!("{HEADER},Shoe Size"))[0].contains("\"Shoe Size\" is not known"));
    assert!(complaints(&format!("{HEADER},user_name")).concat().contains("twice"));
    assert!(complaints(&format!("{HEADER},\nA,fr-FR,a,x,y")).concat().contains("cell 5 has no column"));
    assert!(complaints(&format!("{HEADER}\n\"A,fr-FR,a,x\n"))[0].starts_with("people.csv:2: a quote opened here"));
}

#[test]
fn no_more_than_a_hundred_problems_are_collected() {
    let csv = format!("{HEADER}\n{}", ",,,x\n".repeat(500));
    assert_eq!(complaints(&csv).len(), MAX_PROBLEMS);
}

#[test]
fn cells_are_bounded() {
    let csv = |bytes: usize| format!("{HEADER}\n{},fr-FR,a,x\n", "L".repeat(bytes));
    assert!(parse(RosterKind::TestTakers, "f.csv", csv(65_536).as_bytes()).is_ok());
    assert!(complaints(&csv(65_537))[0].contains("more than 65536"));
    assert!(complaints(&format!("{HEADER}\nA\u{7},fr-FR,a,x\n"))[0].contains("control character"));
    assert!(complaints(&format!("{HEADER}{}", ",".repeat(197)))[0].contains("more than 200 cells"));
    assert!(
        parse(RosterKind::TestTakers, "f.csv", format!("{HEADER}{}\nA,fr-FR,a,x", ",".repeat(196)).as_bytes()).is_ok()
    );
}

#[test]
fn json_lines_are_taken_as_they_are() {
    let text = concat!(
        "{\"uri\":\"https://c/#c\",\"type\":\"class\",\"class\":\"https://c/#p\",\"triples\":[]}\n\n",
        "{\"uri\":\"u\",\"type\":\"test-taker\",\"class\":\"c\",\"later\":{\"x\":[1]},\"triples\":[",
        "{\"predicate\":\"p\",\"object\":\"b\"},{\"predicate\":\"q\",\"object\":\"\",\"lang\":\"\"},",
        "{\"predicate\":\"p\",\"object\":\"é\",\"lang\":\"fr\"},{\"predicate\":\"p\",\"object\":\"b\",\"lang\":null}]}\n"
    );
    let entities = parse_jsonl("f.jsonl", text.as_bytes()).expect("reads");
    let forms: Vec<_> = entities.iter().map(|(t, e)| (t.as_str(), serde_json::to_string(e).expect("JSON"))).collect();
    let class = r#"{"uri":"https://c/#c","class":"https://c/#p","properties":{}}"#;
    let taker =
        r#"{"uri":"u","class":"c","properties":{"p":["b",{"value":"é","lang":"fr"},"b"],"q":[""]},"later":{"x":[1]}}"#;
    assert_eq!(forms, [("class", class.to_owned()), ("test-taker", taker.to_owned())]);
}

#[test]
fn every_wrong_json_line_is_reported_without_values() {
    let good = "{\"uri\":\"u\",\"type\":\"proctor\",\"class\":\"c\",\"triples\":[]}";
    let lines = [
        good.to_owned(),
        good.replace("\"class\":\"c\",", ""),
        good.replace("proctor", "teacher"),
        good.replace("[]", "\"s3cret\""),
        good.replace("[]", "[{\"predicate\":\"p\",\"object\":\"s3cret\",\"x\":1}]"),
        "{".to_owned(),
        "s3cret".to_owned(),
        good.to_owned(),
        good.replace("\"u\"", "\"\""),
        good.replace("\"class\"", "\"package\":{},\"class\""),
        good.replace("\"class\"", &format!("\"deep\":{}{},\"class\"", "[".repeat(200), "]".repeat(200))),
    ];
    let problems = parse_jsonl("f.jsonl", lines.join("\n").as_bytes()).expect_err("bad");
    let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(!said.concat().contains("s3cret"), "{said:#?}");
    let expected = [
        ":2: missing field `class`",
        ":3: \"teacher\" is not a type",
        ":4: a value has the wrong form",
        ":5: a value has the wrong form",
        ":6: the JSON is cut off",
        ":7: this is not JSON",
        ":8: the same proctor as on line 1",
        ":9: a uri, class or predicate is empty",
        ":10: the field package is not taken",
        ":11: recursion limit",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{expected} not in {said}");
    }
}

#[test]
fn json_lines_are_bounded() {
    let line = |bytes: usize| {
        let frame = "{\"uri\":\"u\",\"type\":\"proctor\",\"class\":\"c\",\"triples\":[],\"x\":\"\"}";
        frame.replace("\"\"}", &format!("\"{}\"}}", "x".repeat(bytes - frame.len())))
    };
    let limit = 8 * 1024 * 1024;
    assert!(parse_jsonl("f", line(limit).as_bytes()).is_ok());
    assert!(parse_jsonl("f", line(limit + 1).as_bytes()).expect_err("long")[0].to_string().contains("more than"));
}

fn csv_like() -> impl Strategy<Value = String> {
    let cell = prop_oneof![
        4 => "[a-z0-9|]{0,4}",
        1 => Just("fr-FR".to_owned()),
        1 => Just("\"".to_owned()),
        1 => Just("\"a\"\"\n\"".to_owned()),
        1 => any::<String>(),
    ];
    let row = proptest::collection::vec(cell, 0..6).prop_map(|cells| cells.join(","));
    proptest::collection::vec(row, 0..8).prop_map(|rows| rows.join("\n"))
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in csv_like()) {
        let headers = ["label,interface language,login,password\n", "label,org id,proctors,sub centers\n", "test center,delivery,test takers,proctored\n"];
        for kind in RosterKind::ALL {
            let _ = parse(kind, "f.csv", &bytes);
            for header in headers {
                if let Ok(roster) = parse(kind, "f.csv", format!("{header}{text}").as_bytes()) {
                    let _ = School::default().plan(roster);
                }
            }
        }
        let _ = parse_jsonl("f.jsonl", &bytes);
        let _ = parse_jsonl("f.jsonl", text.as_bytes());
    }

    #[test]
    fn what_a_file_says_it_says_once(
        people in proptest::collection::btree_map("[a-z0-9]{1,6}", ("[A-Za-z é\"\n;]{0,8}x", "[!-~]{1,8}", "(a@b)?"), 1..12),
    ) {
        let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let row = |(login, (label, password, mail)): (&String, &(String, String, String))| {
            format!("{},fr-FR,{login},{},{mail}\n", quote(label), quote(password))
        };
        let csv = format!("{HEADER},mail\n{}", people.iter().map(row).collect::<String>());
        let mut school = School::default();
        // `import` imports twice and asserts that the second time nothing changes.
        let plan = school.import(RosterKind::TestTakers, &csv);
        prop_assert_eq!(plan.created, people.len());
        for (login, (label, _, _)) in &people {
            prop_assert_eq!(school.login(login).label(), label.trim());
        }
    }
}

#[test]
fn a_number_of_an_unknown_field_reads_back_as_it_was() {
    // Read carelessly, its shortest form is another number, and the two sides of a sync never agree on the digest.
    let line =
        r#"{"uri":"u","type":"class","class":"c","triples":[],"later":29999999999999999999999999999999999999.5}"#;
    let entity = parse_jsonl("f.jsonl", line.as_bytes()).expect("valid").remove(0).1;
    let body = serde_json::to_vec(&entity).expect("JSON");
    assert_eq!(serde_json::from_slice::<taosync_model::Entity>(&body).expect("valid"), entity);
}
