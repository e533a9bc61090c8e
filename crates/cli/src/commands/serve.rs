//! `taosync serve`: runs the server of this node until it is told to stop.

mod desk;

use std::path::Path;

use clap::Args;
use serde::{Deserialize, Serialize};
use taosync_server::{Central, ListenError, ListenLimits, Local, central_router, local_router};
use taosync_store::settings::Role;
use taosync_sync::runner::Runner;
use taosync_sync::tao::Compat;
use tokio::net::TcpListener;
use url::Url;

use crate::config::Place;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;
use crate::{certificate, chores};

/// Run the server of this node
#[derive(Debug, Args)]
#[command(after_help = "Stops on SIGTERM or ctrl-c, after running requests have ended. With --json
one line on standard output says where it listens.

Example:
  taosync --dir /srv/central serve")]
pub struct Options {}

/// Where a running server can be reached; kept in `serve.json` for `oauth generate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Root URL.
    pub listening: Url,
    /// Role.
    pub role: String,
    /// Process.
    pub pid: u32,
}

impl Options {
    /// Serves.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open(context).await?;
        let listener = TcpListener::bind(node.config.listen.0).await.map_err(|source| cannot_listen(&node, source))?;
        serve_node(&node, listener, |serving| announce(context, serving), told_to_stop()).await?;
        Ok(Exit::Done)
    }
}

/// Serves a node on a socket until `stop` is done, then closes its store. `told` learns the address once others can
/// learn it too.
pub async fn serve_node(
    node: &Node,
    listener: TcpListener,
    told: impl FnOnce(&Serving) -> Result<(), Failure>,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    if node.identity.role == Role::Central {
        node.store.views_refresh().await?;
    }
    let tls = certificate::current(node).await?;
    let address = listener.local_addr().map_err(|source| cannot_listen(node, source))?;
    let serving = Serving {
        listening: root_url(node, address)?,
        role: node.identity.role.as_str().to_owned(),
        pid: std::process::id(),
    };
    let desk = desk::of(node);
    let router = match node.identity.role {
        Role::Central => central_router(central(node, &serving).await?.with_desk(desk)),
        Role::Local => local_router(local(node).await?.with_desk(desk)),
    };
    write_serving(&node.place, &serving)?;
    told(&serving)?;
    let (ended, stopped) = tokio::sync::oneshot::channel::<()>();
    let chores = tokio::spawn(chores::run(node.clone(), stopped));
    let (tao_ended, tao_stopped) = tokio::sync::oneshot::channel::<()>();
    let tao = tokio::spawn(chores::tao::run(node.clone(), tao_stopped));
    let config = tls.map(|tls| tls.server_config());
    let served = taosync_server::serve(listener, router, config, ListenLimits::default(), stop).await;
    // Without a file, nobody is told an address where nobody listens; a left one is only out of date.
    let _ = std::fs::remove_file(node.place.serve_file());
    drop((ended, tao_ended));
    chores.await?;
    tao.await?;
    node.store.close().await;
    served.map_err(listen_failed)
}

async fn central(node: &Node, serving: &Serving) -> Result<Central, Failure> {
    let mut central = Central::new(node.store.clone(), node.blobs().await?, node.identity);
    if let Some(public) = &node.config.public_url {
        central.public_urls = vec![public.clone(), serving.listening.clone()];
    }
    central.authority = node.tls()?.map(|tls| tls.fingerprint());
    central.token_lifetime = jiff::SignedDuration::from_secs(node.config.oauth.token_lifetime_seconds.into());
    central.tao_base_path = Compat::load(&node.store).await?.base_path;
    central.chunk_size = node.config.sync_service.chunk_size as usize;
    Ok(central)
}

async fn local(node: &Node) -> Result<Local, Failure> {
    let runner = Runner::open(node.store.clone(), node.config.result_service.reactivation_window()).await?;
    Ok(Local::new(node.store.clone(), node.blobs().await?, runner))
}

/// The address to be told others: the name of this machine when all its addresses are served.
pub fn root_url(node: &Node, address: std::net::SocketAddr) -> Result<Url, Failure> {
    let scheme = if node.config.plain_http { "http" } else { "https" };
    let port = address.port();
    let host = match address.ip() {
        ip if ip.is_unspecified() => certificate::hostname().unwrap_or_else(|| "localhost".to_owned()),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        std::net::IpAddr::V4(ip) => ip.to_string(),
    };
    Url::parse(&format!("{scheme}://{host}:{port}/")).map_err(|error| {
        Failure::new("TS-007", "the address of this server makes no URL", "set public_url").because(error)
    })
}

fn announce(context: &Context, serving: &Serving) -> Result<(), Failure> {
    let address = serving.listening.as_str().trim_end_matches('/');
    if context.output.is_json() {
        return output::print_json(&serde_json::json!({
            "listening": address, "role": serving.role, "pid": serving.pid
        }));
    }
    output::note(context.output, &format!("listening on {address}"));
    Ok(())
}

fn write_serving(place: &Place, serving: &Serving) -> Result<(), Failure> {
    let path = place.serve_file();
    let failed = |source| Failure::file("write", &path, source);
    let mut file = tempfile::NamedTempFile::new_in(place.dir()).map_err(failed)?;
    serde_json::to_writer(&mut file, serving).map_err(|error| failed(error.into()))?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// How a running server is reached; none when no server runs.
pub fn read_serving(place: &Place) -> Option<Serving> {
    let text = std::fs::read_to_string(place.serve_file()).ok()?;
    // A server that was killed could not take its file away.
    serde_json::from_str(&text).ok().filter(|serving: &Serving| is_alive(serving.pid))
}

/// Refuses while a server works on the directory.
pub fn refuse_running(place: &Place) -> Result<(), Failure> {
    let Some(serving) = read_serving(place) else { return Ok(()) };
    let message = format!("'taosync serve' (pid {}) works on {}", serving.pid, place.dir().display());
    Err(Failure::new("TS-011", message, "stop it, then try again").exit(Exit::Later))
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn cannot_listen(node: &Node, source: std::io::Error) -> Failure {
    let advice = match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program, perhaps another 'taosync serve', has this port: stop it, or change 'listen'"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a permission: use a higher one, or allow it to the service"
        }
        _ => "check 'listen' in the configuration: the address must belong to this machine",
    };
    Failure::new("TS-007", format!("cannot listen on {}", node.config.listen), advice).because(source)
}

fn listen_failed(error: ListenError) -> Failure {
    Failure::new("TS-007", error.to_string(), "check 'listen' and 'plain_http' in the configuration").because(error)
}

/// SIGTERM or ctrl-c.
pub async fn told_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be heard; use ctrl-c");
            // An error here would mean that ctrl-c cannot be heard either; then the server runs on.
            if interrupted.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
