//! A clock that is years off, as after the battery of a machine has died: central's time is learnt, signed by its node key,
//! and from then on certificates are looked at by that time. Nothing is sent before but the question.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use taosync_model::Clock;
use taosync_vault::tls::Dates;
use taosync_vault::{node_key, random};
use taosync_wire::v1::PATH_TIME;
use taosync_wire::v1::time::{NONCE_BYTES, SignedTime, signed_bytes};

use super::{Central, Link, LinkError, read_small};

/// Longest answer with the time.
const MAX_ANSWER: usize = 4 * 1024;
/// A clock that is further off is worth a warning.
const WORTH_A_WORD: SignedDuration = SignedDuration::from_hours(24);

/// The clock of this machine, put right by what central said.
#[derive(Debug)]
pub(super) struct CorrectedClock {
    clock: Arc<dyn Clock>,
    /// Seconds by which this machine is behind central; 0 as long as it was not asked.
    behind: AtomicI64,
}

impl CorrectedClock {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, behind: AtomicI64::new(0) }
    }

    /// Seconds this machine is ahead of central, once central was asked.
    pub fn ahead(&self) -> Option<i64> {
        let behind = self.behind.load(Ordering::SeqCst);
        (behind != 0).then_some(-behind)
    }

    fn put_right(&self, time: Timestamp) {
        let behind = time.as_second() - self.clock.now().as_second();
        self.behind.store(behind, Ordering::SeqCst);
    }
}

impl Clock for CorrectedClock {
    fn now(&self) -> Timestamp {
        let behind = SignedDuration::from_secs(self.behind.load(Ordering::SeqCst));
        self.clock.now().saturating_add(behind).unwrap_or(Timestamp::MAX)
    }
}

impl Link {
    /// Seconds this machine is ahead of central, when its clock was outside of the dates of central's certificate.
    pub fn clock_ahead(&self) -> Option<i64> {
        self.clock.ahead()
    }

    /// Learns central's time where its certificate is the pinned authority's and only the dates are not those of this
    /// clock. Without a key of central to check the answer with, nothing is asked. The time is taken once: with a
    /// certificate that it is outside of too, the connection is refused by everybody's clock.
    pub(super) async fn learn_time(&self, refused: LinkError) -> Result<(), LinkError> {
        let Some(central) = self.address.central.filter(|_| self.clock.ahead().is_none()) else { return Err(refused) };
        if self.address.pins.is_empty() {
            return Err(refused);
        }
        let time = self.ask_time(central).await?;
        self.clock.put_right(time);
        let ahead = SignedDuration::from_secs(self.clock.ahead().unwrap_or(0));
        if ahead.abs() > WORTH_A_WORD {
            tracing::warn!(
                seconds_ahead = ahead.as_secs(),
                "the clock of this machine is wrong; central's time is taken"
            );
        }
        Ok(())
    }

    async fn ask_time(&self, central: Central) -> Result<Timestamp, LinkError> {
        let nonce = random::bytes::<NONCE_BYTES>();
        let mut url = self.url(PATH_TIME)?;
        url.query_pairs_mut().append_pair("nonce", &hex::encode(nonce));
        let request = http::Request::get(url.as_str()).body(Full::<Bytes>::default());
        let request = request.map_err(|_| LinkError::Request(url.to_string()))?;
        let client = self.client_by(Dates::InDoubt(self.caller.clock.clone()))?;
        let answer = self.call(&client, request).await?;
        let (host, status) = (url.host_str().unwrap_or_default().to_owned(), answer.status().as_u16());
        let stranger = || LinkError::Stranger { host: host.clone(), status };
        let body = read_small(answer.into_body(), MAX_ANSWER, self.silence).await.ok_or_else(stranger)?;
        let said: SignedTime = serde_json::from_slice(&body).map_err(|_| stranger())?;
        let mut signature = [0; 64];
        let unsigned = || LinkError::Protocol("central did not sign the time it says it is".into());
        hex::decode_to_slice(&said.signature, &mut signature).map_err(|_| unsigned())?;
        if said.central != central.id {
            return Err(unsigned());
        }
        let bytes = signed_bytes(central.id, &nonce, said.time);
        node_key::verify(&central.key, &bytes, &signature).map_err(|_| unsigned())?;
        Ok(said.time)
    }
}
