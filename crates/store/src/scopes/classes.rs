//! Which classes an org needs: those of its members, and their parents.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::EntityType;
use uuid::Uuid;

use super::register::Scopes;
use super::{Moves, Touched, members};
use crate::predicates::SUB_CLASS_OF;
use crate::rows;

/// Adds to the moves the classes that come and go because their members did, or because they changed themselves.
pub(super) async fn find(
    conn: &mut SqliteConnection,
    scopes: &Scopes,
    touched: &HashMap<Uuid, &Touched>,
    moves: &mut Moves,
) -> Result<(), sqlx::Error> {
    let changes = count_changes(conn, touched, moves).await?;
    let class_touched = touched.values().any(|t| (t.old_types | t.new_types) & EntityType::Class.bit() != 0);
    let mut used = read_use(conn).await?;
    let mut affected: HashSet<i64> = HashSet::new();
    for (&(scope, class), &by) in &changes {
        let count = used.entry((scope, class)).or_default();
        if *count == 0 || *count + by == 0 {
            affected.insert(scope);
        }
        *count += by;
    }
    write_use(conn, &changes, &used).await?;
    if class_touched {
        affected.extend(scopes.orgs.keys());
    }
    if affected.is_empty() {
        return Ok(());
    }
    let tree = read_tree(conn).await?;
    let ids: Vec<Uuid> =
        tree.classes.iter().copied().chain(touched.keys().copied().filter(|id| is_class(touched, id))).collect();
    let mut known = members::words(conn, EntityType::Class, &rows::id_array(&ids)).await?;
    known.retain(|(scope, _), _| affected.contains(scope));
    let mut desired = HashSet::new();
    for &scope in &affected {
        if scopes.everything() == Some(scope) {
            desired.extend(tree.classes.iter().map(|&c| (scope, c)));
        } else {
            let direct = used.iter().filter(|((s, _), count)| *s == scope && **count > 0).map(|((_, c), _)| *c);
            desired.extend(tree.upwards(direct).into_iter().map(|c| (scope, c)));
        }
    }
    moves.compare(EntityType::Class, known, &desired);
    Ok(())
}

fn is_class(touched: &HashMap<Uuid, &Touched>, id: &Uuid) -> bool {
    touched.get(id).is_some_and(|t| (t.old_types | t.new_types) & EntityType::Class.bit() != 0)
}

/// By how much the number of members of each class changes in each org.
async fn count_changes(
    conn: &mut SqliteConnection,
    touched: &HashMap<Uuid, &Touched>,
    moves: &Moves,
) -> Result<HashMap<(i64, Uuid), i64>, sqlx::Error> {
    let others: Vec<Uuid> = moves
        .entered
        .iter()
        .chain(&moves.left)
        .map(|&(_, _, id)| id)
        .filter(|id| !touched.contains_key(id))
        .collect::<HashSet<_>>()
        .into_iter()
        .collect();
    let mut class_of: HashMap<Uuid, Option<Uuid>> = HashMap::new();
    for part in others.chunks(20_000) {
        let found: Vec<(Uuid, Option<Uuid>)> =
            sqlx::query_as("SELECT e.id, e.class FROM json_each($1) j CROSS JOIN entity e ON e.id = unhex(j.value)")
                .bind(rows::id_array(part))
                .fetch_all(&mut *conn)
                .await?;
        class_of.extend(found);
    }
    let old = |id: &Uuid| touched.get(id).map_or_else(|| class_of.get(id).copied().flatten(), |t| t.old_class);
    let new = |id: &Uuid| touched.get(id).map_or_else(|| class_of.get(id).copied().flatten(), |t| t.new_class);
    let mut changes: HashMap<(i64, Uuid), i64> = HashMap::new();
    let mut count = |scope: i64, class: Option<Uuid>, by: i64| {
        if let Some(class) = class {
            *changes.entry((scope, class)).or_default() += by;
        }
    };
    for (scope, _, id) in &moves.entered {
        count(*scope, new(id), 1);
    }
    for (scope, _, id) in &moves.left {
        count(*scope, old(id), -1);
    }
    for (scope, _, id) in moves.stayed.iter().filter(|(_, _, id)| touched.contains_key(id)) {
        count(*scope, old(id), -1);
        count(*scope, new(id), 1);
    }
    changes.retain(|_, by| *by != 0);
    Ok(changes)
}

async fn read_use(conn: &mut SqliteConnection) -> Result<HashMap<(i64, Uuid), i64>, sqlx::Error> {
    let found: Vec<(i64, Uuid, i64)> =
        sqlx::query_as("SELECT scope, class, count FROM class_use").fetch_all(conn).await?;
    Ok(found.into_iter().map(|(scope, class, count)| ((scope, class), count)).collect())
}

async fn write_use(
    conn: &mut SqliteConnection,
    changes: &HashMap<(i64, Uuid), i64>,
    used: &HashMap<(i64, Uuid), i64>,
) -> Result<(), sqlx::Error> {
    let list: Vec<(i64, Uuid, i64)> =
        changes.keys().map(|key| (key.0, key.1, used.get(key).copied().unwrap_or(0))).collect();
    rows::insert(
        conn,
        "INSERT INTO class_use (scope, class, count) ",
        &list,
        "ON CONFLICT (scope, class) DO UPDATE SET count = excluded.count",
        |mut row, (scope, class, count)| {
            row.push_bind(*scope).push_bind(*class).push_bind(*count);
        },
    )
    .await
}

/// The loaded classes and their parents; some thousands at most.
pub(crate) struct Tree {
    pub classes: HashSet<Uuid>,
    parents: HashMap<Uuid, Vec<Uuid>>,
}

impl Tree {
    /// These classes and everything above them, as far as loaded.
    pub fn upwards(&self, start: impl Iterator<Item = Uuid>) -> HashSet<Uuid> {
        let mut reached = HashSet::new();
        let mut open: Vec<Uuid> = start.collect();
        while let Some(class) = open.pop() {
            if reached.insert(class) {
                open.extend(self.parents.get(&class).into_iter().flatten());
            }
        }
        reached.retain(|class| self.classes.contains(class));
        reached
    }
}

pub(crate) async fn read_tree(conn: &mut SqliteConnection) -> Result<Tree, sqlx::Error> {
    let edges: Vec<(Uuid, Option<Uuid>)> = sqlx::query_as(
        "SELECT e.id, r.target FROM entity e LEFT JOIN relation r ON r.owner = e.id AND r.predicate = $1
         WHERE (e.types & 1) <> 0",
    )
    .bind(SUB_CLASS_OF)
    .fetch_all(conn)
    .await?;
    let mut tree = Tree { classes: HashSet::new(), parents: HashMap::new() };
    for (class, parent) in edges {
        tree.classes.insert(class);
        if let Some(parent) = parent {
            tree.parents.entry(class).or_default().push(parent);
        }
    }
    Ok(tree)
}
