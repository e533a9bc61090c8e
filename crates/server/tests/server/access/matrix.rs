//! The table in `docs/ACCESS.md`, read.

use std::collections::BTreeMap;

use taosync_server::routes::Endpoint;

/// Who asks: the columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Nobody,
    ClientSecret,
    Consumer,
    Void,
    TaoToken,
    SyncManager,
    TestRunner,
    Administrator,
    Auditor,
    ManagerSession,
}

impl Who {
    pub const ALL: [Self; 10] = [
        Self::Nobody,
        Self::ClientSecret,
        Self::Consumer,
        Self::Void,
        Self::TaoToken,
        Self::SyncManager,
        Self::TestRunner,
        Self::Administrator,
        Self::Auditor,
        Self::ManagerSession,
    ];
    /// Whoever is signed in at the pages.
    pub const SIGNED_IN: [Self; 3] = [Self::Administrator, Self::Auditor, Self::ManagerSession];
    const HEAD: [&'static str; 10] = [
        "nobody",
        "client secret",
        "consumer",
        "void",
        "TAO token",
        "sync manager",
        "test runner",
        "administrator",
        "auditor",
        "manager session",
    ];
}

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    No,
    Own,
    Yes,
}

pub struct Matrix(BTreeMap<String, [Cell; 10]>);

pub fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ACCESS.md")).unwrap()
}

fn key(endpoint: &Endpoint) -> String {
    format!("{} {}", endpoint.method, endpoint.path)
}

impl Matrix {
    /// The table below a heading.
    pub fn read(document: &str, heading: &str) -> Self {
        let below = document.split_once(&format!("\n{heading}\n")).unwrap().1;
        let mut lines =
            below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let head = cells(lines.next().unwrap());
        assert_eq!(head[2..], Who::HEAD, "the columns of the table");
        let rows = lines.skip(1).map(|line| {
            let cells = cells(line);
            let says = |text: &String| match text.as_str() {
                "no" => Cell::No,
                "own" => Cell::Own,
                "yes" => Cell::Yes,
                other => panic!("'{other}' is no word of the table: {line}"),
            };
            let row: Vec<Cell> = cells[2..].iter().map(says).collect();
            (format!("{} {}", cells[0], cells[1].trim_matches('`')), row.try_into().unwrap())
        });
        Self(rows.collect())
    }

    pub fn cell(&self, endpoint: &Endpoint, who: Who) -> Cell {
        let row = self.0.get(&key(endpoint)).unwrap_or_else(|| panic!("{endpoint:?} has no row in docs/ACCESS.md"));
        row[who as usize]
    }

    pub fn missing(&self, endpoints: &[Endpoint]) -> Vec<String> {
        endpoints.iter().map(key).filter(|key| !self.0.contains_key(key)).collect()
    }

    pub fn beyond(&self, endpoints: &[Endpoint]) -> Vec<String> {
        let known: Vec<String> = endpoints.iter().map(key).collect();
        self.0.keys().filter(|key| !known.contains(key)).cloned().collect()
    }
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}
