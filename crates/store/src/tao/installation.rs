//! TAO's own database at this end: how it is reached, who syncs, and what came from it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::{Durability, Store, StoreError, Tx, rows};

const TABLE: &str = "tao_installation";
const ADDRESS: &str = "address";

/// How a TAO installation is reached.
#[derive(Clone, Debug)]
pub struct NewInstallation<'a> {
    /// Address of its database, with the password; kept sealed.
    pub address: &'a SecretString,
    /// Directory of its files.
    pub files: Option<&'a Path>,
    /// What imports and compiles a delivery there.
    pub command: Option<&'a str>,
}

/// A TAO installation this node is connected with.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Id.
    pub id: Uuid,
    /// Address of its database, with the password.
    pub address: SecretString,
    /// Directory of its files.
    pub files: Option<PathBuf>,
    /// What imports and compiles a delivery there.
    pub command: Option<String>,
    /// When it was connected.
    pub connected_at: Timestamp,
    /// Since when this node does the syncing; none: taoSync does.
    pub adopted_at: Option<Timestamp>,
    /// What the last pull that brought everything in had seen of the database.
    pub seen: Option<String>,
}

/// What a pull at central has brought in, to be noted in its transaction.
#[derive(Clone, Debug, Default)]
pub struct Pulled {
    /// URIs that came, with their types as bits.
    pub arrived: Vec<(String, i64)>,
    /// URIs that TAO no longer has.
    pub gone: Vec<String>,
    /// What was seen of the database.
    pub seen: String,
}

/// What is known of the package of a delivery that TAO made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaoPackage {
    /// Size and time of the file that was looked at.
    pub stamp: String,
    /// What is wrong with it.
    pub problem: Option<String>,
}

type Row = (Uuid, Vec<u8>, Option<String>, Option<String>, i64, Option<i64>, Option<String>);

impl Store {
    /// The installation this node is connected with.
    pub async fn tao_installation(&self) -> Result<Option<Installation>, StoreError> {
        let query = "SELECT id, address, files, command, connected_at, adopted_at, seen FROM tao_installation";
        let found: Option<Row> = sqlx::query_as(query)
            .fetch_optional(&self.pools.readers)
            .await
            .map_err(StoreError::sql("tao_installation"))?;
        let Some((id, sealed, files, command, connected_at, adopted_at, seen)) = found else { return Ok(None) };
        let damaged = || StoreError::damaged("the address of TAO's database");
        let address = self.keyring.columns().open(TABLE, id.as_bytes(), ADDRESS, &sealed).map_err(|_| damaged())?;
        let address = SecretString::from(String::from_utf8(address).map_err(|_| damaged())?);
        let time = |ms| Timestamp::from_millisecond(ms).map_err(|_| StoreError::damaged("a time of TAO's database"));
        Ok(Some(Installation {
            id,
            address,
            files: files.map(PathBuf::from),
            command,
            connected_at: time(connected_at)?,
            adopted_at: adopted_at.map(time).transpose()?,
            seen,
        }))
    }

    /// Connects this node with an installation. Another one than before is refused while that is adopted, and begins
    /// anew.
    pub async fn tao_connect(&self, new: &NewInstallation<'_>) -> Result<(), StoreError> {
        let before = self.tao_installation().await?;
        let is_same = |old: &Installation| place(old.address.expose_secret()) == place(new.address.expose_secret());
        if before.as_ref().is_some_and(|old| old.adopted_at.is_some() && !is_same(old)) {
            let advice = "the TAO of another database is adopted here; run 'taosync tao release' first";
            return Err(StoreError::Refused(advice.into()));
        }
        let kept = before.filter(is_same);
        let id = kept.as_ref().map_or_else(|| self.clock.new_id(), |old| old.id);
        let mut tx = self.write("tao_connect", Durability::Flushed).await?;
        let sql = tx.sql();
        let address = new.address.expose_secret().as_bytes();
        let sealed = self.keyring.columns().seal(TABLE, id.as_bytes(), ADDRESS, address);
        sqlx::query("DELETE FROM tao_installation").execute(tx.conn()).await.map_err(&sql)?;
        sqlx::query(
            "INSERT INTO tao_installation (id, address, files, command, connected_at, adopted_at, seen)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id)
        .bind(sealed)
        .bind(new.files.map(|path| path.to_string_lossy().into_owned()))
        .bind(new.command)
        .bind(self.now_ms())
        .bind(kept.as_ref().and_then(|old| old.adopted_at).map(Timestamp::as_millisecond))
        .bind(kept.and_then(|old| old.seen))
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        tx.commit().await
    }

    /// Notes that this node does the syncing from now on.
    pub async fn tao_adopt(&self) -> Result<(), StoreError> {
        self.tao_adopted_set(Some(self.now_ms())).await
    }

    /// Notes that taoSync does the syncing again.
    pub async fn tao_release(&self) -> Result<(), StoreError> {
        self.tao_adopted_set(None).await
    }

    async fn tao_adopted_set(&self, at: Option<i64>) -> Result<(), StoreError> {
        let mut tx = self.write("tao_adopted_set", Durability::Flushed).await?;
        let sql = tx.sql();
        // What is adopted again is looked at from the beginning.
        sqlx::query("UPDATE tao_installation SET adopted_at = $1, seen = NULL")
            .bind(at)
            .execute(tx.conn())
            .await
            .map_err(sql)?;
        tx.commit().await
    }

    /// Entities that came from TAO: their types there, as bits, by URI.
    pub async fn tao_origins(&self) -> Result<HashMap<String, i64>, StoreError> {
        let found: Vec<(String, i64)> = sqlx::query_as("SELECT uri, types FROM tao_origin")
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("tao_origins"))?;
        Ok(found.into_iter().collect())
    }

    /// What is known of packages TAO made, by delivery.
    pub async fn tao_packages(&self) -> Result<HashMap<String, TaoPackage>, StoreError> {
        let found: Vec<(String, String, Option<String>)> =
            sqlx::query_as("SELECT delivery, stamp, problem FROM tao_package")
                .fetch_all(&self.pools.readers)
                .await
                .map_err(StoreError::sql("tao_packages"))?;
        Ok(found.into_iter().map(|(delivery, stamp, problem)| (delivery, TaoPackage { stamp, problem })).collect())
    }

    /// Notes what became of the package of a delivery.
    pub async fn tao_package_set(&self, delivery: &str, package: &TaoPackage) -> Result<(), StoreError> {
        let mut tx = self.write("tao_package_set", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query(
            "INSERT INTO tao_package (delivery, stamp, problem) VALUES ($1, $2, $3)
             ON CONFLICT (delivery) DO UPDATE SET stamp = excluded.stamp, problem = excluded.problem",
        )
        .bind(delivery)
        .bind(&package.stamp)
        .bind(&package.problem)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
        tx.commit().await
    }
}

impl Tx {
    /// Notes what a pull has brought in.
    pub async fn tao_pulled(&mut self, pulled: &Pulled) -> Result<(), StoreError> {
        let sql = self.sql();
        rows::insert(
            self.conn(),
            "INSERT INTO tao_origin (uri, types) ",
            &pulled.arrived,
            "ON CONFLICT (uri) DO UPDATE SET types = excluded.types",
            |mut row, (uri, types)| {
                row.push_bind(uri.clone()).push_bind(*types);
            },
        )
        .await
        .map_err(&sql)?;
        for part in pulled.gone.chunks(20_000) {
            let gone = rows::text_array(part.iter().map(String::as_str));
            for statement in [
                "DELETE FROM tao_origin WHERE uri IN (SELECT value FROM json_each($1))",
                "DELETE FROM tao_package WHERE delivery IN (SELECT value FROM json_each($1))",
                "UPDATE package SET state = 'withdrawn'
                 WHERE state = 'published' AND delivery IN (SELECT value FROM json_each($1))",
            ] {
                sqlx::query(statement).bind(&gone).execute(self.conn()).await.map_err(&sql)?;
            }
        }
        sqlx::query("UPDATE tao_installation SET seen = $1")
            .bind(&pulled.seen)
            .execute(self.conn())
            .await
            .map_err(sql)?;
        Ok(())
    }
}

/// Kind, server and database of an address: with another password it is the same TAO.
fn place(address: &str) -> (&str, &str) {
    let (kind, rest) = address.split_once("://").unwrap_or(("", address));
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    (kind, rest.rsplit_once('@').map_or(rest, |(_, place)| place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_or_password_is_the_same_tao() {
        let known = place("postgres://tao:old@db:5432/tao");
        for same in ["postgres://db:5432/tao", "postgres://taosync:n%40w@db:5432/tao?sslmode=require"] {
            assert_eq!(place(same), known, "{same}");
        }
        for other in
            ["postgres://tao:old@db:5432/other", "postgres://tao:old@db2:5432/tao", "mysql://tao:old@db:5432/tao"]
        {
            assert_ne!(place(other), known, "{other}");
        }
    }
}
