//! The line between a local server and central, below TLS: both ends see what a bad network does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// What a line does, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// The bytes of a request never reach central. Requests of a sync are counted from 0.
    DropRequest(u32),
    /// Central gets the request and answers; nothing of the answer arrives.
    DropResponse(u32),
    /// The line is cut after so many bytes upwards.
    CutUp(u64),
    /// The line is cut after so many bytes downwards.
    CutDown(u64),
    /// After so many bytes downwards nothing is read for a while.
    SlowReader(u64, Duration),
}

impl LineFault {
    /// Its name in the summary.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DropRequest(_) => "request dropped",
            Self::DropResponse(_) => "response dropped",
            Self::CutUp(_) => "cut upwards",
            Self::CutDown(_) => "cut downwards",
            Self::SlowReader(..) => "slow reader",
        }
    }
}

/// An answer that is swallowed has ended when nothing came for so long.
const QUIET: Duration = Duration::from_millis(12);
/// Receive buffer of a reader that is slow.
const SMALL_BUFFER: u32 = 4096;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// What becomes of bytes that were read.
enum Verdict {
    Pass,
    /// So many pass, then the line is cut.
    Cut(usize),
    /// They are lost, and what follows until it is quiet; then the line is cut.
    Swallow,
    /// They pass later.
    Later(Duration),
}

struct State {
    fault: Option<LineFault>,
    fired: u64,
    bytes: [u64; 2],
    /// Requests begun: bytes upwards after bytes downwards.
    requests: u32,
    last: Way,
    /// An answer that is to be lost is on its way.
    lose_answer: bool,
    target: SocketAddr,
    /// Ends the connections there are.
    cut: CancellationToken,
    open: bool,
}

/// A line with a fixed address, whatever central's is.
pub struct Line {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Line {
    /// A line on which nothing is wrong. Nothing passes before [`Line::lead_to`].
    pub async fn lay() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            fault: None,
            fired: 0,
            bytes: [0; 2],
            requests: 0,
            last: Way::Down,
            lose_answer: false,
            target: address,
            cut: CancellationToken::new(),
            open: false,
        }));
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Self { address, state, accepting }
    }

    /// The root URL of central, through this line.
    pub fn url(&self) -> String {
        format!("https://{}/", self.address)
    }

    /// Lets connections through to an address.
    pub fn lead_to(&self, target: SocketAddr) {
        let mut state = self.state.lock().unwrap();
        state.target = target;
        state.open = true;
    }

    /// Ends all connections; none passes before [`Line::lead_to`].
    pub fn sever(&self) {
        let mut state = self.state.lock().unwrap();
        state.open = false;
        std::mem::take(&mut state.cut).cancel();
    }

    /// Arms a fault; bytes and requests are counted from here.
    pub fn arm(&self, fault: LineFault) {
        let mut state = self.state.lock().unwrap();
        (state.fault, state.fired, state.bytes, state.requests) = (Some(fault), 0, [0; 2], 0);
        (state.last, state.lose_answer) = (Way::Down, false);
    }

    /// Takes the fault away, and says how often it fired.
    pub fn mend(&self) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.fault = None;
        state.lose_answer = false;
        std::mem::take(&mut state.fired)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
        self.sever();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, state.clone()));
    }
}

async fn connect(client: TcpStream, state: Arc<Mutex<State>>) {
    let (target, cut, open, slow) = {
        let state = state.lock().unwrap();
        (state.target, state.cut.clone(), state.open, matches!(state.fault, Some(LineFault::SlowReader(..))))
    };
    if !open {
        return;
    }
    let socket = TcpSocket::new_v4().unwrap();
    if slow {
        socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
    }
    let Ok(server) = socket.connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    // When one way ends, so does the other, without a goodbye from TLS.
    tokio::select! {
        () = cut.cancelled() => {}
        () = carry(client_read, server_write, Way::Up, &state) => {}
        () = carry(server_read, client_write, Way::Down, &state) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, state: &Mutex<State>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let verdict = state.lock().unwrap().judge(way, read);
        let pass = match verdict {
            Verdict::Pass => read,
            Verdict::Cut(pass) => pass,
            Verdict::Swallow => {
                while let Ok(Ok(1..)) = tokio::time::timeout(QUIET, from.read(&mut buffer)).await {}
                return;
            }
            Verdict::Later(pause) => {
                tokio::time::sleep(pause).await;
                read
            }
        };
        if to.write_all(&buffer[..pass]).await.is_err() || pass < read {
            return;
        }
    }
}

impl State {
    fn judge(&mut self, way: Way, read: usize) -> Verdict {
        let index = usize::from(way == Way::Down);
        let before = self.bytes[index];
        self.bytes[index] += read as u64;
        if way == Way::Up && self.last == Way::Down {
            self.requests += 1;
        }
        self.last = way;
        // The first turn of a connection only says hello.
        let request = self.requests.checked_sub(2);
        let verdict = match (self.fault, way) {
            (Some(LineFault::DropRequest(number)), Way::Up) if request == Some(number) => Verdict::Swallow,
            (Some(LineFault::DropResponse(number)), Way::Up) => {
                self.lose_answer |= request == Some(number);
                Verdict::Pass
            }
            (Some(LineFault::DropResponse(_)), Way::Down) if self.lose_answer => Verdict::Swallow,
            (Some(LineFault::CutUp(bytes)), Way::Up) | (Some(LineFault::CutDown(bytes)), Way::Down)
                if before + read as u64 > bytes =>
            {
                Verdict::Cut(bytes.saturating_sub(before) as usize)
            }
            (Some(LineFault::SlowReader(bytes, pause)), Way::Down) if before + read as u64 > bytes => {
                Verdict::Later(pause)
            }
            _ => Verdict::Pass,
        };
        if !matches!(verdict, Verdict::Pass) {
            self.fired += 1;
            self.fault = None;
        }
        verdict
    }
}
