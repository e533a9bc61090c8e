//! Syslog messages (RFC 5424) and the three ways they travel: a socket of this machine, UDP (RFC 5426), TCP (RFC 6587
//! §3.4.1, octets counted).

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use taosync_store::audit::AuditRecord;
use uuid::Uuid;

/// Facility 13 (log audit) and severity 5 (notice): 13 × 8 + 5 (RFC 5424 §6.2.1).
const PRIORITY: u32 = 109;
/// Enterprise number of our structured data: 32473 is the one for examples (RFC 5612); we have none of our own.
const DATA_ID: &str = "taosync@32473";
/// How long a log server may think.
const PATIENCE: Duration = Duration::from_secs(10);

/// A log server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Syslog {
    /// A datagram socket of this machine.
    Unix(PathBuf),
    /// `HOST:PORT`.
    Udp(String),
    /// `HOST:PORT`.
    Tcp(String),
}

/// Takes messages.
pub type Send = Box<dyn FnMut(&str) -> io::Result<()> + std::marker::Send>;

impl FromStr for Syslog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let has_port = |place: &str| {
            place.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        match text.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("udp", place)) if has_port(place.trim_start_matches("//")) => {
                Ok(Self::Udp(place.trim_start_matches("//").into()))
            }
            Some(("tcp", place)) if has_port(place.trim_start_matches("//")) => {
                Ok(Self::Tcp(place.trim_start_matches("//").into()))
            }
            _ => Err("expected unix:/dev/log, udp://HOST:PORT or tcp://HOST:PORT".into()),
        }
    }
}

impl fmt::Display for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(place) => write!(f, "udp://{place}"),
            Self::Tcp(place) => write!(f, "tcp://{place}"),
        }
    }
}

impl Syslog {
    /// Opens the way there.
    pub fn connect(&self) -> io::Result<Send> {
        Ok(match self {
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Box::new(move |message| socket.send(message.as_bytes()).map(drop))
            }
            Self::Udp(place) => {
                let to = first_address(place)?;
                let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
                socket.connect(to)?;
                Box::new(move |message| socket.send(message.as_bytes()).map(drop))
            }
            Self::Tcp(place) => {
                let mut stream = TcpStream::connect_timeout(&first_address(place)?, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Box::new(move |message| stream.write_all(format!("{} {message}", message.len()).as_bytes()))
            }
        })
    }
}

fn first_address(place: &str) -> io::Result<std::net::SocketAddr> {
    place.to_socket_addrs()?.next().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Who sends.
pub struct Origin {
    /// Node id: the host name of the messages, which says more than a machine's.
    pub node: Uuid,
    /// Process.
    pub pid: u32,
}

impl Origin {
    /// An entry as a message.
    pub fn message(&self, entry: &AuditRecord) -> String {
        let mut text =
            format!("<{PRIORITY}>1 {} {} taosync {} {} [{DATA_ID}", entry.at, self.node, self.pid, id(&entry.act));
        let fields = [
            ("no", entry.no.to_string()),
            ("actor", entry.actor.clone()),
            ("object", entry.object.clone()),
            ("digest", entry.digest.to_hex()),
            ("previous", entry.previous.to_hex()),
            ("signature", hex::encode(entry.signature)),
        ];
        for (name, value) in fields {
            // Writing to a string never fails.
            let _ = write!(text, " {name}=\"{}\"", escaped(&value));
        }
        text.push_str("] ");
        text.push_str(&entry.detail);
        text
    }
}

/// A message id: at most 32 printable characters (RFC 5424 §6.2.7).
fn id(act: &str) -> String {
    let id: String = act.chars().filter(char::is_ascii_graphic).take(32).collect();
    if id.is_empty() { "-".to_owned() } else { id }
}

/// A value of structured data (RFC 5424 §6.3.3).
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '"' | '\\' | ']') {
            text.push('\\');
        }
        text.push(if character.is_control() { ' ' } else { character });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_model::Digest;

    #[test]
    fn an_entry_is_a_message_of_rfc_5424() {
        let entry = AuditRecord {
            no: 7,
            at: "2026-05-12T08:00:00.5Z".parse().unwrap(),
            actor: "command line".into(),
            act: "consumer.revoke".into(),
            object: "a\"]\\\nb".into(),
            detail: "{\"n\":1}".into(),
            previous: Digest::default(),
            digest: Digest([1; 32]),
            signer: [2; 32],
            signature: [3; 64],
        };
        let message = Origin { node: Uuid::nil(), pid: 4 }.message(&entry);
        let start = "<109>1 2026-05-12T08:00:00.5Z 00000000-0000-0000-0000-000000000000 taosync 4 consumer.revoke \
                     [taosync@32473 no=\"7\" actor=\"command line\" object=\"a\\\"\\]\\\\ b\" digest=\"0101";
        assert!(message.starts_with(start), "{message}");
        assert!(message.ends_with("\"] {\"n\":1}"), "{message}");
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["unix:/dev/log", "udp://logs.example:514", "tcp://[::1]:601"] {
            assert_eq!(text.parse::<Syslog>().unwrap().to_string(), text);
        }
        for wrong in ["", "/dev/log", "unix:dev/log", "udp://logs.example", "http://x:1", "tcp://:601"] {
            assert!(wrong.parse::<Syslog>().is_err(), "{wrong}");
        }
    }
}
