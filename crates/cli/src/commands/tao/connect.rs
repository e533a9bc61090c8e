//! `taosync tao connect`: keeps how a TAO is reached, after having reached it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use taosync_store::tao::NewInstallation;
use taosync_sync::tao_database::{Installation, TaoDatabaseError, installation};

use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// Bytes of an address at most.
const MAX_ADDRESS: u64 = 2_048;

/// Connects, recognises the tables, and keeps the address sealed.
pub async fn run(
    context: &Context,
    database: String,
    files: Option<&Path>,
    command: Option<&str>,
) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let address = if database == "-" { from_input()? } else { SecretString::from(database) };
    let files = files.map(directory).transpose()?;
    let (database, schema) = installation::examine(&address).await?;
    database.close().await;
    let new = NewInstallation { address: &address, files: files.as_deref(), command };
    node.store.tao_connect(&new).await?;
    let is_adopted = Installation::is_adopted(&node.store).await?;
    let kind = schema.kind.as_str();
    node.audit("tao.connect", "tao", json!({"database": kind, "files": files, "command": command})).await?;
    context.output.answer(&json!({"database": kind, "files": files, "command": command}), || {
        if is_adopted {
            format!("Connected with the TAO on {kind} that is adopted here.\n")
        } else {
            format!(
                "Connected with a TAO on {kind}, to read only.\nSee 'taosync tao check', then 'taosync tao adopt'.\n"
            )
        }
    })
}

/// The address from standard input, so that its password stands in no list of processes.
fn from_input() -> Result<SecretString, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_ADDRESS + 1).read_to_string(&mut text);
    read.map_err(|source| Failure::file("read", Path::new("standard input"), source))?;
    if text.len() as u64 > MAX_ADDRESS {
        return Err(TaoDatabaseError::from(taosync_tao::TaoError::BadAddress("it is too long")).into());
    }
    let address = SecretString::from(text.trim());
    if address.expose_secret().is_empty() {
        return Err(TaoDatabaseError::from(taosync_tao::TaoError::BadAddress("it is empty")).into());
    }
    Ok(address)
}

/// The whole path: `serve` runs somewhere else.
fn directory(path: &Path) -> Result<PathBuf, Failure> {
    let whole = std::fs::canonicalize(path).map_err(|source| Failure::file("open", path, source))?;
    if whole.is_dir() {
        return Ok(whole);
    }
    Err(Failure::wrong_text(format!("{} is no directory", whole.display()), "give TAO's directory of files"))
}
