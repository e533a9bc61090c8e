//! `taosync handshake`: a sync manager signs in on a fresh local server, and central gives it a key.

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use taosync_model::{OrgId, vocabulary};
use taosync_store::remotes::{NewRemote, RemoteKind};
use taosync_store::settings::Role;
use taosync_sync::link::{Link, LinkError, Request};
use taosync_vault::tls::{Fingerprint, Pin};
use taosync_wire::tao::access::HandshakeAnswer;
use taosync_wire::tao::{Failure as TaoFailure, PATH_HANDSHAKE};
use taosync_wire::v1::enrol::HandshakeRequest;
use url::Url;

use super::oauth::import::tao::{self, Choice};
use super::oauth::import::{Speaks, address_of, code, connect, not_for_us, with_slash};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::question;

/// Bytes of a TAO central's answer: a sync manager with all properties.
const MAX_ANSWER: usize = 1024 * 1024;

/// Connect a fresh local server with a sync manager's login (local)
#[derive(Debug, Args)]
#[command(after_help = "The password is asked for, or read as the first line of standard input. The same
machine gets the same key again, also after the password was changed. The address
and the fingerprint are those that 'oauth generate' prints at central, and
'node show' there.

Examples:
  taosync --dir /srv/local handshake --url https://central.example:8443/ --ca-fingerprint F anna
  taosync --dir /srv/local handshake --url https://tao.example/ --remote tao anna < password.txt")]
pub struct Options {
    /// Login of the sync manager
    login: String,
    /// Where central is
    #[arg(short = 'u', long, value_name = "ROOT_URL")]
    url: Url,
    /// Fingerprint of central's certificate authority (SHA-256); without it, the authorities this machine trusts
    #[arg(long, value_name = "FINGERPRINT")]
    ca_fingerprint: Option<String>,
    /// What central speaks; without it, its answers tell
    #[arg(long, value_name = "KIND")]
    remote: Option<Speaks>,
    /// At a TAO central: the organisation to ask for; without it, that of the sync manager
    #[arg(long, visible_alias = "org", value_name = "ORG")]
    organisation_id: Option<OrgId>,
    /// At a TAO central: the version of TAO to be known as; without it, the newest that it lets in
    #[arg(long, value_name = "VERSION")]
    tao_version: Option<String>,
}

impl Options {
    /// Signs in.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open_as(context, Role::Local).await?;
        let pin = self.ca_fingerprint.as_deref().map(str::parse::<Fingerprint>).transpose()?;
        let (root, login) = (with_slash(self.url), self.login);
        let choice = Choice::new(self.organisation_id, self.tao_version);
        let unknown = nobody_yet(&root, pin);
        let speaks = match self.remote {
            Some(speaks) => speaks,
            None => tao::probe(&node, &unknown).await?,
        };
        if speaks == Speaks::Taosync && choice != Choice::default() {
            return Err(not_for_us());
        }
        let password = question::secret(&format!("Password of {login} at {}", root.host_str().unwrap_or_default()))?;
        match speaks {
            Speaks::Taosync => {
                let link = Link::new(code::address(&node, &root, pin.map(Pin::Whole)), node.caller())?;
                let request = HandshakeRequest { login, password };
                let given = link.handshake(&request).await.map_err(code::refused)?;
                let new = code::new_remote(&root, pin.map(Pin::Whole), given)?;
                connect(&node, &new).await?.tell(context, &node)?;
            }
            Speaks::Tao => {
                let link = Link::new(address_of(&node, &unknown)?, node.caller())?;
                let answer = at_tao(&link, &login, &password).await?;
                let choice = choice.or_org(org_of(&answer));
                let info = answer.oauth_info;
                let new = NewRemote { token_url: info.token_url, client_key: info.key, secret: info.secret, ..unknown };
                tao::import(context, &node, new, choice).await?;
            }
        }
        Ok(Exit::Done)
    }
}

/// A central of which only the address is known.
fn nobody_yet(root: &Url, pin: Option<Fingerprint>) -> NewRemote {
    NewRemote {
        root_url: root.to_string(),
        token_url: root.to_string(),
        client_key: String::new(),
        secret: SecretString::default(),
        ca_fingerprint: pin.map(|pin| pin.to_string()),
        kind: RemoteKind::Taosync,
    }
}

/// TAO's own handshake (WIRE §5.6): a failure comes with status 200 too, and says so in its body.
async fn at_tao(link: &Link, login: &str, password: &SecretString) -> Result<HandshakeAnswer, Failure> {
    let body = serde_json::json!({"login": login, "password": password.expose_secret()});
    let request = Request::post_json(PATH_HANDSHAKE, &body).header("accept", "application/json");
    let answer = link.send_foreign(&request, None).await?;
    let (status, host) = (answer.status.as_u16(), answer.host.clone());
    let body = answer.bytes(MAX_ANSWER).await?;
    if let Ok(given) = serde_json::from_slice::<HandshakeAnswer>(&body) {
        return Ok(given);
    }
    match serde_json::from_slice::<TaoFailure>(&body) {
        Ok(failure) => {
            let words: String = failure.error_msg.chars().filter(|c| !c.is_control()).take(300).collect();
            let advice = "type login and password of a sync manager again";
            Err(Failure::new("TS-414", format!("the TAO central did not let {login} in: '{words}'"), advice))
        }
        Err(_) => Err(LinkError::Stranger { host, status }.into()),
    }
}

/// The organisation that TAO names on the sync manager.
fn org_of(answer: &HandshakeAnswer) -> Option<OrgId> {
    let named = answer.sync_user.properties.texts(vocabulary::ORGANISATION_ID);
    named.first().and_then(|org| OrgId::new(org.clone()).ok())
}
