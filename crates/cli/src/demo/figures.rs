//! The story in figures: what `--json` prints, and what the text is made from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use taosync_model::EntityType;
use taosync_sync::session::Summary;
use url::Url;

/// Everything that was done and found.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    /// Test takers of both orgs.
    pub takers: usize,
    /// Where the two servers are.
    pub nodes: BTreeMap<&'static str, NodeFigures>,
    /// What central took in.
    pub data: DataFigures,
    /// What was published.
    pub package: PackageFigures,
    /// The exam.
    pub exam: ExamFigures,
    /// Every sync by name: `first`, `hand_in`, `nothing_new`, `changed`, `removed`.
    pub syncs: BTreeMap<&'static str, Summary>,
    /// The sync with nothing to do.
    pub second_sync: Traffic,
    /// Results on their way.
    pub results: ResultFigures,
    /// Takers who have another name since the second sync.
    pub changed_takers: usize,
    /// The taker who was taken away.
    pub removed: RemovedFigures,
    /// The org whose data is none of this school's business.
    pub other_org: OtherOrg,
    /// Entities of the school's org, on both sides.
    pub types: BTreeMap<EntityType, BothSides>,
    /// Whether both sides are equal: every sync said so, and all digests recomputed from what is stored are right.
    pub digest_equal: bool,
    /// What is not as it should be; empty when all is well.
    pub problems: Vec<String>,
    /// Wall time of everything.
    pub seconds: f64,
}

/// One server.
#[derive(Debug, Serialize)]
pub struct NodeFigures {
    /// Its directory.
    pub dir: PathBuf,
    /// Its address.
    pub url: Url,
}

/// What the imports brought.
#[derive(Debug, Default, Serialize)]
pub struct DataFigures {
    /// Organisations.
    pub orgs: usize,
    /// New entities by type.
    pub created: BTreeMap<EntityType, u64>,
    /// Wall time.
    pub seconds: f64,
}

/// What was published.
#[derive(Debug, Default, Serialize)]
pub struct PackageFigures {
    /// Labels.
    pub deliveries: Vec<String>,
    /// Files of the package.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Encrypted pieces that were new: the second delivery needs none.
    pub new_chunks: Vec<u64>,
    /// Wall time.
    pub seconds: f64,
}

/// What the pupils did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ExamFigures {
    /// Attempts from start to end.
    pub attempts: u64,
    /// Questions of the test.
    pub questions: u64,
    /// Variables saved.
    pub variables: u64,
    /// Pictures that were fetched to be shown.
    pub pictures: u64,
    /// Mean of the scores a machine can give.
    pub mean_score: f64,
    /// Requests of the test runner.
    pub requests: u64,
    /// Wall time.
    pub seconds: f64,
}

/// Requests and bytes of one sync.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Traffic {
    /// Requests.
    pub requests: u64,
    /// HTTP heads and bodies received.
    pub bytes_down: u64,
    /// HTTP heads and bodies sent.
    pub bytes_up: u64,
    /// On the socket, both ways.
    pub bytes_socket: u64,
    /// Wall time.
    pub seconds: f64,
}

/// Where the results are.
#[derive(Debug, Default, Serialize)]
pub struct ResultFigures {
    /// Finished at the school.
    pub finished: u64,
    /// Of these: confirmed by a receipt of central.
    pub acknowledged: u64,
    /// Of these: at central, exactly once and byte for byte the same.
    pub at_central: u64,
}

/// The taker who was taken away.
#[derive(Debug, Default, Serialize)]
pub struct RemovedFigures {
    /// Who.
    pub login: String,
    /// Whether they could sign in at the school before.
    pub could_sign_in: bool,
    /// Whether they still can.
    pub can_sign_in: bool,
}

/// What the school holds of somebody else.
#[derive(Debug, Default, Serialize)]
pub struct OtherOrg {
    /// The org.
    pub org: &'static str,
    /// Its takers at central.
    pub at_central: u64,
    /// Of these: at the school.
    pub at_local: u64,
}

/// One type on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BothSides {
    /// At central, in the school's org.
    pub central: i64,
    /// At the school.
    pub local: i64,
}

impl From<&Summary> for Traffic {
    fn from(summary: &Summary) -> Self {
        Self {
            requests: summary.requests,
            bytes_down: summary.bytes_down,
            bytes_up: summary.bytes_up,
            bytes_socket: summary.bytes_socket,
            seconds: summary.seconds,
        }
    }
}
