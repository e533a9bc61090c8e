//! `--long`: schemathesis makes up requests after the OpenAPI documents of both servers, and checks each answer against
//! them. It comes from PyPI, into a folder of its own below `target/`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::summary::{Outcome, Report};
use crate::workspace::cargo;

/// Name of the step.
pub const NAME: &str = "schemathesis";

const FOLDER: &str = "target/schemathesis";
/// The major version whose options these are.
const PACKAGE: &str = "schemathesis>=4,<5";
/// Looks at everything and changes nothing, so that no made-up request does any harm.
const LOGIN: &str = "auditor";
const PASSWORD: &str = "made-up-for-this-run";
/// Answers are checked for all of this but what no test runner or node would send. That odd methods are answered with 405
/// and that credentials are asked for is shown by our own tests, endpoint by endpoint.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance";

/// TAO's addresses answer in TAO's words, also with its 500; a session that ends tells nothing more; and compressed frames are
/// nothing it can make up, the fuzz targets do.
const LEFT_OUT: &str = "^/(tao|logout|api/v1/(outbox|compare|compare/listing)$)";
/// A header with control characters is no HTTP, and the server's library says so before any of our code is asked.
const HOOKS: &str = r"import schemathesis

@schemathesis.hook
def filter_case(context, case):
    return all(str(text).isprintable() for header in (case.headers or {}).items() for text in header)
";

/// A server that is killed when this is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; its exit code is of no interest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it on a central and a local server; skipped where it is not installed.
pub fn run(install: bool) -> Report {
    let start = Instant::now();
    let Some(program) = installed().or_else(|| install.then(fetch).flatten()) else {
        return Report::skipped(NAME, "schemathesis is not installed: cargo xtask test --long --install");
    };
    match both(&program) {
        Ok(true) => Report::of(NAME, Outcome::Passed, start.elapsed()),
        Ok(false) => Report::of(NAME, Outcome::Failed, start.elapsed()),
        Err(error) => Report::failed(NAME, &format!("{error:#}"), start.elapsed()),
    }
}

fn installed() -> Option<PathBuf> {
    let own = Path::new(FOLDER).join("bin/schemathesis");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("schemathesis"));
    // It runs in another folder.
    std::iter::once(own).chain(found).find(|program| program.is_file()).and_then(|program| program.canonicalize().ok())
}

fn fetch() -> Option<PathBuf> {
    let done = |program: &Path, arguments: &[&str]| {
        Command::new(program).args(arguments).stdin(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let made = done(Path::new("python3"), &["-m", "venv", FOLDER]);
    let pip = Path::new(FOLDER).join("bin/pip");
    (made && done(&pip, &["install", "--quiet", PACKAGE])).then(installed).flatten()
}

fn both(schemathesis: &Path) -> anyhow::Result<bool> {
    let built = cargo().args(["build", "--locked", "--package", "taosync-cli"]).status()?;
    ensure!(built.success(), "the program cannot be built");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let taosync = Path::new(&target).join("debug/taosync").canonicalize().context("the program that was built")?;
    let mut all = true;
    for role in ["central", "local"] {
        let home = tempfile::tempdir()?;
        let server = serve(&taosync, role, home.path())?;
        // A runner key opens most of a local server and a session the pages; central's protocol is met as a stranger would
        // meet it, who can sign no request.
        std::fs::write(home.path().join("hooks.py"), HOOKS)?;
        std::fs::write(home.path().join("schemathesis.toml"), "hooks = \"hooks\"\n")?;
        let mut command = Command::new(schemathesis);
        command.env("PYTHONPATH", home.path());
        command.args(["run", &format!("{}/api/v1/openapi.json", server.url), "--url", &server.url]);
        command.args(["--checks", CHECKS, "--max-examples", "50", "--seed", "1", "--no-color", "--workers", "2"]);
        if let Ok(key) = std::fs::read_to_string(home.path().join("keys/runner.key")) {
            command.args(["--header", &format!("Authorization: Bearer {}", key.trim())]);
        }
        command.args([
            "--header",
            "Sec-Fetch-Site: same-origin",
            "--header",
            &format!("Cookie: {}", session(&server)?),
        ]);
        command.args(["--exclude-path-regex", LEFT_OUT]);
        eprintln!("\n── {NAME}: {role}");
        all &= command.stdin(Stdio::null()).current_dir(home.path()).status()?.success();
    }
    Ok(all)
}

/// Signs in as a browser would, and gives the cookie.
fn session(server: &Server) -> anyhow::Result<String> {
    let address = server.url.trim_start_matches("http://");
    let form = format!("login={LOGIN}&password={PASSWORD}");
    let head = format!(
        "POST /login HTTP/1.1\r\nhost: {address}\r\nsec-fetch-site: same-origin\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).context("nobody was signed in")?;
    Ok(line.split(';').next().unwrap_or_default().to_owned())
}

/// A fresh node that listens on loopback, without TLS: what is spoken above it is the same.
fn serve(taosync: &Path, role: &str, home: &Path) -> anyhow::Result<Server> {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(taosync);
        command.arg("--dir").arg(home).arg("--json").args(arguments);
        command.stderr(Stdio::null());
        command
    };
    let made = run(&["init", role, "--listen", "127.0.0.1:0", "--plain-http"]).stdout(Stdio::null()).status()?;
    ensure!(made.success(), "a node cannot be made");
    let mut account = run(&["account", "add", LOGIN, "--role", "auditor"]);
    let mut account = account.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    account.stdin.take().context("a piped input")?.write_all(PASSWORD.as_bytes())?;
    ensure!(account.wait()?.success(), "an account cannot be made");
    let mut child = run(&["serve"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("a piped output")?;
    let mut server = Server { child, url: String::new() };
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let told: serde_json::Value = serde_json::from_str(&line).context("the server says where it listens")?;
    server.url = told["listening"].as_str().context("an address")?.trim_end_matches('/').to_owned();
    Ok(server)
}
