//! A sync that is cut, and the next one: it goes on where the last one was, and asks for nothing twice.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Bytes;
use taosync_model::{EntityType, vocabulary as v};
use taosync_sync::session::What;

use super::{TAKER, assert_same, sync_proven};
use crate::support::tao_central::{Fault, School, Seen, TaoCentral, properties};

const SECOND: &str = "http://central.example/t.rdf#delivery2";

/// The takers whose details were asked for since the last time, each time anew.
fn takers_asked(central: &TaoCentral) -> Vec<String> {
    let seen = central.asked();
    let requests = seen.iter().filter(|seen| seen.path.contains("EntityDetails")).map(Seen::json);
    let ids = requests.filter(|body| body["type"] == TAKER.as_str()).map(|body| body["entityIds"].clone());
    ids.flat_map(|ids| serde_json::from_value::<Vec<String>>(ids).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_that_came_before_a_cut_are_not_asked_for_again() {
    let central = TaoCentral::start(School::with_takers(350)).await;
    central.inside().chunk = 100;
    let local = central.local("*").await;
    // Center, administrator, proctor, and twice a hundred takers come.
    central.suffers(Fault::Stumbles("fetchEntityDetails", 5));
    assert_eq!(local.sync(What::Data).await.status, "failed");
    assert_eq!(central.inside().fired, 1);
    assert_eq!(local.members("*").await[&TAKER].len(), 0, "nothing is visible before everything is here");
    let first = takers_asked(&central);
    let (came, lost) = first.split_at(200);
    assert_eq!(lost.len(), 100);

    central.suffers(Fault::None);
    central.inside().school.row(&came[0]).properties = properties(&[(v::RDFS_LABEL, &["Anna"])]);
    central.inside().school.remove(&came[1]);
    let summary = sync_proven(&local).await;
    assert_eq!(summary.types[&TAKER].created, 349);
    assert_same(&central, &local, "*").await;
    let asked: BTreeSet<String> = takers_asked(&central).into_iter().collect();
    let came: BTreeSet<String> = came.iter().cloned().collect();
    assert_eq!(asked.len(), 151, "what did not come, and who changed since");
    assert_eq!(asked.intersection(&came).count(), 1);

    sync_proven(&local).await;
    assert_eq!(takers_asked(&central), [""; 0]);
    let replica = local.store().replicas_list().await.unwrap().remove(0);
    assert!(local.store().arrivals_kept(replica.id, TAKER).await.unwrap().is_empty(), "what is visible waits no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_came_before_a_cut_is_not_fetched_again() {
    let mut school = School::with_takers(3);
    let label: (&str, &[&str]) = (v::RDFS_LABEL, &["English"]);
    school.add("delivery", SECOND, &[(v::RDF_TYPE, &[v::CLASS_DELIVERY]), label]);
    school.packages.insert(SECOND.to_owned(), Bytes::from(taosync_packages::demo_package()));
    let central = TaoCentral::start(school).await;
    let local = central.local("*").await;
    central.suffers(Fault::Hangs("getDeliveryTest", 1));
    let is_cut = async {
        while central.inside().fired == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        ended = local.sync(What::Data) => panic!("{ended:?}"),
        () = is_cut => {}
    }
    central.asked();
    central.suffers(Fault::None);
    let summary = sync_proven(&local).await;
    assert_eq!((summary.types[&EntityType::Delivery].created, summary.deliveries.fetched), (2, 1));
    assert_same(&central, &local, "*").await;
    let seen = central.asked();
    let fetched: Vec<_> = seen.iter().filter(|s| s.path.contains("getDeliveryTest")).map(Seen::query).collect();
    assert_eq!(fetched.iter().map(|q| q.get("delivery-uri")).collect::<Vec<_>>(), [Some(SECOND)]);
    assert!(!seen.iter().any(|seen| seen.path.contains("EntityDetails")));
}
