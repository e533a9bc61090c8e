//! TAO's protocol with ourselves at both ends: a local that takes our central for a TAO.

use secrecy::ExposeSecret as _;
use taosync_sync::session::What;
use taosync_sync::tao::Compat;

use super::sync_proven;
use crate::results_up::{play, with_test};
use crate::support::tao_central::VERSION;
use crate::support::{Central, Local, taker, up};

async fn joined(central: &Central) -> Local {
    let versions = vec![VERSION.to_owned()];
    Compat { tao: true, supported_versions: versions, chunk_size: 10, ..Compat::default() }
        .save(central.store())
        .await
        .unwrap();
    let (key, secret) = central.consumer(&["A"]).await;
    let local = Local::start().await;
    let fingerprint = Some(central.fingerprint.clone());
    local.join_tao(&central.url(), &key, secret.expose_secret(), "A", fingerprint).await;
    local
}

#[tokio::test(flavor = "multi_thread")]
async fn our_local_takes_our_central_for_a_tao() {
    let central = Central::start().await;
    with_test(&central, 0..25).await;
    let local = joined(&central).await;
    sync_proven(&local).await;
    assert_eq!(central.members("A").await, local.members("A").await);
    central.change(vec![up(super::TAKER, taker(3, &["A"]).with("urn:p", "more"))]).await;
    let second = sync_proven(&local).await;
    assert_eq!((second.types[&super::TAKER].updated, second.deliveries.fetched), (1, 0));
    let execution = play(&local.runner().await, 3).await;
    let summary = local.sync(What::All).await;
    assert_eq!((summary.status.as_str(), summary.results.pending), ("success", 0), "{summary:#?}");
    let filter = taosync_store::received::ReceivedFilter::default();
    let held = central.store().received_list(&filter, 10).await.unwrap();
    let attempt = held.iter().find(|item| item.envelope.delivery.is_some()).unwrap();
    assert_eq!(attempt.envelope.test_taker, Some(crate::support::taker_uri(3)));
    assert_eq!(attempt.envelope.counts.variables, 5);
    assert!(!execution.is_nil() && attempt.envelope.started_at.is_some());
    local.sync(What::Results).await;
    assert_eq!(central.store().received_list(&filter, 10).await.unwrap().len(), held.len(), "each once");
}
