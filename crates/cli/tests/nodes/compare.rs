//! Positions that cannot be trusted, and replicas edited behind our back: both sides compare, only what differs travels,
//! and equality is proved afterwards.

use taosync_model::{EntityType, vocabulary as v};
use taosync_store::Store;
use taosync_store::entities::Change;
use taosync_sync::down::compare::Comparison;
use taosync_sync::down::guard::Removals;
use taosync_sync::session::{Mode, Plan, Summary, What};

use crate::support::proxy::Proxy;
use crate::support::{Central, Local, eligibility, org, plan, taker, taker_uri, up};

const TAKER: EntityType = EntityType::TestTaker;
const ELIGIBILITY: EntityType = EntityType::Eligibility;

async fn pair(takers: usize) -> (Central, Local) {
    let central = Central::start().await;
    central.change(org("A", 0..takers)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    (central, local)
}

/// Another history than the one the positions belong to.
async fn forget_epoch(store: &Store) {
    let replica = store.replicas_list().await.unwrap().remove(0);
    store.replica_begin(replica.id, taosync_vault::random::uuid()).await.unwrap();
}

/// What `verify` does when it finds damage.
async fn verify(local: &Local) {
    assert_ne!(local.store().replica_check().await.unwrap(), [], "the damage must be seen");
    let replica = local.store().replicas_list().await.unwrap().remove(0);
    local.store().replica_recount(replica.id).await.unwrap();
}

async fn mended(central: &Central, local: &Local) -> (Summary, Comparison) {
    let summary = local.sync_equal().await;
    assert_eq!(local.members("A").await, central.members("A").await);
    let comparison = summary.comparison.unwrap_or_else(|| panic!("nothing was compared: {summary:#?}"));
    assert!(!comparison.listed, "reconciliation is enough");
    assert!(local.sync_equal().await.comparison.is_none(), "from here on it goes on as usual");
    (summary, comparison)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_epoch_costs_what_differs() {
    let (central, local) = pair(3_000).await;
    let whole = {
        let fresh = Local::joined(&central, "A").await;
        fresh.sync_equal().await.bytes_down
    };
    central
        .change(
            (0..20).map(|n| up(TAKER, taker(n * 100, &["A", "elsewhere"]).with(v::USER_LAST_NAME, "new"))).collect(),
        )
        .await;
    central.change(vec![Change::Remove(taker_uri(7)), up(TAKER, taker(4_000, &["A"]))]).await;
    central.change(vec![up(ELIGIBILITY, eligibility("A", (0..3_000).filter(|n| *n != 7).chain([4_000])))]).await;
    forget_epoch(local.store()).await;
    let (summary, comparison) = mended(&central, &local).await;
    let types = &summary.types;
    assert_eq!((types[&TAKER].created, types[&TAKER].updated, types[&TAKER].removed), (1, 20, 1));
    assert_eq!((comparison.only_here, comparison.only_there), (22, 22), "versions of takers, and a link each way");
    let travelled = summary.bytes_down + summary.bytes_up;
    assert!(travelled < 64 * 1024 && travelled * 3 < whole, "{travelled} bytes of {whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_ahead_of_central_is_compared() {
    let (central, local) = pair(100).await;
    local.edit("UPDATE replica_type SET seq = seq + 1000 WHERE type = 4");
    central.change(vec![up(TAKER, taker(200, &["A"]))]).await;
    central.change(vec![up(ELIGIBILITY, eligibility("A", (0..100).chain([200])))]).await;
    let (summary, comparison) = mended(&central, &local).await;
    assert_eq!(summary.types[&TAKER].created, 1);
    assert_eq!((comparison.only_here, comparison.only_there), (0, 2), "a taker and its link");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_hides_a_change_is_found_by_the_digests() {
    let (central, local) = pair(100).await;
    central.change(vec![up(TAKER, taker(5, &["A"]).with(v::USER_LAST_NAME, "new"))]).await;
    local.edit("UPDATE replica_type SET seq = seq + 1 WHERE type = 4");
    let (summary, comparison) = mended(&central, &local).await;
    assert_eq!(summary.types[&TAKER].updated, 1);
    assert_eq!((comparison.only_here, comparison.only_there), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_edited_behind_our_back_are_mended() {
    let (central, local) = pair(100).await;
    let taker = |n: usize| taker_uri(n);
    let row = |n: usize| format!("type = 4 AND uri = '{}'", taker(n));
    let copy = "INSERT INTO replica_entry (id, scope, type, uri, seq, digest, body)
        SELECT randomblob(16), scope, type, 'http://elsewhere.example/#extra', seq, digest, body FROM replica_entry WHERE ";
    let swap =
        format!("UPDATE replica_entry SET body = (SELECT body FROM replica_entry WHERE {}) WHERE {}", row(9), row(8));
    let cases: [(&str, String, Comparison); 6] = [
        ("a body changed", swap, only(1, 1)),
        ("a digest changed", format!("UPDATE replica_entry SET digest = zeroblob(32) WHERE {}", row(3)), only(0, 0)),
        ("a row deleted", format!("DELETE FROM replica_entry WHERE {}", row(4)), only(0, 1)),
        ("a row inserted", format!("{copy}{}", row(5)), only(1, 0)),
        (
            "a row renamed",
            format!("UPDATE replica_entry SET uri = 'http://elsewhere.example/#x' WHERE {}", row(6)),
            only(1, 1),
        ),
        (
            "links deleted",
            "DELETE FROM replica_link WHERE rowid_of < x'40'".replace("rowid_of", "value_key"),
            only(0, 0),
        ),
    ];
    for (what, sql, expected) in cases {
        local.edit(&sql);
        verify(&local).await;
        let summary = local.sync_equal().await;
        assert_eq!(local.members("A").await, central.members("A").await, "{what}");
        let comparison = summary.comparison.unwrap();
        assert!(!comparison.listed, "{what}");
        if what != "links deleted" {
            assert_eq!(
                (comparison.only_here, comparison.only_there),
                (expected.only_here, expected.only_there),
                "{what}"
            );
        }
        assert!(local.sync_equal().await.comparison.is_none(), "{what}");
    }
}

fn only(only_here: u64, only_there: u64) -> Comparison {
    Comparison { only_here, only_there, ..Comparison::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_owner_was_edited_is_mended() {
    let (central, local) = pair(60).await;
    local.edit("UPDATE replica_link SET owner = 'http://elsewhere.example/#owner' WHERE value_key < x'40'");
    verify(&local).await;
    let (_, comparison) = mended(&central, &local).await;
    assert!(comparison.only_there > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_removal_found_by_comparing_waits_for_a_word() {
    let (central, local) = pair(30).await;
    central.change(vec![up(ELIGIBILITY, eligibility("A", 10..30))]).await;
    forget_epoch(local.store()).await;
    let held = local.sync(What::All).await;
    assert_eq!((held.status.as_str(), held.held_removals), ("partial", 10), "{held:#?}");
    assert_eq!(local.members("A").await[&TAKER].len(), 30);
    let accepted = local.sync_with(Plan { removals: Removals::Accepted, ..plan(What::Data) }).await.unwrap();
    assert_eq!(accepted.status, "success", "{accepted:#?}");
    local.sync_equal().await;
    assert_eq!(local.members("A").await, central.members("A").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_a_comparison_would_bring_and_changes_nothing() {
    let (central, local) = pair(100).await;
    central
        .change(vec![Change::Remove(taker_uri(7)), up(TAKER, taker(8, &["A"]).with(v::USER_LAST_NAME, "new"))])
        .await;
    forget_epoch(local.store()).await;
    let before = local.store().replicas_list().await.unwrap().remove(0);
    let would = local.sync_with(Plan { mode: Mode::DryRun, ..plan(What::Data) }).await.unwrap();
    assert_eq!(would.status, "success", "{would:#?}");
    assert_eq!((would.types[&TAKER].updated, would.types[&TAKER].removed), (1, 1));
    let after = local.store().replicas_list().await.unwrap().remove(0);
    assert_eq!((after.epoch, after.positions()), (before.epoch, before.positions()));
    assert_eq!(local.members("A").await[&TAKER].len(), 100);
    mended(&central, &local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_cut_in_rounds_and_answers_end_equal() {
    let central = Central::start().await;
    central.change(org("A", 0..2_000)).await;
    let proxy = Proxy::before(central.address).await;
    let local = Local::joined_at(&central, &proxy.url(), &["A"]).await;
    local.sync_equal().await;
    let (mut failed, mut arrived) = (0, 0);
    let cuts = [3_000, 5_000, 40_000, 20_000, 100_000];
    for (turn, bytes) in cuts.into_iter().enumerate() {
        let secret = |n: usize| taosync_model::Digest::of(&[n as u8, turn as u8]).to_hex();
        let new = |n: usize| up(TAKER, taker(n, &["A"]).with(v::USER_LAST_NAME, secret(n)));
        central.change((0..600).map(new).collect()).await;
        forget_epoch(local.store()).await;
        if turn % 2 == 0 {
            proxy.cut_down_after(bytes);
        } else {
            proxy.cut_up_after(bytes);
        }
        let is_cut = local.sync(What::Data).await.status == "failed";
        proxy.mend();
        let rest = local.sync_equal().await;
        if is_cut {
            failed += 1;
            arrived += 600 - rest.types[&TAKER].updated;
        }
        assert_eq!(local.members("A").await, central.members("A").await);
    }
    assert!(proxy.cuts() >= failed);
    assert!(failed >= 4, "the faults must have fired: {failed}");
    assert!(arrived > 0, "what arrived before a cut is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_list_decides_where_reconciliation_finds_nothing() {
    let (central, local) = pair(50).await;
    // Central's own sum is damaged: the members are equal, the digests never are.
    let python = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); \
                  c.execute('UPDATE scope_type SET set_digest = zeroblob(32) WHERE type = 4'); c.commit()";
    let path = central.node.dir.path().join("taosync.sqlite");
    assert!(std::process::Command::new("python3").args(["-c", python]).arg(path).status().unwrap().success());
    let summary = local.sync(What::Data).await;
    assert_ne!(summary.status, "success");
    let comparison = summary.comparison.unwrap();
    assert!(comparison.listed && comparison.rounds < 5, "{comparison:?}");
    assert!(!summary.digest_equal && !summary.advice.is_empty());
    assert_eq!(local.members("A").await, central.members("A").await, "nothing was lost over it");
}
