//! What strace wrote (`strace -f -yy`), read again: calls with the lines where they began and ended, and from them
//! the exchanges on each connection.

use std::collections::{BTreeMap, HashMap};

/// Signature and digest of a receipt alone have this many bytes, which no compression makes fewer.
const SHORTEST_RECEIPT: i64 = 64 + 32;

/// The calls of a process, in the order in which they ended.
pub struct Trace {
    calls: Vec<Call>,
}

/// A call that did something.
struct Call {
    name: String,
    /// The file or the connection, as `-yy` names it.
    target: String,
    /// The arguments after that.
    text: String,
    result: i64,
    began: usize,
    ended: usize,
}

/// A request and what was answered to it.
pub struct Exchange {
    connection: String,
    /// Line at which the request had begun to arrive.
    asked: usize,
    /// Lines at which each part of the answer that says something began to leave.
    pub answers: Vec<usize>,
}

impl Trace {
    pub fn of(text: &str) -> Self {
        let mut calls = Vec::new();
        let mut open: HashMap<&str, (usize, String)> = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some((process, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            let (began, whole) = if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
                open.insert(process, (number, begun.to_owned()));
                continue;
            } else if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once("resumed>")) {
                let Some((began, begun)) = open.remove(process) else { continue };
                (began, begun + end)
            } else {
                (number, rest.to_owned())
            };
            calls.extend(Call::of(&whole, began, number));
        }
        Self { calls }
    }

    /// The requests whose head is wanted, with what was answered on their connection until the next request there.
    pub fn exchanges(&self, wanted: impl Fn(&str) -> bool) -> Vec<Exchange> {
        let mut connections: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
        for call in self.calls.iter().filter(|call| call.is_of_connection()) {
            connections.entry(&call.target).or_default().push(call);
        }
        let mut exchanges = Vec::new();
        for (connection, calls) in connections {
            let mut now: Option<Exchange> = None;
            for call in calls {
                if call.is_read() && call.text.contains(" HTTP/1.1\\r\\n") {
                    exchanges.extend(now.take());
                    let fresh =
                        || Exchange { connection: connection.to_owned(), asked: call.ended, answers: Vec::new() };
                    now = wanted(&call.text).then(fresh);
                } else if let Some(exchange) = now.as_mut().filter(|_| call.says_something()) {
                    exchange.answers.push(call.began);
                }
            }
            exchanges.extend(now);
        }
        exchanges
    }

    /// Whether between two lines something was written to the database's log, and reached the disk before the second.
    fn is_flushed(&self, after: usize, before: usize) -> bool {
        let of_log = |call: &&Call| call.target.ends_with("-wal") && call.began > after && call.ended < before;
        let written = self.calls.iter().filter(of_log).find(|call| call.name == "pwrite64").map(|call| call.ended);
        let is_sync = |call: &Call| call.name == "fdatasync" || call.name == "fsync";
        written
            .is_some_and(|written| self.calls.iter().filter(of_log).any(|call| is_sync(call) && call.began > written))
    }
}

impl Call {
    /// Reads `name(fd<target>, …) = result`; calls that failed did nothing.
    fn of(text: &str, began: usize, ended: usize) -> Option<Self> {
        let (name, rest) = text.split_once('(')?;
        // A call that was interrupted in the listing has its result further to the right.
        let (arguments, result) = rest.rsplit_once(" = ")?;
        let arguments = arguments.trim_end().strip_suffix(')')?;
        let result: i64 = result.split_whitespace().next()?.parse().ok()?;
        let (descriptor, text) = arguments.split_once(", ").unwrap_or((arguments, ""));
        let target = descriptor.split_once('<')?.1.trim_end().strip_suffix('>')?;
        let did = result > 0 || name.ends_with("sync") && result == 0;
        let call = || Self { name: name.into(), target: target.into(), text: text.into(), result, began, ended };
        did.then(call)
    }

    fn is_of_connection(&self) -> bool {
        self.target.starts_with("TCP:[")
    }

    fn is_read(&self) -> bool {
        self.name == "read" || self.name.starts_with("recv")
    }

    /// A write that carries more than the head of an answer or its end: those may leave at any time.
    fn says_something(&self) -> bool {
        let is_write = self.name.starts_with("write") || self.name.starts_with("send");
        let is_streamed_head = self.text.contains("transfer-encoding: chunked\\r\\n")
            && self.text.split_once("\\r\\n\\r\\n\"").is_some_and(|(_, rest)| !rest.contains("\\r\\n"));
        let is_end = self.text.contains("\"0\\r\\n\\r\\n\"") && self.result < SHORTEST_RECEIPT;
        is_write && !is_streamed_head && !is_end
    }
}

/// The answers that left before the disk had what they promise.
pub fn unkept(trace: &Trace, exchanges: &[Exchange]) -> Vec<String> {
    let mut broken = Vec::new();
    for exchange in exchanges {
        let mut since = exchange.asked;
        if exchange.answers.is_empty() {
            broken.push(format!("{}: no answer", exchange.connection));
        }
        for answer in &exchange.answers {
            if !trace.is_flushed(since, *answer) {
                broken.push(format!("{}: line {} answers what is not on disk", exchange.connection, answer + 1));
            }
            since = *answer;
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = r#"7 recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "POST /x/finish HTTP/1.1\r\nhost: a\r\n\r\n", 8192, 0, NULL, NULL) = 40"#;
    const WRITTEN: &str = r#"8 pwrite64(5</n/taosync.sqlite-wal>, "\0\1"..., 24, 32) = 24"#;
    const SYNC: &str = "8 fdatasync(5</n/taosync.sqlite-wal>) = 0";
    const SYNC_BEGUN: &str = "8 fdatasync(5</n/taosync.sqlite-wal> <unfinished ...>";
    const SYNC_DONE: &str = "8 <... fdatasync resumed>)             = 0";
    const SYNC_FAILED: &str = "8 fdatasync(5</n/taosync.sqlite-wal>) = -1 EIO (Input/output error)";
    const OTHER_FILE: &str = "8 fdatasync(6</n/other>) = 0";
    const ANSWER: &str = r#"7 writev(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", iov_len=40}, {iov_base="{}", iov_len=2}], 2) = 42"#;

    fn broken(lines: &[&str]) -> usize {
        let trace = Trace::of(&lines.join("\n"));
        let exchanges = trace.exchanges(|request| request.contains("/finish"));
        assert_eq!(exchanges.len(), 1, "{lines:#?}");
        unkept(&trace, &exchanges).len()
    }

    #[test]
    fn an_answer_after_the_flush_is_kept() {
        assert_eq!(broken(&[ASKED, WRITTEN, SYNC, ANSWER]), 0);
        assert_eq!(broken(&[ASKED, WRITTEN, SYNC_BEGUN, SYNC_DONE, ANSWER]), 0);
    }

    #[test]
    fn an_answer_that_does_not_wait_is_found() {
        assert_eq!(broken(&[ASKED, WRITTEN, ANSWER, SYNC]), 1, "flushed after the answer");
        assert_eq!(broken(&[ASKED, WRITTEN, SYNC_BEGUN, ANSWER, SYNC_DONE]), 1, "the flush was still running");
        assert_eq!(broken(&[ASKED, WRITTEN, SYNC_FAILED, ANSWER]), 1, "the flush failed");
        assert_eq!(broken(&[ASKED, WRITTEN, OTHER_FILE, ANSWER]), 1, "another file was flushed");
        assert_eq!(broken(&[WRITTEN, SYNC, ASKED, ANSWER]), 1, "flushed before it was asked");
        assert_eq!(broken(&[ASKED, SYNC, WRITTEN, ANSWER]), 1, "flushed before it was written");
        assert_eq!(broken(&[ASKED, ANSWER]), 1, "never flushed");
        assert_eq!(broken(&[ASKED, WRITTEN, SYNC]), 1, "never answered");
    }

    #[test]
    fn each_batch_of_receipts_needs_a_flush_of_its_own() {
        let head = r#"7 writev(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", iov_len=40}], 1) = 40"#;
        let part = r#"7 writev(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="4\r\n", iov_len=3}, {iov_base="\1\2\3\4\r\n", iov_len=6}], 2) = 9"#;
        let end = r#"7 write(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "0\r\n\r\n", 5) = 5"#;
        assert_eq!(broken(&[ASKED, head, WRITTEN, SYNC, part, WRITTEN, SYNC, part, end]), 0);
        assert_eq!(broken(&[ASKED, head, WRITTEN, SYNC, part, WRITTEN, part, end]), 1);
        assert_eq!(broken(&[ASKED, head, part, WRITTEN, SYNC, end]), 1);
    }
}
