//! Every kept input holds what its target asks, on the ordinary compiler: what the fuzzer once found stays found.

use std::path::{Path, PathBuf};

use taosync_properties::TARGETS;

/// Inputs a target may keep, and bytes of all of them: the corpus goes into every clone.
const MAX_INPUTS: usize = 64;
const MAX_BYTES: u64 = 200 * 1024;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in fuzz/").to_owned()
}

fn inputs(folder: &str, target: &str) -> Vec<PathBuf> {
    let Ok(files) = std::fs::read_dir(fuzz().join(folder).join(target)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a folder can be listed").path()).collect();
    files.sort();
    files
}

#[test]
fn every_target_has_a_small_corpus() {
    for (target, _) in TARGETS {
        let files = inputs("corpus", target);
        let bytes: u64 = files.iter().map(|file| file.metadata().expect("a file").len()).sum();
        assert!(!files.is_empty(), "{target} has no inputs");
        assert!(files.len() <= MAX_INPUTS && bytes <= MAX_BYTES, "{target}: {} inputs, {bytes} bytes", files.len());
    }
}

#[test]
fn every_target_stands_in_the_fuzzer() {
    for (target, _) in TARGETS {
        let source = fuzz().join("fuzz_targets").join(format!("{target}.rs"));
        let source = std::fs::read_to_string(&source).expect("a target has a file");
        assert!(source.contains(&format!("taosync_properties::{target}::check")), "{target} calls its own check");
    }
    let files = std::fs::read_dir(fuzz().join("fuzz_targets")).expect("the folder is there").count();
    assert_eq!(files, TARGETS.len(), "targets in the fuzzer, and in the tests");
}

#[test]
fn kept_inputs_hold() {
    let mut broken = Vec::new();
    for (target, check) in TARGETS {
        for file in inputs("corpus", target).into_iter().chain(inputs("regressions", target)) {
            let bytes = std::fs::read(&file).expect("a file can be read");
            if std::panic::catch_unwind(|| check(&bytes)).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "these inputs break what must hold: {broken:#?}");
}
