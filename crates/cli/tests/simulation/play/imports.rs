//! Telling central something, as the commands do: under the lock of those who change entities.

use std::collections::BTreeSet;
use std::path::PathBuf;

use taosync::changes::{self, ChangeOptions};
use taosync::commands::import;
use taosync::context::Context;
use taosync::failure::Failure;
use taosync::locks;
use taosync::node::Node;
use taosync_model::{Entity, EntityType, vocabulary as v};
use taosync_roster::RosterKind;
use taosync_store::entities::Change;

use super::{FULL, Stage};
use crate::chance::uri;
use crate::nodes::{Gone, Nodes, Work};
use crate::schedule::{Edit, Row, Trouble, Word};
use crate::trouble::under;
use crate::world::Looks;
use crate::{CANARY, checks, ensure};

/// A large part of the data would go, and nobody has said that it is meant.
const NEEDS_WORD: &str = "TS-402";
/// What a file of test takers speaks of.
const IN_FILE: [&str; 6] = [
    v::RDFS_LABEL,
    v::USER_LOGIN,
    v::USER_PASSWORD,
    v::USER_FIRST_NAME,
    v::USER_INTERFACE_LANGUAGE,
    v::USER_DEFAULT_LANGUAGE,
];

impl Stage {
    pub(super) async fn import(&mut self, edits: &[Edit], word: Word, trouble: &Trouble) -> Result<(), String> {
        let changes = self.world.changes(edits);
        let done = under(&mut self.nodes, &mut self.tally, 0, trouble, |nodes| start_import(nodes, changes, word));
        let done = done.await?;
        self.told(edits, word, done).await
    }

    /// An import is in, or it is not; which of the two must be plain.
    pub(super) async fn told(
        &mut self,
        edits: &[Edit],
        word: Word,
        done: Result<Result<(), Failure>, Gone>,
    ) -> Result<(), String> {
        let mut after = self.world.clone();
        after.apply(edits);
        let uris: BTreeSet<String> = edits.iter().map(|edit| edit.uri().to_owned()).collect();
        let store = self.nodes.central.store();
        match done {
            Ok(Ok(())) => self.world = after,
            Ok(Err(failure)) => {
                let needs_word = failure.code == NEEDS_WORD && word == Word::Missing;
                self.tally.fired("removal without a word", u64::from(needs_word));
                self.refused(&failure, needs_word)?;
                checks::central_holds(&store, &self.world, &uris).await?;
            }
            Err(Gone) => match checks::central_holds(&store, &after, &uris).await {
                Ok(()) => self.world = after,
                Err(_) => checks::central_holds(&store, &self.world, &uris).await?,
            },
        }
        Ok(())
    }

    pub(super) async fn import_file(&mut self, rows: &[Row], trouble: &Trouble) -> Result<(), String> {
        let file = self.write_file(rows);
        let started = file.clone();
        let done = under(&mut self.nodes, &mut self.tally, 0, trouble, |nodes| start_file(nodes, started));
        let done = done.await?;
        self.brought_in(rows, file, done).await
    }

    /// Writes a file of test takers, as somebody in an office does.
    pub(super) fn write_file(&self, rows: &[Row]) -> PathBuf {
        let lines = rows.iter().map(|row| {
            let [label, login, name] = words(*row);
            format!("{},{label},fr-FR,{login},password of {name},{name}\n", uri("taker", row.taker))
        });
        let head = "uri,label,interface language,login,password,first name\n".to_owned();
        let text: String = std::iter::once(head).chain(lines).collect();
        let file = self.nodes.place().join("takers.csv");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// A file is in as a whole, or nothing of it is; what it does not speak of has stayed.
    pub(super) async fn brought_in(
        &mut self,
        rows: &[Row],
        file: PathBuf,
        done: Result<Result<(), Failure>, Gone>,
    ) -> Result<(), String> {
        std::fs::remove_file(file).unwrap();
        let store = self.nodes.central.store();
        let mut after = self.world.clone();
        let mut as_told = Ok(());
        for row in rows {
            let uri = uri("taker", row.taker);
            let Some(stored) = store.entity_get(&uri).await.unwrap() else {
                as_told = Err(format!("{uri} was in a file that was brought in, and is not at central"));
                continue;
            };
            let before = self.world.entities.get(&uri).map(|(_, entity)| entity);
            as_told = as_told.and(agrees(*row, before, &stored.entity));
            after.put(EntityType::TestTaker, stored.entity);
        }
        match done {
            Ok(Ok(())) => {
                as_told?;
                self.world = after;
            }
            Ok(Err(failure)) => self.refused(&failure, false)?,
            Err(Gone) if as_told.is_ok() => self.world = after,
            Err(Gone) => {}
        }
        let uris = rows.iter().map(|row| uri("taker", row.taker)).collect();
        checks::central_holds(&store, &self.world, &uris).await
    }

    /// A change is refused only for want of room or of a word.
    fn refused(&mut self, failure: &Failure, needs_word: bool) -> Result<(), String> {
        self.hear_of(failure);
        ensure!(failure.code == FULL || needs_word, "an import failed: {failure:?}");
        Ok(())
    }
}

/// Starts what `entity load` and `import` end with.
pub(super) fn start_import(nodes: &Nodes, changes: Vec<Change>, word: Word) -> Work<Result<(), Failure>> {
    let (context, node) = (nodes.central.context(), nodes.central.node());
    nodes.central.spawn(change(context, node, changes, word))
}

async fn change(context: Context, node: Node, changes: Vec<Change>, word: Word) -> Result<(), Failure> {
    let _lock = locks::change_lock(node.place.dir()).await?;
    changes::apply(&context, &node, changes, options(word), "entity.load", "simulation").await.map(drop)
}

/// Starts `import test-takers`.
pub(super) fn start_file(nodes: &Nodes, file: PathBuf) -> Work<Result<(), Failure>> {
    let (context, node) = (nodes.central.context(), nodes.central.node());
    nodes.central.spawn(async move {
        import::bring_in(&context, &node, RosterKind::TestTakers, file, options(Word::Given)).await.map(drop)
    })
}

fn options(word: Word) -> ChangeOptions {
    ChangeOptions { yes: word == Word::Given, ..ChangeOptions::default() }
}

fn words(row: Row) -> [String; 3] {
    let Row { taker, revision } = row;
    [
        format!("{CANARY} taker {taker} called {revision}"),
        format!("{CANARY}-taker{taker}"),
        format!("{CANARY} {taker} of file {revision}"),
    ]
}

/// Whether a test taker looks as a line says, and else as before.
fn agrees(row: Row, before: Option<&Entity>, after: &Entity) -> Result<(), String> {
    let [label, login, name] = words(row);
    for (predicate, expected) in [(v::RDFS_LABEL, label), (v::USER_LOGIN, login), (v::USER_FIRST_NAME, name)] {
        let values: Vec<&String> = after.values(predicate).iter().map(|value| &value.text).collect();
        ensure!(values == [&expected], "{} has {values:?} for {predicate} and not {expected}", after.uri);
    }
    let rest = |entity: &Entity| {
        let mut looks = Looks::of(entity);
        looks.properties.retain(|predicate, _| !IN_FILE.contains(&predicate.as_str()));
        looks
    };
    let kept = before.is_none_or(|before| rest(before) == rest(after));
    ensure!(kept, "a file has changed what it does not speak of: {before:?} became {after:?}");
    Ok(())
}
