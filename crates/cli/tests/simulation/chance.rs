//! From a seed to a schedule: what happens is drawn here, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use taosync_model::{Entity, EntityType, Value, vocabulary as v};
use taosync_store::faults::Fault;
use taosync_sync::session::What;

use crate::CANARY;
use crate::dice::Dice;
use crate::line::LineFault;
use crate::schedule::{Beside, Edit, Ending, LOCALS, Moment, Reopen, Row, Schedule, Step, Trouble, Who, Wish, Word};

const TAKERS: usize = 14;
const CENTERS: usize = 5;
const ELIGIBILITIES: usize = 5;
const USERS: usize = 4;
const CLASSES: usize = 3;
pub const DELIVERIES: usize = 3;
const ORGS: [&str; 3] = ["A", "B", "C"];

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// The name of a thing; some are named before they exist.
pub fn uri(kind: &str, n: usize) -> String {
    format!("http://central.example/t.rdf#{kind}{n}")
}

/// The schedule of a seed.
pub fn schedule(seed: u64) -> Schedule {
    let mut chance = Chance { dice: Dice::new(seed.wrapping_mul(0x2545_F491_4F6C_DD1D)), enrolled: BTreeMap::new() };
    let beginning = chance.beginning();
    let mut steps = Vec::new();
    if !chance.dice.one_in(4) {
        steps.extend((0..2).map(|delivery| Step::Publish(delivery, 0, Trouble::Nothing)));
        steps.extend((0..LOCALS.len()).map(Step::Settle));
        let aside = chance.dice.below(4);
        if aside % 2 == 1 {
            steps.push(Step::Save(chance.one_of_two()));
        }
        if aside >= 2 {
            steps.push(Step::Backup(chance.one_of_two(), Trouble::Nothing));
        }
    }
    let number = 8 + chance.dice.below(18);
    while steps.len() < number {
        match chance.dice.below(60) {
            0 => steps.extend(chance.farewell()),
            1 => steps.extend(chance.exam_to_its_end()),
            _ => steps.push(chance.step()),
        }
    }
    Schedule { seed, beginning, steps }
}

/// Who is enrolled where, as far as the one who draws remembers.
struct Enrolment {
    centers: Vec<usize>,
    deliveries: Vec<usize>,
    takers: BTreeSet<usize>,
}

struct Chance {
    dice: Dice,
    enrolled: BTreeMap<usize, Enrolment>,
}

impl Chance {
    fn beginning(&mut self) -> Vec<Edit> {
        let mut edits: Vec<Edit> = (0..ORGS.len()).map(|n| center(n, &[ORGS[n]])).collect();
        for n in 0..ORGS.len() {
            let share = 1 + self.dice.below(4);
            let takers = self.some(TAKERS, share);
            let deliveries = [vec![0], vec![0, 1], vec![0, 2], vec![1]][self.dice.below(4)].clone();
            self.enrolled.insert(n, Enrolment { centers: vec![n], deliveries, takers });
        }
        edits.extend(self.enrolled.keys().map(|&n| self.eligibility(n)));
        let takers: BTreeSet<usize> = self.enrolled.values().flat_map(|e| e.takers.clone()).collect();
        edits.extend(takers.into_iter().map(|n| self.taker(n)).collect::<Vec<_>>());
        edits.extend((1..DELIVERIES).map(delivery));
        edits
    }

    fn step(&mut self) -> Step {
        match self.dice.below(100) {
            0..=13 => Step::Import(self.edits(), self.word(), self.trouble(Who::Central)),
            14 | 15 => Step::ImportFile(self.rows(), self.trouble(Who::Central)),
            16..=19 => {
                Step::Publish(self.dice.below(DELIVERIES), self.dice.below(3) as u32, self.trouble(Who::Central))
            }
            20 => Step::Withdraw(self.dice.below(DELIVERIES), self.trouble(Who::Central)),
            21 | 22 => Step::Save(self.one_of_two()),
            23..=25 => {
                let who = self.one_of_two();
                Step::Backup(who, self.trouble(who))
            }
            26..=39 => self.sit(),
            40..=42 => {
                let local = self.local();
                let ending = if self.dice.one_in(4) { Ending::Terminated } else { Ending::Finished };
                Step::End { local, nth: self.dice.below(4), ending, trouble: self.trouble(Who::Local(local)) }
            }
            43..=46 => {
                let local = self.local();
                let (nth, ending) = (self.dice.below(4), self.ending());
                Step::Again { local, nth, ending, trouble: self.trouble(Who::Local(local)) }
            }
            47..=80 => self.sync(),
            81 | 82 => Step::Chores(self.anyone()),
            83 => Step::Copy(self.local()),
            84 | 85 => Step::PutBack(self.one_of_two()),
            86 | 87 => {
                let death = if self.dice.one_in(2) { Some(self.instant()) } else { None };
                Step::Restore(self.one_of_two(), death)
            }
            88 | 89 => Step::Restart(self.anyone(), self.reopen()),
            90..=92 => Step::Clock(self.anyone(), self.jump()),
            _ => Step::Settle(self.local()),
        }
    }

    /// Many go, a few at a time: nobody is asked at central, and a local server that was not told each time asks.
    fn farewell(&mut self) -> Vec<Step> {
        let e = self.known_eligibility();
        let takers: Vec<usize> = self.enrolled.get(&e).into_iter().flat_map(|e| e.takers.iter().copied()).collect();
        let go = |few: &[usize]| few.iter().map(|n| Edit::Remove(uri("taker", *n))).collect();
        let few = takers.chunks(2).take(3).map(|few| Step::Import(go(few), Word::Missing, Trouble::Nothing));
        let local = LOCALS.iter().position(|orgs| orgs.contains(&ORGS[e])).unwrap_or_default();
        let wish = Wish { what: What::All, types: Vec::new(), accept: false, ..self.wish() };
        let sync = Step::Sync { local, wish, beside: Beside::Nothing, trouble: Trouble::Nothing };
        few.chain([sync]).collect()
    }

    /// Somebody sits a test, it is handed in, central is backed up, and the local server hears of it: what it hides there
    /// goes for good.
    fn exam_to_its_end(&mut self) -> [Step; 4] {
        let local = 1 + self.dice.below(2);
        let sit = Step::Sit { local, nth: self.dice.below(100), ending: Ending::Finished, trouble: Trouble::Nothing };
        [sit, Step::Settle(local), Step::Backup(Who::Central, Trouble::Nothing), Step::Settle(local)]
    }

    fn sit(&mut self) -> Step {
        let local = self.local();
        let (nth, ending) = (self.dice.below(100), self.ending());
        Step::Sit { local, nth, ending, trouble: self.trouble(Who::Local(local)) }
    }

    fn sync(&mut self) -> Step {
        let local = self.local();
        let wish = self.wish();
        let beside = match self.dice.below(16) {
            0 | 1 => Beside::Sync(self.wish()),
            2 => Beside::Import(self.edits(), self.word()),
            3 => Beside::ImportFile(self.rows()),
            4 => Beside::Backup(if self.dice.one_in(2) { Who::Central } else { Who::Local(local) }),
            _ => Beside::Nothing,
        };
        let trouble = match self.dice.below(10) {
            0..=4 => Trouble::Line(self.line_fault()),
            5 | 6 => {
                let who = if self.dice.one_in(2) { Who::Central } else { Who::Local(local) };
                Trouble::Death(who, self.moment(), self.reopen())
            }
            7 => {
                let who = if self.dice.one_in(2) { Who::Central } else { Who::Local(local) };
                Trouble::Disk(who, self.full_disk())
            }
            _ => Trouble::Nothing,
        };
        Step::Sync { local, wish, beside, trouble }
    }

    /// What may happen to a machine while somebody works on it.
    fn trouble(&mut self, who: Who) -> Trouble {
        match self.dice.below(10) {
            0 => Trouble::Death(who, self.moment(), self.reopen()),
            1 => Trouble::Disk(who, self.full_disk()),
            _ => Trouble::Nothing,
        }
    }

    fn wish(&mut self) -> Wish {
        let what = [What::All, What::All, What::All, What::Data, What::Results][self.dice.below(5)];
        let typed = what == What::Data && self.dice.one_in(2);
        Wish {
            what,
            types: if typed { vec![EntityType::SYNCED[self.dice.below(6)]] } else { Vec::new() },
            chunk_size: 1 + self.dice.below(20),
            items: 1 + self.dice.below(4) as u32,
            accept: self.dice.one_in(2),
            hide: self.dice.one_in(3),
        }
    }

    /// Small numbers of bytes hit a handshake, larger ones the data.
    fn line_fault(&mut self) -> LineFault {
        let bytes = |dice: &mut Dice| (1 << (5 + dice.below(10))) + dice.below(1 << 11) as u64;
        match self.dice.below(6) {
            0 => LineFault::DropRequest(self.dice.below(5) as u32),
            1 | 2 => LineFault::DropResponse(self.dice.below(5) as u32),
            3 => LineFault::CutUp(bytes(&mut self.dice)),
            4 => LineFault::CutDown(bytes(&mut self.dice)),
            _ => {
                let pause = Duration::from_millis(5 + self.dice.below(40) as u64);
                LineFault::SlowReader(bytes(&mut self.dice), pause)
            }
        }
    }

    fn full_disk(&mut self) -> Fault {
        if self.dice.one_in(2) {
            Fault::NoMorePages { left: self.dice.below(2) as u32 }
        } else {
            Fault::DiskFull { after: self.dice.below(8) as u32 }
        }
    }

    fn moment(&mut self) -> Moment {
        match self.dice.below(4) {
            0 => Moment::BeforeCommit(self.dice.below(9) as u32),
            1 => Moment::AfterCommit(self.dice.below(9) as u32),
            _ => Moment::After(self.instant()),
        }
    }

    fn instant(&mut self) -> Duration {
        Duration::from_micros(300 + self.dice.below(12_000) as u64)
    }

    fn word(&mut self) -> Word {
        if self.dice.one_in(2) { Word::Given } else { Word::Missing }
    }

    /// Some test takers, known or not.
    fn rows(&mut self) -> Vec<Row> {
        let takers = self.some(TAKERS, 4);
        takers.into_iter().map(|taker| Row { taker, revision: self.dice.below(4) }).collect()
    }

    fn reopen(&mut self) -> Reopen {
        if self.dice.one_in(2) { Reopen::SameFiles } else { Reopen::CopyOfFiles }
    }

    fn ending(&mut self) -> Ending {
        match self.dice.below(8) {
            0 => Ending::Terminated,
            1 => Ending::Open,
            _ => Ending::Finished,
        }
    }

    /// A local server; high numbers are copies, where there are any.
    fn local(&mut self) -> usize {
        let copies = if self.dice.one_in(6) { 2 } else { 0 };
        self.dice.below(LOCALS.len() + copies)
    }

    fn anyone(&mut self) -> Who {
        if self.dice.one_in(LOCALS.len() + 1) { Who::Central } else { Who::Local(self.local()) }
    }

    /// Central half of the time: there is one of it only.
    fn one_of_two(&mut self) -> Who {
        if self.dice.one_in(2) { Who::Central } else { Who::Local(self.local()) }
    }

    /// Where a clock may stand: hours, days or years off, in 1970 or in 2099; sometimes right again.
    fn jump(&mut self) -> i64 {
        let far = [0, -2 * HOUR, 2 * HOUR, -30 * HOUR, 49 * HOUR, -3 * YEAR, 5 * YEAR, -56 * YEAR, 72 * YEAR];
        far[self.dice.below(far.len())]
    }

    /// One to six changes that go together.
    fn edits(&mut self) -> Vec<Edit> {
        let mut edits = Vec::new();
        for _ in 0..=self.dice.below(6) {
            self.edit(&mut edits);
        }
        edits
    }

    fn edit(&mut self, edits: &mut Vec<Edit>) {
        match self.dice.below(20) {
            // A center appears, changes its org, or belongs to several.
            0 | 1 => {
                let orgs: Vec<&str> = ORGS.into_iter().filter(|_| self.dice.one_in(2)).collect();
                edits.push(center(self.dice.below(CENTERS), &orgs));
            }
            // Test takers come to an eligibility.
            2..=5 => {
                let e = self.known_eligibility();
                let new = self.some(TAKERS, 4);
                self.enrolled.entry(e).or_insert_with(Enrolment::empty).takers.extend(&new);
                edits.push(self.eligibility(e));
                edits.extend(new.into_iter().map(|n| self.taker(n)).collect::<Vec<_>>());
            }
            // One moves to another eligibility, and perhaps to another org.
            6..=9 => {
                let (from, to) = (self.known_eligibility(), self.known_eligibility());
                let Some(&n) = self.enrolled.get(&from).and_then(|e| e.takers.first()) else { return };
                self.enrolled.entry(from).or_insert_with(Enrolment::empty).takers.remove(&n);
                self.enrolled.entry(to).or_insert_with(Enrolment::empty).takers.insert(n);
                edits.extend([self.eligibility(from), self.eligibility(to)]);
                edits.push(self.taker(n));
            }
            // An eligibility speaks of other centers and deliveries.
            10 => {
                let e = self.dice.below(ELIGIBILITIES);
                let centers = self.some(CENTERS, 3).into_iter().collect();
                let deliveries = self.some(DELIVERIES, 2).into_iter().collect();
                let takers = self.some(TAKERS, 4);
                self.enrolled.insert(e, Enrolment { centers, deliveries, takers });
                edits.push(self.eligibility(e));
            }
            11 | 12 => edits.push(self.taker_of_chance()),
            13 => edits.push(self.user()),
            14 => edits.push(Edit::Label(
                uri("delivery", self.dice.below(DELIVERIES)),
                format!("Test {}", self.dice.below(9)),
            )),
            15 => {
                let n = self.dice.below(CLASSES);
                let parent =
                    if self.dice.one_in(3) { v::CLASS_SUBJECT.into() } else { uri("class", self.dice.below(CLASSES)) };
                edits.push(Edit::Put(
                    EntityType::Class,
                    Entity::new(uri("class", n), v::RDFS_CLASS).with(v::RDFS_SUB_CLASS_OF, parent),
                ));
            }
            16 => {
                let kind = ["center", "user", "eligibility", "class"][self.dice.below(4)];
                edits.push(Edit::Remove(uri(kind, self.dice.below(5))));
            }
            _ => edits.push(Edit::Remove(uri("taker", self.dice.below(TAKERS)))),
        }
    }

    fn known_eligibility(&mut self) -> usize {
        self.dice.below(ORGS.len())
    }

    /// Of so many, each with a chance of one in `chances`.
    fn some(&mut self, count: usize, chances: usize) -> BTreeSet<usize> {
        (0..count).filter(|_| self.dice.one_in(chances)).collect()
    }

    fn eligibility(&self, n: usize) -> Edit {
        let mut entity =
            Entity::new(uri("eligibility", n), v::CLASS_ELIGIBILITY).with(v::RDFS_LABEL, format!("Eligibility {n}"));
        if let Some(enrolment) = self.enrolled.get(&n) {
            for (predicate, kind, numbers) in [
                (v::ELIGIBLE_TEST_CENTER, "center", enrolment.centers.iter().collect::<Vec<_>>()),
                (v::ELIGIBLE_DELIVERY, "delivery", enrolment.deliveries.iter().collect()),
                (v::ELIGIBLE_TEST_TAKER, "taker", enrolment.takers.iter().collect()),
            ] {
                for &n in numbers {
                    entity.push(predicate, Value::plain(uri(kind, n)));
                }
            }
        }
        Edit::Put(EntityType::Eligibility, entity)
    }

    fn taker(&mut self, n: usize) -> Edit {
        let revision = self.dice.below(4);
        let mut entity = person("taker", n, v::CLASS_SUBJECT, revision).with(v::USER_ROLES, v::ROLE_TEST_TAKER);
        if self.dice.one_in(3) {
            entity.class = uri("class", self.dice.below(CLASSES));
        }
        for (e, _) in self.enrolled.iter().filter(|(_, enrolment)| enrolment.takers.contains(&n)) {
            entity.push(v::USER_ASSIGNMENT, Value::plain(uri("eligibility", *e)));
        }
        if self.dice.one_in(25) {
            // Around the length from which on a list travels value by value.
            for note in 0..250 + self.dice.below(15) {
                entity.push(&uri("notes", 0), Value::plain(format!("{CANARY} note {note}")));
            }
        }
        Edit::Put(EntityType::TestTaker, entity)
    }

    fn taker_of_chance(&mut self) -> Edit {
        let n = self.dice.below(TAKERS);
        self.taker(n)
    }

    fn user(&mut self) -> Edit {
        let n = self.dice.below(USERS);
        let entity_type = [EntityType::Administrator, EntityType::Proctor][self.dice.below(2)];
        let mut entity = person("user", n, v::CLASS_TAO_USER, self.dice.below(4));
        for predicate in [v::ADMINISTRATOR_OF, v::ASSIGNED_PROCTOR, v::AUTHORIZED_PROCTOR] {
            for center in self.some(CENTERS, 3) {
                entity.push(predicate, Value::plain(uri("center", center)));
            }
        }
        Edit::Put(entity_type, entity)
    }
}

impl Enrolment {
    const fn empty() -> Self {
        Self { centers: Vec::new(), deliveries: Vec::new(), takers: BTreeSet::new() }
    }
}

fn center(n: usize, orgs: &[&str]) -> Edit {
    let mut entity = Entity::new(uri("center", n), v::CLASS_TEST_CENTER).with(v::RDFS_LABEL, format!("Center {n}"));
    for org in orgs {
        entity.push(v::ORGANISATION_ID, Value::plain(*org));
    }
    Edit::Put(EntityType::TestCenter, entity)
}

fn delivery(n: usize) -> Edit {
    Edit::Put(
        EntityType::Delivery,
        Entity::new(uri("delivery", n), v::CLASS_DELIVERY).with(v::RDFS_LABEL, format!("Test {n}")),
    )
}

fn person(kind: &str, n: usize, class: &str, revision: usize) -> Entity {
    Entity::new(uri(kind, n), class)
        .with(v::RDFS_LABEL, format!("{CANARY} {kind} {n} called {revision}"))
        .with(v::USER_LOGIN, format!("{CANARY}-{kind}{n}"))
        .with(v::USER_FIRST_NAME, format!("{CANARY} {n}"))
        .with(v::USER_MAIL, format!("{CANARY}{n}@school.example"))
        .with(v::USER_PASSWORD, format!("{CANARY}{}", taosync_model::Digest::of(&n.to_le_bytes()).to_hex()))
}
