use super::*;

#[test]
fn codes_are_given_once_and_in_order() {
    let codes: Vec<_> = CODES.iter().map(|(code, _)| *code).collect();
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(codes, sorted);
}

#[test]
fn every_code_in_the_sources_is_in_the_table() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pending = vec![folder];
    let mut seen = 0;
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices(concat!("\"", "TS-")) {
                let code = &text[at + 1..at + 7];
                if !code.ends_with(|c: char| c.is_ascii_digit()) {
                    continue;
                }
                assert!(CODES.iter().any(|(known, _)| *known == code), "{code} in {}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > CODES.len());
}

#[test]
fn an_error_reads_as_what_happened_why_and_what_next() {
    let source = std::io::Error::new(std::io::ErrorKind::PermissionDenied, "permission denied");
    let failure = Failure::file("read", std::path::Path::new("/x/takers.csv"), source);
    insta::assert_snapshot!(failure.to_text(), @r"
    error[TS-008]: cannot read /x/takers.csv
      because: permission denied
      → check the path and who may use it
    ");
    insta::assert_snapshot!(failure.to_json().to_string(), @r#"{"error":{"advice":"check the path and who may use it","code":"TS-008","message":"cannot read /x/takers.csv: permission denied"}}"#);
}

#[test]
fn errors_of_the_store_keep_their_advice_and_their_exit() {
    let busy = Failure::from(StoreError::Busy);
    assert_eq!((busy.code, busy.exit), ("TS-102", Exit::Later));
    insta::assert_snapshot!(busy.to_text(), @r"
    error[TS-102]: the database is busy: another taosync process is writing
      → try again in a moment
    ");
    let gone = Failure::from(StoreError::NotFound { what: "consumer 'x'".into(), advice: "see 'taosync oauth list'" });
    insta::assert_snapshot!(gone.to_text(), @r"
    error[TS-107]: consumer 'x' does not exist
      → see 'taosync oauth list'
    ");
}

#[test]
fn a_full_disk_is_a_reason_to_try_again() {
    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let failure = Failure::file("write", std::path::Path::new("/x"), source);
    assert_eq!((failure.code, failure.exit), ("TS-101", Exit::Later));
}
