//! Two whole servers in one process: made as `taosync init` makes them, served as `taosync serve` serves them.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use taosync_model::OrgId;
use taosync_store::remotes::NewRemote;
use taosync_store::settings::Role;
use taosync_vault::tls::Fingerprint;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use super::runner_client::Entrance;
use super::{data, went_wrong};
use crate::commands::oauth::{generate, import};
use crate::commands::{init, serve};
use crate::config::{Listen, NewNode, Place};
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// A server that runs.
pub struct Running {
    /// The node, in this process.
    pub node: Node,
    /// How to do something with it.
    pub context: Context,
    /// Its address.
    pub url: Url,
    made: init::Made,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), Failure>>,
}

/// The two servers, and the directory they are in.
pub struct Stage {
    /// Central.
    pub central: Running,
    /// The school's.
    pub local: Running,
    dir: PathBuf,
    temporary: Option<TempDir>,
}

impl Stage {
    /// Makes both and lets them run: in a directory that stays, or in one that goes when they end.
    pub async fn open(context: &Context, keep: Option<&Path>) -> Result<Self, Failure> {
        let (dir, temporary) = match keep {
            Some(dir) => (dir.to_owned(), None),
            None => {
                let made = tempfile::Builder::new().prefix("taosync-demo-").tempdir();
                let made = made.map_err(|source| Failure::file("create", &std::env::temp_dir(), source))?;
                (made.path().to_owned(), Some(made))
            }
        };
        let central = Running::start(context, &dir.join("central"), Role::Central).await?;
        match Running::start(context, &dir.join("local"), Role::Local).await {
            Ok(local) => Ok(Self { central, local, dir, temporary }),
            Err(failure) => {
                central.end().await?;
                Err(failure)
            }
        }
    }

    /// The directory of both.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the directory stays.
    pub fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    /// Gives the school's server a key for its org, as two people would with `oauth generate` and `oauth import`.
    pub async fn introduce(&self) -> Result<(), Failure> {
        let org = OrgId::new(data::OUR_ORG).map_err(|error| went_wrong(error.to_string()))?;
        let key = generate::generate(&self.central.node, vec![org], "demonstration".to_owned()).await?;
        let new = NewRemote {
            root_url: key.root_url.to_string(),
            token_url: key.token_url.to_string(),
            client_key: key.key,
            secret: SecretString::from(key.secret),
            ca_fingerprint: key.ca_fingerprint,
            kind: taosync_store::remotes::RemoteKind::Taosync,
        };
        import::connect(&self.local.node, &new).await?;
        Ok(())
    }

    /// What a test runner needs to use the school's server.
    pub fn entrance(&self) -> Result<Entrance, Failure> {
        let made = &self.local.made;
        let (Some(pin), Some(key)) = (&made.ca_fingerprint, &made.runner_key) else {
            return Err(went_wrong("the school's server has no certificate or no key for a test runner"));
        };
        let pin = pin.parse::<Fingerprint>()?;
        Ok(Entrance { root: self.local.url.clone(), pin, key: SecretString::from(key.clone()) })
    }

    /// Ends both servers; a temporary directory goes with them.
    pub async fn close(self) -> Result<(), Failure> {
        let ended = [self.local.end().await, self.central.end().await];
        if let Some(dir) = self.temporary {
            let path = dir.path().to_owned();
            dir.close().map_err(|source| Failure::file("remove", &path, source))?;
        }
        ended.into_iter().collect()
    }
}

impl Running {
    async fn start(context: &Context, dir: &Path, role: Role) -> Result<Self, Failure> {
        let context = Context { place: Place::new(Some(dir)), ..context.clone() };
        let cannot = |source: std::io::Error| went_wrong("no free port on this machine's own address").because(source);
        // The free port goes into the configuration, so that a directory that is kept can be served again.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
        let listen = Listen(listener.local_addr().map_err(cannot)?);
        let new = NewNode { role, listen, plain_http: false, public_url: None, hosts: Vec::new() };
        let made = init::make(&context, &new).await?;
        let node = Node::open(&context).await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let served = node.clone();
        let server = tokio::spawn(async move {
            let tell = |serving: &serve::Serving| {
                tell.send(serving.listening.clone()).map_err(|_| went_wrong("nobody waits for the server"))
            };
            // A sender that was dropped means the same as a word.
            let stopped = async { drop(stopped.await) };
            serve::serve_node(&served, listener, tell, stopped).await
        });
        match told.await {
            Ok(url) => Ok(Self { node, context, url, made, stop, server }),
            Err(_) => match server.await? {
                Err(failure) => Err(failure),
                Ok(()) => Err(went_wrong(format!("the {role} server ended before it began"))),
            },
        }
    }

    async fn end(self) -> Result<(), Failure> {
        drop(self.stop);
        self.server.await?
    }
}
