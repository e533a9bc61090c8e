//! Chunks that are no longer needed go, while packages are published and fetched: nothing that is needed goes with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use taosync_store::Store;
use taosync_store::settings::Role;
use taosync_sync::packages::contents;
use taosync_sync::packages::garbage::{Collected, collect};
use taosync_sync::session::What;

use crate::packages_cut::publish_with;
use crate::support::{Central, DELIVERY, Local, org};

/// Longer than any publication here takes, on a busy machine too.
const WAIT: SignedDuration = SignedDuration::from_secs(3);
/// Contents that come again and again: what is dying is needed anew.
const VARIANTS: usize = 4;

/// Collects until it is told to stop; gives the sums.
async fn collector(store: Store, role: Role, stop: Arc<AtomicBool>) -> Collected {
    let mut all = Collected::default();
    while !stop.load(Ordering::SeqCst) {
        let more = collect(&store, role, WAIT).await.unwrap();
        all.packages += more.packages;
        all.chunks += more.chunks;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn collecting_while_publishing_and_fetching_takes_nothing_that_is_needed() {
    let central = Central::start().await;
    central.change(org("A", 0..3)).await;
    let local = Local::joined(&central, "A").await;
    let stop = Arc::new(AtomicBool::new(false));
    let at_central = tokio::spawn(collector(central.store().clone(), Role::Central, stop.clone()));
    let at_local = tokio::spawn(collector(local.store().clone(), Role::Local, stop.clone()));

    let since = Instant::now();
    let mut round = 0;
    while since.elapsed() < Duration::from_secs(9) || round < 2 * VARIANTS {
        let sizes: Vec<_> = (0..3).map(|n| 150_000 * n + 1_000 * (round % VARIANTS) + 500).collect();
        publish_with(&central, DELIVERY, &format!("Maths {}", round % VARIANTS), &sizes).await;
        let summary = local.sync(What::All).await;
        assert_eq!(summary.status, "success", "round {round}: {summary:#?}");
        let package = local.store().package_current(DELIVERY).await.unwrap().unwrap();
        assert_eq!(contents::problem_with(local.store(), &package).await.unwrap(), None, "round {round}");
        round += 1;
        assert!(round < 500);
    }
    stop.store(true, Ordering::SeqCst);
    for (who, collected) in [("central", at_central.await.unwrap()), ("local", at_local.await.unwrap())] {
        assert!(collected.packages > 0 && collected.chunks > 0, "{who} must have collected something: {collected:?}");
    }
    local.sync_equal().await;
    for node in [central.store(), local.store()] {
        let kept = node.packages_list().await.unwrap();
        assert!(kept.len() >= 2, "the version before the current one stays");
        for package in kept {
            assert_eq!(contents::problem_with(node, &package).await.unwrap(), None, "version {}", package.version);
        }
    }
}
