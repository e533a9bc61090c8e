//! What central has confirmed is noted in TAO's own tables too, so that taoSync can go on where we stop (local).

use taosync_store::Store;
use taosync_tao::write::Now;
use taosync_tao::write::sent::{self, Confirmed, Session};
use taosync_tao::{Database, Schema};

use super::TaoDatabaseError;

/// Results and log rows of a transaction.
const BATCH: u32 = 1_000;

/// What TAO was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    /// Results that are marked as handed in.
    pub results: u64,
    /// Log rows that are.
    pub log_rows: u64,
}

/// Tells TAO what central has confirmed.
pub async fn tell(store: &Store, database: &Database) -> Result<Told, TaoDatabaseError> {
    let mut told = Told::default();
    loop {
        let news = store.tao_to_tell(BATCH).await?;
        if news.results.is_empty() && news.log_rows.is_empty() {
            return Ok(told);
        }
        let schema = Schema::recognise(&mut database.read().await?).await?;
        let confirmed: Vec<Confirmed> = news
            .results
            .iter()
            .map(|one| Confirmed {
                execution: one.name.clone(),
                end: one.ended.clone(),
                session: if one.session { Session::Confirmed } else { Session::Open },
            })
            .collect();
        let mut change = database.change("results handed in").await?;
        told.results += sent::results(&mut change, &schema, &confirmed, &Now::of(store.clock().now())).await?;
        told.log_rows += sent::logs(&mut change, &schema, &news.log_rows).await?;
        change.commit().await?;
        store.tao_told(&news).await?;
    }
}
