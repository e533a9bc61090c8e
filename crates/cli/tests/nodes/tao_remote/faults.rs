//! Whatever this central does wrong: nothing that is here is lost, nothing is claimed, and the next sync that goes well
//! ends as if nothing had been.

use taosync_sync::session::What;

use super::{assert_same, sync_proven};
use crate::support::tao_central::{Fault, School, TaoCentral};
use crate::support::{DELIVERY, taker_uri};

/// With which proof a sync ends under a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// It fails, and changes nothing.
    Failed,
    /// It does what it can, and claims nothing.
    Unproven,
    /// The fault makes no difference.
    Proven,
}

const TABLE: &[(Fault, Ends)] = &[
    (Fault::Repeats("test-taker"), Ends::Unproven),
    (Fault::Repeats("proctor"), Ends::Unproven),
    (Fault::CutShort("test-taker"), Ends::Proven),
    (Fault::Empty("test-taker"), Ends::Unproven),
    (Fault::Empty("eligibility"), Ends::Unproven),
    (Fault::Flickers("test-taker"), Ends::Unproven),
    (Fault::Duplicates("test-taker"), Ends::Proven),
    (Fault::Vanishes("test-taker"), Ends::Unproven),
    (Fault::WrongChecksum("test-taker"), Ends::Unproven),
    (Fault::Unasked("test-taker"), Ends::Proven),
    (Fault::Stumbles("fetchEntityChecksums", 3), Ends::Failed),
    (Fault::Stumbles("fetchEntityDetails", 0), Ends::Failed),
    (Fault::Stumbles("supportedVm", 0), Ends::Failed),
    (Fault::LoginPage("fetchEntityChecksums"), Ends::Failed),
    (Fault::LoginPage("fetchEntityDetails"), Ends::Failed),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_central_loses_what_is_here() {
    for (fault, ends) in TABLE {
        let central = TaoCentral::start(School::with_takers(25)).await;
        let local = central.local("*").await;
        sync_proven(&local).await;
        let before = local.members("*").await;
        // Something to bring, so that details are asked for.
        central.inside().school.taker(25);
        central.suffers(fault.clone());
        let summary = local.sync(What::Data).await;
        assert!(central.inside().fired > 0, "{fault:?} must have fired");
        let expected = match ends {
            Ends::Failed => ("failed", "none"),
            Ends::Unproven => ("partial", "none"),
            Ends::Proven => ("success", "listing"),
        };
        assert_eq!((summary.status.as_str(), summary.proof.as_str()), expected, "{fault:?} {summary:#?}");
        let after = local.members("*").await;
        for (entity_type, uris) in &before {
            assert!(uris.is_subset(&after[entity_type]), "{fault:?} took {entity_type}s away");
        }
        if *ends == Ends::Failed {
            assert_eq!(before, after, "{fault:?}");
        }
        central.suffers(Fault::None);
        sync_proven(&local).await;
        assert_same(&central, &local, "*").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_an_end_is_given_up() {
    let central = TaoCentral::start(School::with_takers(3)).await;
    let local = central.local("*").await;
    sync_proven(&local).await;
    let before = local.members("*").await;
    central.inside().chunk = 20_000;
    central.suffers(Fault::Repeats("delivery"));
    central.asked();
    local.sync(What::Data).await;
    let lists = central.asked().iter().filter(|seen| seen.query().get("type") == Some("delivery")).count();
    assert!(lists > 2 && lists < 50, "{lists} pages are enough to see that nothing new comes");
    assert_eq!(local.members("*").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_does_not_come_is_shown_and_holds_up_nobody() {
    let central = TaoCentral::start(School::with_takers(3)).await;
    let zip = central.inside().school.packages.remove(DELIVERY).unwrap();
    let local = central.local("*").await;
    let summary = local.sync(What::Data).await;
    assert_eq!((summary.status.as_str(), summary.deliveries.failed), ("partial", 1), "{summary:#?}");
    assert_eq!(summary.proof, "none");
    assert_same(&central, &local, "*").await;
    let packages = local.store().packages_list().await.unwrap();
    assert_eq!(packages[0].state.as_str(), "failed");
    let whole = zip.clone();
    central.inside().school.packages.insert(DELIVERY.to_owned(), zip.slice(..zip.len() / 2));
    let cut = local.sync(What::Data).await;
    assert_eq!(cut.deliveries.failed, 1, "half a zip is none: {cut:#?}");
    central.inside().school.packages.insert(DELIVERY.to_owned(), whole);
    let summary = sync_proven(&local).await;
    assert_eq!(summary.deliveries.fetched, 1);
    local.runner().await.start(DELIVERY, &taker_uri(0)).await.unwrap();
}
