//! Packages of deliveries, one row a version. On central: published or withdrawn. On local: fetching, ready or failed.
//! Chunks have a file of their own: [`crate::chunks`].

mod kept;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use taosync_model::delivery::PackageRef;
use taosync_model::{Digest, Entity};
use taosync_vault::delivery_key::DeliveryKey;
use uuid::Uuid;

use crate::values::{Record, cut, digest_array, json_text};
use crate::{Durability, Store, StoreError, Tx, rows};
pub use kept::Kept;

/// Where a version of a package stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageState {
    /// Central: in use.
    Published,
    /// Central: taken back.
    Withdrawn,
    /// Local: not complete yet.
    Fetching,
    /// Local: complete and verified; perhaps still locked.
    Ready,
    /// Local: could not be fetched or compiled, see the reason.
    Failed,
}

impl PackageState {
    /// The spelling in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Withdrawn => "withdrawn",
            Self::Fetching => "fetching",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for PackageState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Published, Self::Withdrawn, Self::Fetching, Self::Ready, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not a state of a package"))
    }
}

/// A chunk as the database knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Name: hash of the ciphertext.
    pub name: Digest,
    /// Bytes of the ciphertext.
    pub bytes: u64,
}

/// A version to be published, or to be fetched.
#[derive(Clone, Copy, Debug)]
pub struct NewPackage<'a> {
    /// Delivery URI.
    pub delivery: &'a str,
    /// What the delivery's digest includes.
    pub reference: &'a PackageRef,
    /// Chunks of the files; that of the sealed tree is added.
    pub chunks: &'a [ChunkRef],
}

impl NewPackage<'_> {
    /// The chunks of the files and that of the sealed tree.
    pub(crate) fn all_chunks(&self) -> Vec<ChunkRef> {
        let tree = ChunkRef { name: self.reference.sealed_tree, bytes: self.reference.sealed_tree_bytes };
        self.chunks.iter().copied().chain([tree]).collect()
    }
}

/// A version of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Row.
    pub id: Uuid,
    /// Delivery URI.
    pub delivery: String,
    /// Version, from 1.
    pub version: u32,
    /// Where it stands.
    pub state: PackageState,
    /// What the delivery's digest includes.
    pub reference: PackageRef,
    /// Why it failed.
    pub reason: Option<String>,
    /// Whether the delivery key is here.
    pub unlocked: bool,
    /// When it was published, or came to be known here.
    pub at: Timestamp,
}

impl Package {
    /// Whether this is what central names, complete: after central was put back, the same number can be another
    /// package.
    pub fn is_ready_as(&self, wanted: &PackageRef) -> bool {
        self.state == PackageState::Ready && self.reference == *wanted
    }
}

/// What a [`Package`] is read from. Key, tree and compiled form are large, and are read by [`Store::package_open`] alone.
const COLUMNS: &str = "id, delivery, version, state, reference, key IS NOT NULL AS unlocked, reason, at";

/// What a local server learns of a package; what is `None` is not known yet, or stays as it was.
#[derive(Clone, Copy, Default)]
pub struct PackageContents<'a> {
    /// What it is, when it may be something else than what had this number before.
    pub reference: Option<&'a PackageRef>,
    /// Delivery key.
    pub key: Option<&'a DeliveryKey>,
    /// The opened tree.
    pub tree: Option<&'a Kept>,
    /// The compiled form.
    pub compiled: Option<&'a Kept>,
}

/// What is kept of a package beside its chunks.
#[derive(Clone)]
pub struct PackageOpened {
    /// Delivery key.
    pub key: Option<DeliveryKey>,
    /// The opened tree.
    pub tree: Option<Vec<u8>>,
    /// The compiled form.
    pub compiled: Option<Vec<u8>>,
}

impl Store {
    /// Central: publishes a version in the transaction that changes the delivery; its chunks are on disk already.
    /// Versions only rise.
    pub async fn package_publish(
        &self,
        tx: &mut Tx,
        new: &NewPackage<'_>,
        key: &DeliveryKey,
    ) -> Result<Uuid, StoreError> {
        let next = tx.package_next_version(new.delivery).await?;
        if new.reference.version != next {
            return Err(StoreError::Refused(format!(
                "version {} of '{}' cannot be published: the next one is {next}",
                new.reference.version, new.delivery
            )));
        }
        let id = self.package_insert(tx, new, PackageState::Published).await?;
        tx.chunks_insert(&new.all_chunks()).await?;
        let contents = PackageContents { key: Some(key), ..PackageContents::default() };
        self.package_fill(tx, id, &contents).await?;
        Ok(id)
    }

    /// Local: notes a version that is to be fetched; one that failed is tried again, one that is ready stays so. It reaches
    /// the disk with what is noted next and flushed; what the power takes before, the next sync notes again.
    pub async fn package_fetching(&self, new: &NewPackage<'_>) -> Result<Uuid, StoreError> {
        let mut tx = self.write("package_fetching", Durability::Relaxed).await?;
        let id = match tx.package_id(new.delivery, new.reference.version).await? {
            None => self.package_insert(&mut tx, new, PackageState::Fetching).await?,
            Some(id) => {
                let sql = tx.sql();
                let query = "UPDATE package SET state = 'fetching', reason = NULL, reference = $2
                     WHERE id = $1 AND state <> 'ready'";
                let query = sqlx::query(query).bind(id).bind(json_text(new.reference)?);
                query.execute(tx.conn()).await.map_err(sql)?;
                tx.package_chunks_add(id, new).await?;
                id
            }
        };
        tx.commit().await?;
        Ok(id)
    }

    /// Local: a version is complete; from now on it is the one new executions get. Also fills in what a locked version
    /// lacked. It takes the place of another package with its number, but never under a running execution.
    pub async fn package_ready(&self, id: Uuid, contents: &PackageContents<'_>) -> Result<(), StoreError> {
        let mut tx = self.write("package_ready", Durability::Flushed).await?;
        if let Some(reference) = contents.reference {
            tx.package_becomes(id, &json_text(reference)?).await?;
        }
        self.package_fill(&mut tx, id, contents).await?;
        if contents.key.is_some() {
            tx.release_set(id, None).await?;
        }
        let sql = tx.sql();
        let query = sqlx::query("UPDATE package SET state = 'ready', reason = NULL WHERE id = $1").bind(id);
        if query.execute(tx.conn()).await.map_err(sql)?.rows_affected() == 0 {
            return Err(unknown(&id.to_string()));
        }
        tx.commit().await
    }

    /// Local: a version could not be fetched or compiled. One that is ready stays so.
    pub async fn package_failed(&self, id: Uuid, reason: &str) -> Result<(), StoreError> {
        let mut tx = self.write("package_failed", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query("UPDATE package SET state = 'failed', reason = $2 WHERE id = $1 AND state <> 'ready'")
            .bind(id)
            .bind(cut(reason, 2000))
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await
    }

    /// Local: what is kept of a ready version is damaged. It is taken out of use until the next sync has made it anew.
    pub async fn package_damaged(&self, id: Uuid, reason: &str) -> Result<(), StoreError> {
        let mut tx = self.write("package_damaged", Durability::Flushed).await?;
        let sql = tx.sql();
        let query = sqlx::query("UPDATE package SET state = 'failed', reason = $2 WHERE id = $1 AND state = 'ready'");
        query.bind(id).bind(reason).execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// Local: forgets damaged chunks, and takes the packages that need them, and these packages, out of use until the
    /// next sync has fetched and compiled them again.
    pub async fn packages_mend(&self, chunks: &[Digest], packages: &[Uuid]) -> Result<(), StoreError> {
        let mut tx = self.write("packages_mend", Durability::Flushed).await?;
        tx.chunks_forget(chunks).await?;
        let sql = tx.sql();
        sqlx::query(
            "UPDATE package SET state = 'fetching' WHERE state = 'ready'
             AND (id IN (SELECT unhex(value) FROM json_each($1)) OR id IN
                  (SELECT package FROM package_chunk WHERE chunk IN (SELECT unhex(value) FROM json_each($2))))",
        )
        .bind(rows::id_array(packages))
        .bind(digest_array(chunks))
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }

    /// The version that counts: the newest published one on central, the newest ready one on local.
    pub async fn package_current(&self, delivery: &str) -> Result<Option<Package>, StoreError> {
        let newest = "delivery = $1 AND state IN ('published', 'ready') ORDER BY version DESC LIMIT 1";
        let query = those_where(newest).bind(delivery);
        read_one(query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("package_current"))?)
    }

    /// Central: the newest published version older than this one.
    pub async fn package_before(&self, delivery: &str, version: u32) -> Result<Option<Package>, StoreError> {
        let before = "delivery = $1 AND state = 'published' AND version < $2 ORDER BY version DESC LIMIT 1";
        let query = those_where(before).bind(delivery).bind(version);
        read_one(query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("package_before"))?)
    }

    /// Local: the package a new execution gets: the one central names when it is ready here, else the newest that is and
    /// was not taken back.
    pub async fn package_to_start(&self, delivery: &Entity) -> Result<Option<Package>, StoreError> {
        let Some(wanted) = &delivery.package else { return Ok(None) };
        let best = "delivery = $1 AND state = 'ready'
             AND (reference = $2 OR version NOT IN (SELECT value FROM json_each($3)))
             ORDER BY reference = $2 DESC, version DESC LIMIT 1";
        let query = those_where(best).bind(&delivery.uri).bind(json_text(wanted)?);
        let query = query.bind(json_text(&delivery.taken_back())?);
        read_one(query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("package_to_start"))?)
    }

    /// One version.
    pub async fn package_get(&self, delivery: &str, version: u32) -> Result<Option<Package>, StoreError> {
        let query = those_where("delivery = $1 AND version = $2").bind(delivery).bind(version);
        read_one(query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("package_get"))?)
    }

    /// Those of the named versions that are known, in the order of delivery and version.
    pub async fn packages_get(&self, named: &[(&str, u32)]) -> Result<Vec<Package>, StoreError> {
        let query = format!(
            "SELECT {COLUMNS} FROM (SELECT value ->> 0 AS of, value ->> 1 AS number FROM json_each($1))
             CROSS JOIN package ON delivery = of AND version = number ORDER BY delivery, version"
        );
        let query = sqlx::query(AssertSqlSafe(query)).bind(json_text(&named)?);
        let rows = query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("packages_get"))?;
        rows.iter().map(package).collect()
    }

    /// Local: packages with these files that a test runner can read, ready ones before others. Those that are taken out
    /// of use are among them: attempts that run on them go on.
    pub async fn packages_by_tree(&self, tree: Digest) -> Result<Vec<Package>, StoreError> {
        let readable = "reference ->> 'tree_digest' = $1 AND key IS NOT NULL AND tree IS NOT NULL
             AND compiled IS NOT NULL ORDER BY state = 'ready' DESC, version DESC";
        let query = those_where(readable).bind(tree.to_hex());
        let rows = query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("packages_by_tree"))?;
        rows.iter().map(package).collect()
    }

    /// All versions of all deliveries, in the order of delivery and version.
    pub async fn packages_list(&self) -> Result<Vec<Package>, StoreError> {
        let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM package ORDER BY delivery, version")));
        let rows = query.fetch_all(&self.pools.readers).await.map_err(StoreError::sql("packages_list"))?;
        rows.iter().map(package).collect()
    }

    /// Key, tree and compiled form of a version, as far as they are here.
    pub async fn package_open(&self, id: Uuid) -> Result<PackageOpened, StoreError> {
        let query = sqlx::query("SELECT key, tree, compiled FROM package WHERE id = $1").bind(id);
        let row = query.fetch_optional(&self.pools.readers).await.map_err(StoreError::sql("package_open"))?;
        let row = row.ok_or_else(|| unknown(&id.to_string()))?;
        let row = Record::new("package", &row);
        let open = |column: &'static str| -> Result<Option<Vec<u8>>, StoreError> {
            let sealed: Option<&[u8]> = row.get(column)?;
            sealed.map(|bytes| self.unseal("package", id.as_bytes(), column, bytes)).transpose()
        };
        let key = open("key")?.map(|bytes| DeliveryKey::from_bytes(&bytes)).transpose();
        let json = |column: &'static str| -> Result<Option<Vec<u8>>, StoreError> {
            let damaged = |_| StoreError::damaged(format!("package.{column} of row {id}"));
            open(column)?.map(|kept| kept::json(kept).map_err(damaged)).transpose()
        };
        Ok(PackageOpened {
            key: key.map_err(|_| StoreError::damaged(format!("package.key of row {id}")))?,
            tree: json("tree")?,
            compiled: json("compiled")?,
        })
    }

    async fn package_insert(&self, tx: &mut Tx, new: &NewPackage<'_>, state: PackageState) -> Result<Uuid, StoreError> {
        let id = self.clock.new_id();
        let sql = tx.sql();
        sqlx::query(
            "INSERT INTO package (id, delivery, version, state, reference, at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(new.delivery)
        .bind(new.reference.version)
        .bind(state.as_str())
        .bind(json_text(new.reference)?)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.package_chunks_add(id, new).await?;
        Ok(id)
    }

    async fn package_fill(&self, tx: &mut Tx, id: Uuid, contents: &PackageContents<'_>) -> Result<(), StoreError> {
        let seal = |column: &str, plain: &[u8]| self.seal("package", id.as_bytes(), column, plain);
        let sql = tx.sql();
        sqlx::query(
            "UPDATE package SET key = coalesce($2, key), tree = coalesce($3, tree), compiled = coalesce($4, compiled)
             WHERE id = $1",
        )
        .bind(id)
        .bind(contents.key.map(|key| seal("key", key.to_bytes().as_slice())))
        .bind(contents.tree.map(|tree| seal("tree", tree.bytes())))
        .bind(contents.compiled.map(|compiled| seal("compiled", compiled.bytes())))
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        Ok(())
    }
}

impl Tx {
    /// The version that the next publication of a delivery has.
    pub async fn package_next_version(&mut self, delivery: &str) -> Result<u32, StoreError> {
        let sql = self.sql();
        sqlx::query_scalar("SELECT coalesce(max(version), 0) + 1 FROM package WHERE delivery = $1")
            .bind(delivery)
            .fetch_one(self.conn())
            .await
            .map_err(sql)
    }

    /// Central: whether a version is published still, in the transaction that lets it count again: somebody may have come
    /// before.
    pub async fn package_is_published(&mut self, id: Uuid) -> Result<bool, StoreError> {
        let sql = self.sql();
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM package WHERE id = $1 AND state = 'published')")
            .bind(id)
            .fetch_one(self.conn())
            .await
            .map_err(sql)
    }

    /// Central: versions of a delivery that were taken back, rising.
    pub async fn packages_withdrawn(&mut self, delivery: &str) -> Result<Vec<u32>, StoreError> {
        let sql = self.sql();
        let query = "SELECT version FROM package WHERE delivery = $1 AND state = 'withdrawn' ORDER BY version";
        sqlx::query_scalar(query).bind(delivery).fetch_all(self.conn()).await.map_err(sql)
    }

    /// Central: takes a version back, in the transaction that changes the delivery.
    pub async fn package_withdraw(&mut self, delivery: &str, version: u32) -> Result<(), StoreError> {
        let sql = self.sql();
        let query = sqlx::query(
            "UPDATE package SET state = 'withdrawn' WHERE delivery = $1 AND version = $2 AND state = 'published'",
        );
        let withdrawn = query.bind(delivery).bind(version).execute(self.conn()).await.map_err(sql)?;
        if withdrawn.rows_affected() == 0 {
            return Err(unknown(&format!("{delivery} version {version}, published")));
        }
        Ok(())
    }

    /// A row becomes this package. What executions run on stays as it is until they are over.
    async fn package_becomes(&mut self, id: Uuid, reference: &str) -> Result<(), StoreError> {
        let sql = self.sql();
        let running: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM package p
             CROSS JOIN execution e ON e.delivery = p.delivery AND e.package_version = p.version
             WHERE p.id = $1 AND p.state = 'ready' AND p.reference <> $2
             AND e.state NOT IN ('finished', 'terminated', 'canceled')",
        )
        .bind(id)
        .bind(reference)
        .fetch_one(self.conn())
        .await
        .map_err(&sql)?;
        if running > 0 {
            return Err(StoreError::Refused(format!(
                "{running} executions run on a package that central has lost and replaced by another; end them, then \
                 sync again"
            )));
        }
        let query = sqlx::query("UPDATE package SET reference = $2 WHERE id = $1").bind(id).bind(reference);
        query.execute(self.conn()).await.map_err(&sql)?;
        Ok(())
    }

    async fn package_id(&mut self, delivery: &str, version: u32) -> Result<Option<Uuid>, StoreError> {
        let sql = self.sql();
        let query = sqlx::query_scalar("SELECT id FROM package WHERE delivery = $1 AND version = $2");
        query.bind(delivery).bind(version).fetch_optional(self.conn()).await.map_err(sql)
    }
}

fn unknown(name: &str) -> StoreError {
    StoreError::NotFound { what: format!("package {name}"), advice: "see 'taosync delivery list'" }
}

fn those_where(condition: &'static str) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM package WHERE {condition}")))
}

fn read_one(row: Option<SqliteRow>) -> Result<Option<Package>, StoreError> {
    row.as_ref().map(package).transpose()
}

fn package(row: &SqliteRow) -> Result<Package, StoreError> {
    let row = Record::new("package", row);
    Ok(Package {
        id: row.get("id")?,
        delivery: row.get("delivery")?,
        version: row.number("version")?,
        state: row.word("state")?,
        reference: row.json("reference")?,
        reason: row.get("reason")?,
        unlocked: row.get("unlocked")?,
        at: row.time("at")?,
    })
}
