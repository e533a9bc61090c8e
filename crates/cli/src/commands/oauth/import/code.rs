//! Taking an enrolment code: it says where central is and whom to trust there, and central gives a key for it.

use std::io::Read as _;
use std::str::FromStr;

use secrecy::SecretString;
use taosync_store::remotes::{NewRemote, RemoteKind};
use taosync_sync::link::{Address, Link, LinkError};
use taosync_vault::enrolment_code::{EnrolmentCode, MAX_TYPED};
use taosync_vault::tls::{Fingerprint, Pin};
use taosync_wire::v1::PATH_TOKEN;
use taosync_wire::v1::enrol::{EnrolRequest, Enrolled};
use url::Url;
use zeroize::Zeroizing;

use super::connect;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// A code, or a part of one, as it was typed; never shown.
#[derive(Clone)]
pub struct Typed(Zeroizing<String>);

impl FromStr for Typed {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed")
    }
}

/// Shows the code to central, and keeps what it gives.
pub(super) async fn import(context: &Context, node: &Node, typed: &[Typed]) -> Result<(), Failure> {
    let code: EnrolmentCode = read(typed)?.parse().map_err(|error| {
        Failure::new("TS-413", format!("{error}"), "compare with the sheet, line by line; nothing was sent")
    })?;
    let root = root_of(&code)?;
    let link = Link::new(address(node, &root, code.pin()), node.caller())?;
    let request = EnrolRequest { code: code.secret() };
    let enrolled = link.enrol(&request).await.map_err(refused)?;
    let new = new_remote(&root, code.pin(), enrolled)?;
    connect(node, &new).await?.tell(context, node)
}

/// The way to a central that is known by its address and authority only.
pub fn address(node: &Node, root: &Url, pin: Option<Pin>) -> Address {
    Address {
        root: root.clone(),
        token: root.clone(),
        client_key: String::new(),
        secret: SecretString::default(),
        pins: pin.into_iter().collect(),
        central: None,
        org: None,
        proxy: node.proxy(),
    }
}

/// What central gave, to be kept. Of an authority that was known by the beginning of its fingerprint, the whole is pinned.
pub fn new_remote(root: &Url, pin: Option<Pin>, given: Enrolled) -> Result<NewRemote, Failure> {
    let token_url = root.join(PATH_TOKEN).map_err(|_| LinkError::Request(root.to_string()))?;
    let ca_fingerprint = match pin {
        None => None,
        Some(Pin::Whole(whole)) => Some(whole),
        Some(pin @ Pin::Beginning(_)) => {
            let told = given.ca_fingerprint.as_deref().map(str::parse::<Fingerprint>).transpose()?;
            let whole = told.filter(|told| pin.matches(told));
            let other = || LinkError::Protocol("it names another authority than the one that was shown".into());
            Some(whole.ok_or_else(other)?)
        }
    };
    Ok(NewRemote {
        root_url: root.to_string(),
        token_url: token_url.to_string(),
        client_key: given.key,
        secret: given.secret,
        ca_fingerprint: ca_fingerprint.map(|fingerprint| fingerprint.to_string()),
        kind: RemoteKind::Taosync,
    })
}

/// What central says of a machine that wants to be let in, under a code of its own.
pub fn refused(error: LinkError) -> Failure {
    match error {
        LinkError::Problem(problem) if matches!(problem.status, 403 | 429) => {
            let code = if problem.code == "login_wrong" { "TS-414" } else { "TS-415" };
            Failure::new(code, problem.detail, problem.advice)
        }
        other => other.into(),
    }
}

fn read(typed: &[Typed]) -> Result<Zeroizing<String>, Failure> {
    if let [Typed(one)] = typed
        && one.as_str() == "-"
    {
        let mut text = Zeroizing::new(String::with_capacity(MAX_TYPED + 1));
        let input = std::io::stdin().lock();
        // One character more than is looked at, so that what is too long is told as such.
        input.take(MAX_TYPED as u64 + 1).read_to_string(&mut text).map_err(|source| {
            Failure::wrong_text("the code cannot be read from standard input", "type it again").because(source)
        })?;
        return Ok(text);
    }
    Ok(Zeroizing::new(typed.iter().map(|Typed(part)| part.as_str()).collect::<Vec<_>>().join(" ")))
}

fn root_of(code: &EnrolmentCode) -> Result<Url, Failure> {
    Url::parse(&code.root()).map_err(|error| {
        Failure::new("TS-202", "the code holds no address", "ask the office for a new one").because(error)
    })
}
