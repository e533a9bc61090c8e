//! Servers that live as long as whoever started them, and no longer: a shell beside each waits for the end of its input,
//! which comes also when its owner is killed.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::{Connection as _, MySqlConnection, PgConnection};

/// How often a starting server is asked, and how often at most: a minute.
const STEP: Duration = Duration::from_millis(100);
const STEPS: u32 = 600;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
}

impl Kind {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Postgres, Self::MariaDb];

    /// The name, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
        }
    }

    /// The variable that names a running one: the address of a database whose user may make others.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "TAOSYNC_TEST_POSTGRES",
            Self::MariaDb => "TAOSYNC_TEST_MARIADB",
        }
    }

    const fn slot(self) -> usize {
        self as usize
    }
}

/// How much a server promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// What was committed has reached the disk, as in an exam office. For measuring.
    Durable,
    /// Nothing waits for the disk. For tests.
    Careless,
}

/// A running server. It ends, and its files go, when it is dropped.
#[derive(Debug)]
pub struct Server {
    keeper: Child,
    url: String,
}

impl Server {
    /// Starts one in a directory of its own, or says why not.
    pub fn start(kind: Kind, care: Care) -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("taosync-testbed-").tempdir().map_err(|e| e.to_string())?.keep();
        let port = free_port().map_err(|e| e.to_string())?;
        let script = match kind {
            Kind::Postgres => postgres_script(&postgres_programs()?, care),
            Kind::MariaDb => mariadb_script(&program("mariadbd")?, &program("mariadb-install-db")?, care),
        };
        let url = match kind {
            Kind::Postgres => format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            Kind::MariaDb => format!("mysql://root:secret@127.0.0.1:{port}/mysql"),
        };
        let mut command = Command::new("sh");
        command.args(["-c", &script, "taosync-testbed"]).arg(&dir).arg(port.to_string());
        // Of a group of its own: an interrupt at the keyboard ends the owner, and the end of the owner ends this.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let keeper = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut server = Self { keeper: keeper.map_err(|e| format!("cannot start sh: {e}"))?, url };
        server.wait_until_ready(kind, &dir)?;
        Ok(server)
    }

    /// Address of a database whose user may make others.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn wait_until_ready(&mut self, kind: Kind, dir: &Path) -> Result<(), String> {
        for _ in 0..STEPS {
            if self.keeper.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(format!("{} did not start; see {}", kind.as_str(), dir.join("log").display()));
            }
            if answers(kind, &self.url) {
                return Ok(());
            }
            std::thread::sleep(STEP);
        }
        Err(format!("{} did not answer within a minute", kind.as_str()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // A server that cannot be waited for has ended.
        let _ = self.keeper.wait();
    }
}

/// The address of a running server: the one a variable names, or one this process starts. The error says why there is
/// none.
pub fn shared(kind: Kind) -> Result<&'static str, &'static str> {
    static STARTED: [OnceLock<Result<String, String>>; 2] = [const { OnceLock::new() }; 2];
    let started = STARTED[kind.slot()].get_or_init(|| {
        if let Ok(url) = std::env::var(kind.variable()) {
            return Ok(url);
        }
        let server = Server::start(kind, Care::Careless)?;
        let url = server.url().to_owned();
        // It ends with the process.
        std::mem::forget(server);
        Ok(url)
    });
    started.as_deref().map_err(String::as_str)
}

/// Runs something that waits, on a thread of its own: also from inside another runtime.
pub(crate) fn wait_for<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime of one thread can be made").block_on(work)
        });
        thread.join().expect("work on another thread ends")
    })
}

fn answers(kind: Kind, url: &str) -> bool {
    wait_for(async {
        match kind {
            Kind::Postgres => PgConnection::connect(url).await.is_ok(),
            Kind::MariaDb => MySqlConnection::connect(url).await.is_ok(),
        }
    })
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The directory of the newest PostgreSQL's programs.
fn postgres_programs() -> Result<PathBuf, String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<u32>().ok());
    let newest = versions.map(|entry| entry.path()).filter(|path| path.join("bin/initdb").exists()).max_by_key(number);
    newest.map(|path| path.join("bin")).ok_or_else(|| "PostgreSQL is not installed: cargo xtask test --install".into())
}

fn program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| "MariaDB is not installed: cargo xtask test --install".to_owned())
}

/// `$1` is the directory, `$2` the port. PostgreSQL refuses to run as root.
fn postgres_script(programs: &Path, care: Care) -> String {
    let (owner, run) = if rustix::process::geteuid().is_root() {
        ("chown postgres \"$1\" && ", "setpriv --reuid=postgres --regid=postgres --clear-groups ")
    } else {
        ("", "")
    };
    let care = match care {
        Care::Durable => "",
        Care::Careless => "-c fsync=off -c synchronous_commit=off -c full_page_writes=off",
    };
    let programs = programs.display();
    format!(
        "cd \"$1\" && {owner}: > log && chmod a+rw log
         {run}{programs}/initdb -D \"$1/data\" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync > log 2>&1 || exit 1
         {run}{programs}/postgres -D \"$1/data\" -h 127.0.0.1 -p \"$2\" -k \"$1\" -c max_connections=200 {care} \
           >> log 2>&1 &
         server=$!
         {KEEP}"
    )
}

fn mariadb_script(server: &Path, install: &Path, care: Care) -> String {
    let user = if rustix::process::geteuid().is_root() { "--user=root" } else { "" };
    let care = match care {
        Care::Durable => "",
        Care::Careless => "--innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0",
    };
    let (server, install) = (server.display(), install.display());
    format!(
        "cd \"$1\"
         {install} --no-defaults {user} --datadir=\"$1/data\" --skip-test-db --auth-root-authentication-method=normal \
           > log 2>&1 || exit 1
         {server} --no-defaults {user} --datadir=\"$1/data\" --socket=\"$1/socket\" --port=\"$2\" \
           --bind-address=127.0.0.1 --skip-grant-tables --skip-log-bin --max-connections=300 {care} >> log 2>&1 &
         server=$!
         {KEEP}"
    )
}

/// Waits for the end of the input, or of the server, and clears up.
const KEEP: &str = "cat > /dev/null
         kill -TERM $server; sleep 0.2; kill -QUIT $server 2> /dev/null; wait $server; cd /; rm -rf \"$1\"";
