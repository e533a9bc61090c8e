//! A full disk: said clearly, nothing is lost, and the next run completes once there is room. The disk is a small
//! memory file system, which only the superuser can mount.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::node::Node;
use super::people::{school, takers};
use super::run::{arg, says};

/// A small disk, taken away when it is dropped.
struct Disk {
    place: TempDir,
}

impl Disk {
    /// A disk of so many KiB; none where mounting is not allowed.
    fn mount(kib: u32) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place.path()).output();
        match mounted {
            Ok(done) if done.status.success() => Some(Self { place }),
            other => {
                eprintln!("SKIPPED: a full disk cannot be tried, no memory file system can be mounted here: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn node(&self) -> PathBuf {
        self.path().join("node")
    }

    fn grow(&self, kib: u32) {
        let option = format!("remount,size={kib}k");
        let done = Command::new("mount").args(["-o", &option]).arg(self.path()).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What stays mounted is in memory and goes with the machine.
        let _ = Command::new("umount").arg("-l").arg(self.place.path()).status();
    }
}

#[test]
fn an_import_at_central_says_so_and_completes_when_there_is_room() {
    let Some(disk) = Disk::mount(6_000) else { return };
    let beside = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = beside.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let central = Node::init_in("central", &disk.node());
    let few = file("few.csv", takers(0..50));
    central.run(&["import", "test-takers", arg(&few)]).done();
    let many = file("many.csv", takers(0..20_000));
    let message = central.run(&["import", "test-takers", arg(&many)]).failed(75, "TS-101");
    says(&message, &["disk is full", "room"]);
    disk.grow(400_000);
    assert_eq!(central.count("test-taker"), 50, "all or nothing");
    central.is_whole();
    assert_eq!(central.run(&["import", "test-takers", arg(&many)]).done()["created"], 19_950);
    central.is_whole();
}

#[test]
fn a_sync_at_local_says_so_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::mount(5_000) else { return };
    let mut central = Node::central_with(&school("A", 0..20_000));
    let server = central.serve();
    let local = Node::init_in("local", &disk.node());
    local.join(&central, &["A"]);
    let run = local.run(&["sync", "all"]).exits(75);
    let document = run.json();
    let code = document["code"].as_str().or(document["error"]["code"].as_str()).unwrap();
    assert!(["TS-101", "TS-301"].contains(&code), "{document:#}");
    says(&document.to_string(), &["disk is full", "room"]);
    local.run(&["sync", "all"]).exits(75);
    disk.grow(400_000);
    let summary = local.sync();
    assert_eq!(summary["status"], "success");
    assert_eq!(local.count("test-taker"), 20_000);
    local.is_whole();
    let records = local.run(&["history"]).done()["syncs"].as_array().unwrap().len();
    assert!(records >= 1);
    server.stop().exits(0);
}

#[test]
fn a_full_disk_at_central_loses_no_data_that_travels() {
    let Some(disk) = Disk::mount(400_000) else { return };
    let mut central = Node::init_in("central", &disk.node());
    for (kind, text) in school("A", 0..100) {
        central.bring(kind, &text).done();
    }
    let server = central.serve();
    let local = Node::init("local");
    local.join(&central, &["A"]);
    local.sync();
    let files: Vec<_> = (0..60).map(|n| local.file(&format!("r{n}.xml"), super::results_xml::result(n, 400))).collect();
    let mut submit = vec!["execution", "submit"];
    submit.extend(files.iter().map(|file| arg(file)));
    local.run(&submit).done();
    // What is left of the disk is filled.
    let filler = disk.path().join("filler");
    let _ = std::io::copy(&mut std::io::repeat(7), &mut std::fs::File::create(&filler).unwrap());
    let full = local.run(&["sync", "results"]).exits(75).json();
    assert_ne!(full["status"], "success", "{full:#}");
    assert_eq!(full["results"]["pending"], 60, "nothing counts as handed in: {full:#}");
    std::fs::remove_file(&filler).unwrap();
    let done = local.run(&["sync", "results"]).done();
    assert_eq!(done["results"]["pending"], 0, "{done:#}");
    let held = central.results().iter().filter(|row| row["kind"] == "attempt").count();
    assert_eq!(held, 60);
    local.sync();
    central.is_whole();
    server.stop().exits(0);
}
