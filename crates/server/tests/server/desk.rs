//! A program around the pages that notes what it was asked to do.

use std::sync::{Arc, Mutex};

use serde_json::json;
use taosync_model::readiness::{Check, Level, Readiness};
use taosync_server::pages::{Act, Desk, Trouble};

/// What was done, and by whom.
pub type Acts = Arc<Mutex<Vec<(Act, String)>>>;

/// Its second act fails, as one does when another sync runs.
pub fn desk(acts: Acts) -> Desk {
    Desk {
        look: Box::new(|| Box::pin(async { Ok(readiness()) })),
        act: Box::new(move |act, visitor| {
            let mut acts = acts.lock().unwrap();
            acts.push((act.clone(), visitor.name));
            let first = acts.iter().filter(|(done, _)| *done == act).count() == 1 || act != Act::Sync;
            Box::pin(async move {
                let trouble = || Trouble {
                    code: "TS-009",
                    message: "another sync is already running".into(),
                    advice: "wait until it has ended".into(),
                };
                first.then_some(()).ok_or_else(trouble)
            })
        }),
        tls_in_front: false,
    }
}

fn readiness() -> Readiness {
    let checks = vec![
        Check::new("sync", Level::Ok, "equal to central, verified 12 minutes ago", json!({})),
        Check::new("tests", Level::Critical, "<Maths> & more: 2 of 3 tests are here", json!({})),
        Check::new("disk", Level::Warning, "600 MB free: make room", json!({})),
    ];
    Readiness { ready: false, since: "2026-05-11T18:00:00Z".parse().unwrap(), checks }
}
