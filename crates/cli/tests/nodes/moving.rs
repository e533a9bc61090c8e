//! A central that changes while it is read, a local server that is synced twice at once, a central that went back, and
//! what one org can ask about another.

use futures_util::StreamExt as _;
use taosync_model::{Entity, EntityType, OrgId, Value, vocabulary as v};
use taosync_store::entities::Change;
use taosync_store::settings::RECEIPT_NO;
use taosync_sync::down::offer::{OfferRequest, offer};
use taosync_sync::down::showing::Showing;
use taosync_sync::link::Request;
use taosync_sync::session::{What, link_for};
use taosync_wire::frame::{FrameReader, FrameWriter};
use taosync_wire::v1;
use taosync_wire::v1::compare::{AskFrame, TypePart, encode_uri};
use taosync_wire::v1::feed::{FeedFrame, FeedQuery};

use crate::results_up::{play, with_test};
use crate::support::{Central, Local, org, taker, taker_uri, up};

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_while_the_feed_is_read_from_its_start_is_said() {
    let central = Central::start().await;
    central.change(org("A", 0..2_500)).await;
    let request = OfferRequest {
        org: OrgId::new("A").unwrap(),
        query: FeedQuery { epoch: None, after: String::new(), types: None },
        shown: taosync_model::continuation::Shown::default(),
        receipt: None,
        node: taosync_vault::random::uuid(),
        actor: "test".into(),
        sync: None,
        chunk_size: 50,
    };
    let mut stream = std::pin::pin!(offer(central.store().clone(), request).await.unwrap());
    let mut reader = FrameReader::<FeedFrame>::new().unwrap();
    let (mut removed, mut gone) = (None, false);
    while let Some(piece) = stream.next().await {
        reader.feed(&piece.unwrap()).unwrap();
        while let Some((frame, body)) = reader.next_frame() {
            match frame {
                FeedFrame::Upsert(head) if head.entity_type == EntityType::TestTaker && removed.is_none() => {
                    let entity: Entity = serde_json::from_slice(&body).unwrap();
                    central.change(vec![Change::Remove(entity.uri.clone())]).await;
                    removed = Some(entity.uri);
                }
                FeedFrame::Remove(remove) => gone |= Some(&remove.uri) == removed.as_ref(),
                _ => {}
            }
        }
    }
    reader.finish().unwrap();
    assert!(removed.is_some() && gone, "it was sent, and then it was gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_during_a_sync_leave_nothing_out() {
    let central = Central::start().await;
    central.change(org("A", 0..3_000)).await;
    let local = Local::joined(&central, "A").await;
    let imports = async {
        for n in 0..40 {
            let mut changed = taker(n, &["A"]);
            changed.set(v::RDFS_LABEL, vec![Value::plain(format!("import {n}"))]);
            let back = taker(2_999 - n, &["A"]);
            central.change(vec![up(EntityType::TestTaker, changed), Change::Remove(back.uri.clone())]).await;
            if n % 2 == 0 {
                central.change(vec![up(EntityType::TestTaker, back)]).await;
            }
        }
    };
    let (summary, ()) = tokio::join!(local.sync(What::All), imports);
    assert_eq!(summary.status, "success", "{summary:#?}");
    assert_eq!(summary.requests, 3, "token, feed, report: nothing had to be compared");
    local.sync_equal().await;
    assert_eq!(local.members("A").await, central.members("A").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_syncs_at_once_do_no_harm() {
    let central = Central::start().await;
    central.change(org("A", 0..1_000)).await;
    let local = Local::joined(&central, "A").await;
    tokio::join!(local.sync(What::All), local.sync(What::All), local.sync(What::Data));
    assert_eq!(local.store().replica_check().await.unwrap(), []);
    local.sync_equal().await;
    assert_eq!(local.members("A").await, central.members("A").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_that_went_back_is_noticed_with_nothing_waiting() {
    let central = Central::start().await;
    with_test(&central, 0..3).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let runner = local.runner().await;
    play(&runner, 0).await;
    local.sync_equal().await;
    let shown = central.store().setting_get(RECEIPT_NO).await.unwrap().unwrap();
    central.store().setting_set(RECEIPT_NO, "0").await.unwrap();
    central.change(vec![Change::Remove(taker_uri(2))]).await;
    let summary = local.sync(What::Data).await;
    assert_eq!(summary.code.as_deref(), Some("TS-307"), "{summary:#?}");
    assert_eq!(local.members("A").await[&EntityType::TestTaker].len(), 3, "no data is applied");
    central.store().setting_set(RECEIPT_NO, &shown).await.unwrap();
    let summary = local.sync_equal().await;
    assert_eq!(summary.results.duplicate, 1, "what may be lost is offered again: {summary:#?}");
    assert_eq!(summary.types[&EntityType::TestTaker].removed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_says_of_a_strangers_entity_what_it_says_of_none() {
    let central = Central::start().await;
    central.change(org("A", 0..5)).await;
    central.change(org("B", 5..10)).await;
    let local = Local::joined(&central, "A").await;
    local.sync_equal().await;
    let (foreign, unknown) = (taker_uri(7), taker_uri(999));
    let (mut entities, mut links) = (Vec::new(), Vec::new());
    for uri in [&foreign, &unknown] {
        encode_uri(&mut entities, uri);
    }
    for owner in ["B", "nobody"] {
        let owner = format!("http://central.example/t.rdf#eligibility-{owner}");
        let member = taosync_model::canonical::link_member(&owner, v::ELIGIBLE_TEST_TAKER, &Value::plain(&*foreign));
        links.extend_from_slice(&member.0);
    }
    let mut writer = FrameWriter::new().unwrap();
    let part = |entity_type, len: usize| TypePart { entity_type, len: len as u64 };
    writer.push(&AskFrame::Entities(part(EntityType::TestTaker, entities.len())), &entities).unwrap();
    writer.push(&AskFrame::Links(part(EntityType::Eligibility, links.len())), &links).unwrap();
    writer.push(&AskFrame::End, b"").unwrap();
    let replica = local.store().replicas_list().await.unwrap().remove(0);
    let link = link_for(local.store(), &replica, "0.1.0", None).await.unwrap();
    let path = format!("{}?epoch={}&after={}", v1::PATH_COMPARE, replica.epoch.unwrap(), replica.positions().to_text());
    let showing = Showing::prepare(local.store(), &replica).await.unwrap();
    let request = showing.on(Request::post(path, writer.finish().unwrap()));
    let mut frames = link.send(request).await.unwrap().frames::<FeedFrame>().unwrap();
    let (mut removes, mut unlinks) = (Vec::new(), 0);
    while let Some((frame, body)) = frames.next().await.unwrap() {
        assert!(!String::from_utf8_lossy(&body).contains(&foreign));
        match frame {
            FeedFrame::Remove(remove) => removes.push((remove.uri, remove.seq)),
            FeedFrame::Unlink(_) => unlinks += 1,
            _ => {}
        }
    }
    removes.sort();
    let seq = removes[0].1;
    assert_eq!(removes, [(foreign, seq), (unknown, seq)]);
    assert_eq!(unlinks, 2);
}
