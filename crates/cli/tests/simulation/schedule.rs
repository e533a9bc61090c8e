//! What is going to happen: a plain value, made from a seed, printed when it ends badly, cut down to find the cause.

use std::fmt;
use std::time::Duration;

use taosync_model::{Entity, EntityType, vocabulary as v};
use taosync_store::faults::Fault;
use taosync_sync::session::What;

use crate::line::LineFault;

/// The orgs of each local server: two serve the same one, one serves two. Copies come after them.
pub const LOCALS: [&[&str]; 3] = [&["A"], &["A"], &["B", "C"]];

/// Everything that happens.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub seed: u64,
    /// What central is told before anybody syncs.
    pub beginning: Vec<Edit>,
    pub steps: Vec<Step>,
}

/// One change of what is true.
#[derive(Clone)]
pub enum Edit {
    /// The entity is of this type (too) and looks like this.
    Put(EntityType, Entity),
    /// An entity, if it is there, gets another label.
    Label(String, String),
    /// An entity goes.
    Remove(String),
}

/// What a person says to the removal of a large part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is meant.
    Given,
    /// Nobody was asked: nothing may change.
    Missing,
}

/// A line of a file of test takers.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub taker: usize,
    pub revision: usize,
}

/// Something somebody does, and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub enum Step {
    /// Central is told something, all in one go.
    Import(Vec<Edit>, Word, Trouble),
    /// Test takers are brought in from a file.
    ImportFile(Vec<Row>, Trouble),
    /// A test comes out, or a new edition of it.
    Publish(usize, u32, Trouble),
    /// A test is taken back.
    Withdraw(usize, Trouble),
    /// A test taker sits a test; counted among those who may, as central was told.
    Sit { local: usize, nth: usize, ending: Ending, trouble: Trouble },
    /// An attempt that is open ends; counted among the open ones.
    End { local: usize, nth: usize, ending: Ending, trouble: Trouble },
    /// An attempt that is over goes on and ends again; counted among those that are over.
    Again { local: usize, nth: usize, ending: Ending, trouble: Trouble },
    /// A local server syncs, and something else happens at the same time.
    Sync { local: usize, wish: Wish, beside: Beside, trouble: Trouble },
    /// A machine goes off and on.
    Restart(Who, Reopen),
    /// What a running server does now and then; at central, removals are forgotten at once.
    Chores(Who),
    /// A picture of a machine's disk is put aside.
    Save(Who),
    /// A backup of a machine is made while it works.
    Backup(Who, Trouble),
    /// A machine is made again from the newest backup of it; without one, another. After so long, if it takes so long, it
    /// is interrupted and done again.
    Restore(Who, Option<Duration>),
    /// A machine goes on from the picture that was put aside, as if nothing had happened since; without one, another.
    PutBack(Who),
    /// A second machine with the directory of a local server is switched on.
    Copy(usize),
    /// A clock jumps by so many seconds.
    Clock(Who, i64),
    /// Everything is mended, and a sync of this local server must bring it level.
    Settle(usize),
}

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Central,
    Local(usize),
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Finished,
    Terminated,
    /// It stays open.
    Open,
}

/// A sync as somebody wants it.
#[derive(Clone, Debug)]
pub struct Wish {
    pub what: What,
    pub types: Vec<EntityType>,
    pub chunk_size: usize,
    /// Items handed in at once.
    pub items: u32,
    /// Large removals are agreed to.
    pub accept: bool,
    /// What central confirmed is hidden here.
    pub hide: bool,
}

/// What happens while a sync runs.
#[derive(Clone, Debug)]
pub enum Beside {
    Nothing,
    /// Another sync of the same local server.
    Sync(Wish),
    /// An import at central.
    Import(Vec<Edit>, Word),
    /// Test takers are brought in from a file at central.
    ImportFile(Vec<Row>),
    /// A backup is made.
    Backup(Who),
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Trouble {
    Nothing,
    /// The line between local and central.
    Line(LineFault),
    /// A machine dies, and is started again.
    Death(Who, Moment, Reopen),
    /// A disk is full.
    Disk(Who, Fault),
}

/// When a machine dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After a time.
    After(Duration),
    /// Before a commit; so many work.
    BeforeCommit(u32),
    /// Right after a commit.
    AfterCommit(u32),
}

/// What a machine finds when it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopen {
    /// Its directory.
    SameFiles,
    /// Its files as they were on the disk at the moment it died, nothing closed or tidied up.
    CopyOfFiles,
}

impl Edit {
    /// What it is about.
    pub fn uri(&self) -> &str {
        match self {
            Self::Put(_, entity) => &entity.uri,
            Self::Label(uri, _) | Self::Remove(uri) => uri,
        }
    }
}

impl Step {
    /// Its kind, for the summary.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Import(..) => "import",
            Self::ImportFile(..) => "import file",
            Self::Backup(..) => "backup",
            Self::Restore(..) => "restore",
            Self::Publish(..) => "publish",
            Self::Withdraw(..) => "withdraw",
            Self::Sit { .. } => "sit",
            Self::End { .. } => "end",
            Self::Again { .. } => "reactivate",
            Self::Sync { wish, .. } => match wish.what {
                What::All if wish.types.is_empty() => "sync all",
                What::All | What::Data => "sync data",
                What::Results => "sync results",
            },
            Self::Restart(..) => "restart",
            Self::Chores(_) => "chores",
            Self::Save(_) => "save",
            Self::PutBack(_) => "put back",
            Self::Copy(_) => "copy",
            Self::Clock(..) => "clock",
            Self::Settle(_) => "settle",
        }
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |uri: &str| uri.rsplit_once('#').map_or(uri, |(_, name)| name).to_owned();
        match self {
            Self::Remove(uri) => write!(f, "-{}", short(uri)),
            Self::Label(uri, label) => write!(f, "{}={label:?}", short(uri)),
            Self::Put(entity_type, entity) => {
                write!(f, "+{}({entity_type}", short(&entity.uri))?;
                let dull = [v::USER_LOGIN, v::USER_FIRST_NAME, v::USER_MAIL, v::USER_PASSWORD, v::USER_ROLES];
                for property in entity.properties.iter().filter(|p| !dull.contains(&p.predicate.as_str())) {
                    let values: Vec<String> = property.values.iter().take(12).map(|v| short(&v.text)).collect();
                    let more = if property.values.len() > 12 { "…" } else { "" };
                    write!(f, " {}:[{}{more}]", short(&property.predicate), values.join(","))?;
                }
                write!(f, ")")
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "schedule {} of {} steps; in the beginning {:?}", self.seed, self.steps.len(), self.beginning)?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {number:>2} {step:?}")?;
        }
        Ok(())
    }
}
