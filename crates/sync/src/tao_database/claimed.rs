//! What taoSync marks as handed in and nothing shows (WIRE §9.6).

use taosync_tao::read::{executions, sent};
use taosync_tao::{Reading, Schema};

use super::TaoDatabaseError;

/// The executions, by TAO's ids. A push takes them into the outbox.
pub async fn find(reading: &mut Reading, schema: &Schema) -> Result<Vec<String>, TaoDatabaseError> {
    let mut claimed = Vec::new();
    let mut after = String::new();
    loop {
        let page = executions::page(reading, schema, &after).await?;
        let ids: Vec<String> = page.executions.into_iter().map(|execution| execution.id).collect();
        let sent = sent::read(reading, schema, &ids).await?;
        claimed.extend(ids.into_iter().filter(|id| sent.get(id).is_some_and(sent::Sent::is_only_claimed)));
        match page.last {
            Some(last) => after = last,
            None => return Ok(claimed),
        }
    }
}
