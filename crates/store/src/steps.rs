//! What a read costs, for tests: steps of SQLite's machine are the same on every computer, unlike seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Store;

/// Counts the steps of SQLite's machine on every connection that reads.
pub async fn counted(store: &Store) -> Arc<AtomicU64> {
    let steps = Arc::new(AtomicU64::new(0));
    let mut all = Vec::new();
    while all.len() < store.pools.readers.options().get_max_connections() as usize {
        all.push(store.pools.readers.acquire().await.unwrap());
    }
    for connection in &mut all {
        let steps = steps.clone();
        connection.lock_handle().await.unwrap().set_progress_handler(1, move || {
            steps.fetch_add(1, Ordering::Relaxed);
            true
        });
    }
    steps
}
