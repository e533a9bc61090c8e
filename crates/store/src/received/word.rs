//! A node's word for what it handed in (vault::item_proof): kept once for the items that were signed together, and enough
//! to show each of them alone.

use std::collections::HashMap;
use std::sync::Arc;

use taosync_model::Digest;
use taosync_model::item::{Envelope, ItemProof};
use taosync_vault::item_proof;
use uuid::Uuid;

use super::IncomingItem;
use crate::values::Record;
use crate::{Store, StoreError, Tx, rows};

/// A signature over items that came together; it was verified.
#[derive(Debug)]
pub struct Word {
    /// Public key of the node.
    pub signer: [u8; 32],
    /// Ed25519 over the root of the leaves.
    pub signature: [u8; 64],
    /// Leaves of all items that were signed together, in their order.
    pub leaves: Vec<Digest>,
}

/// Which word speaks for an item.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// The word.
    pub word: Arc<Word>,
    /// Place of the item in it, from 0.
    pub leaf: u32,
}

impl Tx {
    /// Keeps the words for these items, each once; gives their rows by signature.
    pub(super) async fn words_insert<'a>(
        &mut self,
        store: &Store,
        items: impl Iterator<Item = &'a IncomingItem>,
    ) -> Result<HashMap<[u8; 64], Uuid>, StoreError> {
        let (mut ids, mut new) = (HashMap::new(), Vec::new());
        for vouched in items.filter_map(|item| item.vouched.as_ref()) {
            ids.entry(vouched.word.signature).or_insert_with(|| {
                let id = store.clock.new_id();
                new.push((id, vouched.word.clone()));
                id
            });
        }
        let sql = self.sql();
        let head = "INSERT INTO received_word (id, signer, signature, leaves) ";
        rows::insert(self.conn(), head, &new, "", |mut row, (id, word)| {
            row.push_bind(*id).push_bind(word.signer.to_vec()).push_bind(word.signature.to_vec());
            row.push_bind(word.leaves.iter().flat_map(|leaf| leaf.0).collect::<Vec<u8>>());
        })
        .await
        .map_err(sql)?;
        Ok(ids)
    }
}

impl Store {
    /// What shows alone that a node handed a held item in; none for items that came without a signature, as from TAO.
    pub async fn received_proof(&self, id: Uuid) -> Result<Option<ItemProof>, StoreError> {
        let row = sqlx::query(
            "SELECT r.leaf, w.signer, w.signature, w.leaves FROM received r CROSS JOIN received_word w ON w.id = r.word
             WHERE r.id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pools.readers)
        .await
        .map_err(StoreError::sql("received_proof"))?;
        let Some(row) = row else { return Ok(None) };
        let row = Record::new("received_word", &row);
        let (word, leaf) = (kept(&row)?, row.number("leaf")?);
        let proof = item_proof::proof_of(&word.signer, &word.signature, &word.leaves, leaf);
        proof.map(Some).ok_or_else(|| StoreError::damaged("received.leaf"))
    }
}

/// The word of a row read with `signer`, `signature` and `leaves`.
fn kept(row: &Record<'_>) -> Result<Word, StoreError> {
    let damaged = |column: &str| StoreError::damaged(format!("received_word.{column}"));
    let leaves = row.get::<&[u8]>("leaves")?.chunks(32).map(Digest::from_slice).collect::<Result<_, _>>();
    Ok(Word {
        signer: row.get::<&[u8]>("signer")?.try_into().map_err(|_| damaged("signer"))?,
        signature: row.get::<&[u8]>("signature")?.try_into().map_err(|_| damaged("signature"))?,
        leaves: leaves.map_err(|_| damaged("leaves"))?,
    })
}

/// Looks at words of held items; what one signature covers is verified once.
#[derive(Default)]
pub(crate) struct WordCheck {
    holds: HashMap<Uuid, Option<Word>>,
}

impl WordCheck {
    /// What is wrong with the word for the item of a row, read with `word`, `leaf`, `envelope` and the columns of the word.
    pub fn problem(&mut self, row: &Record<'_>) -> Result<Option<&'static str>, StoreError> {
        let Some(id) = row.get::<Option<Uuid>>("word")? else { return Ok(None) };
        let word = self.holds.entry(id).or_insert_with(|| kept(row).ok().filter(is_signed)).as_ref();
        let leaf: u32 = row.number("leaf")?;
        let said = word.and_then(|word| word.leaves.get(leaf as usize));
        // An envelope that cannot be read is told elsewhere.
        let Ok(envelope) = row.json::<Envelope>("envelope") else { return Ok(None) };
        let is_said = said == Some(&item_proof::leaf_of(&envelope));
        Ok((!is_said).then_some("its envelope is not the one that was signed by whoever handed it in"))
    }
}

fn is_signed(word: &Word) -> bool {
    item_proof::verify_batch(&word.signer, &hex::encode(word.signature), &word.leaves).is_ok()
}
