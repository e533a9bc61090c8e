//! A thin line between the two nodes: a proxy that delays every byte and lets through so many a second, each way.
//!
//! It stands above TCP, so the round trip of TCP's own handshake is not in it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes taken at once: what a line of 2 Mbit/s carries in 8 ms.
const PIECE: usize = 2048;
/// How far ahead a sender may fill the line. More would hide from it how slow the line is.
const AHEAD: Duration = Duration::from_millis(40);

/// What a line is like.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Time there and back.
    pub round_trip: Duration,
    /// Bytes a second, each way.
    pub rate: f64,
}

/// A line that is open as long as the program runs.
#[derive(Debug)]
pub struct Line {
    /// Where local connects instead of to central.
    pub address: SocketAddr,
    down: Arc<Lane>,
}

/// One direction, shared by all connections.
#[derive(Debug)]
struct Lane {
    delay: Duration,
    rate: f64,
    free_at: Mutex<Instant>,
    arrived: AtomicU64,
}

impl Line {
    /// Opens a line to a central.
    pub fn open(to: SocketAddr, quality: Quality) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let lane = || Arc::new(Lane::new(quality));
        let (up, down) = (lane(), lane());
        let line = Self { address, down: Arc::clone(&down) };
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if let Ok(far) = TcpStream::connect(to) {
                    // A connection that cannot be carried is dropped, as a line would.
                    let _ = carry(&near, &far, &up, &down);
                }
            }
        });
        Ok(line)
    }

    /// Bytes that have arrived at local so far.
    pub fn arrived(&self) -> u64 {
        self.down.arrived.load(Ordering::Relaxed)
    }
}

impl Lane {
    fn new(quality: Quality) -> Self {
        let free_at = Mutex::new(Instant::now());
        Self { delay: quality.round_trip / 2, rate: quality.rate, free_at, arrived: AtomicU64::new(0) }
    }

    /// When bytes that are sent now are out of the line, and when the next can be taken.
    fn take(&self, bytes: usize) -> (Instant, Instant) {
        let now = Instant::now();
        // Unwrap safety: nothing panics while the lock is held.
        let mut free_at = self.free_at.lock().expect("no holder of the lock panics");
        *free_at = (*free_at).max(now) + Duration::from_secs_f64(bytes as f64 / self.rate);
        (*free_at + self.delay, free_at.checked_sub(AHEAD).unwrap_or(now))
    }
}

fn carry(near: &TcpStream, far: &TcpStream, up: &Arc<Lane>, down: &Arc<Lane>) -> std::io::Result<()> {
    for stream in [near, far] {
        stream.set_nodelay(true)?;
    }
    for (from, to, lane) in [(near, far, up), (far, near, down)] {
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (sender, receiver) = channel();
        let (taking, giving) = (Arc::clone(lane), Arc::clone(lane));
        std::thread::spawn(move || take(from, &sender, &taking));
        std::thread::spawn(move || give(to, &receiver, &giving));
    }
    Ok(())
}

fn take(mut from: TcpStream, sender: &Sender<(Instant, Vec<u8>)>, lane: &Lane) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let (due, next) = lane.take(read);
        if sender.send((due, piece[..read].to_vec())).is_err() {
            // The other end is gone: so is this one.
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn give(mut to: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>, lane: &Lane) {
    while let Ok((due, piece)) = receiver.recv() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            return;
        }
        lane.arrived.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_slow_as_it_says() {
        let server = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let to = server.local_addr().expect("bound");
        let answer = vec![7; 50_000];
        let sent = answer.clone();
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().expect("a connection");
            stream.read_exact(&mut [0]).expect("a byte");
            stream.write_all(&sent).expect("the answer");
        });
        let quality = Quality { round_trip: Duration::from_millis(100), rate: 250_000.0 };
        let line = Line::open(to, quality).expect("a line");
        let start = Instant::now();
        let mut stream = TcpStream::connect(line.address).expect("connects");
        stream.write_all(b"?").expect("asks");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("the answer");
        let took = start.elapsed();
        assert_eq!((heard, line.arrived()), (answer, 50_000));
        assert!(took >= Duration::from_millis(300), "{took:?}: 100 ms of round trip and 200 ms of bytes");
    }
}
