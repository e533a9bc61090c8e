use super::*;
use proptest::prelude::*;

/// A machine as its disk has it.
#[derive(Clone, Debug, Default)]
struct Machine {
    count: u64,
    have: Option<String>,
    next: Option<String>,
    claim: Claim,
}

/// Words that nobody chose before.
#[derive(Default)]
struct Words(u64);

impl Words {
    fn fresh(&mut self) -> String {
        self.0 += 1;
        format!("w{}", self.0)
    }
}

/// Where a sync is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Nowhere,
    /// The request never arrived.
    BeforeCentral,
    /// The answer never arrived, or the machine was killed before it wrote it down.
    BeforeLocal,
}

impl Machine {
    fn sync(&mut self, central: &mut Memory, words: &mut Words, cut: Cut) -> Option<Judgement> {
        self.next.get_or_insert_with(|| words.fresh());
        let Self { count, have, next, claim } = self.clone();
        let shown: Shown = Shown { count, have, next, claim }.to_string().parse().unwrap();
        if cut == Cut::BeforeCentral {
            return None;
        }
        let judgement = central.judge(&shown);
        if matches!(judgement, Judgement::Follows | Judgement::Claimed) {
            *central = central.after(&shown);
        }
        let is_good = matches!(judgement, Judgement::Follows | Judgement::Claimed | Judgement::Repeated);
        if is_good && cut == Cut::Nowhere {
            *self = Self { count: central.count(), have: self.next.take(), next: None, claim: Claim::None };
        }
        Some(judgement)
    }

    fn meets(&mut self, central: &mut Memory, words: &mut Words) -> Judgement {
        self.sync(central, words, Cut::Nowhere).unwrap()
    }
}

#[test]
fn copies_that_alternate_are_found_at_the_first_sync_of_the_second() {
    let (mut central, mut words) = (Memory::Nothing, Words::default());
    let mut first = Machine::default();
    for _ in 0..3 {
        assert_eq!(first.meets(&mut central, &mut words), Judgement::Follows);
    }
    let mut copy = first.clone();
    assert_eq!(first.meets(&mut central, &mut words), Judgement::Follows);
    assert_eq!(copy.meets(&mut central, &mut words), Judgement::Copied);
    assert_eq!(first.meets(&mut central, &mut words), Judgement::Follows, "the one that went on is not disturbed");
    assert_eq!(copy.meets(&mut central, &mut words), Judgement::Old);
}

#[test]
fn an_adopted_machine_goes_on_and_the_other_one_is_found() {
    let (mut central, mut words) = (Memory::Nothing, Words::default());
    let mut machine = Machine::default();
    machine.meets(&mut central, &mut words);
    let mut restored = machine.clone();
    for _ in 0..5 {
        machine.meets(&mut central, &mut words);
    }
    assert_eq!(restored.meets(&mut central, &mut words), Judgement::Old);
    restored.claim = Claim::Adopted;
    assert_eq!(restored.sync(&mut central, &mut words, Cut::BeforeLocal), Some(Judgement::Claimed));
    assert_eq!(restored.meets(&mut central, &mut words), Judgement::Repeated, "its answer was lost");
    assert_eq!(restored.meets(&mut central, &mut words), Judgement::Follows);
    assert!(matches!(machine.meets(&mut central, &mut words), Judgement::Copied | Judgement::Old));
}

#[test]
fn a_central_that_went_back_is_behind_every_machine_that_synced_since() {
    let (mut central, mut words) = (Memory::Nothing, Words::default());
    let mut machine = Machine::default();
    let (before_all, _) = (central.clone(), machine.meets(&mut central, &mut words));
    let yesterday = central.clone();
    machine.meets(&mut central, &mut words);
    for restored in [before_all, yesterday] {
        let (mut central, mut machine) = (restored, machine.clone());
        assert_eq!(machine.meets(&mut central, &mut words), Judgement::CentralWentBack);
        machine.claim = Claim::CentralWentBack;
        assert_eq!(machine.meets(&mut central, &mut words), Judgement::Claimed);
        assert_eq!(machine.meets(&mut central, &mut words), Judgement::Follows);
    }
    assert_eq!(machine.meets(&mut Memory::Open, &mut words), Judgement::Follows, "a person said so");
}

#[test]
fn looking_changes_nothing() {
    let central = Memory::Step { count: 4, current: "d".into() };
    let look: Shown = "4.d.".parse().unwrap();
    assert_eq!((central.judge(&look), central.after(&look)), (Judgement::Follows, central.clone()));
    assert_eq!(central.judge(&"4.x.".parse().unwrap()), Judgement::Copied);
    assert_eq!(central.judge(&Shown::default()), Judgement::Old, "who shows nothing is not the one that is known");
}

#[test]
fn what_is_not_a_continuation_is_refused() {
    for text in [
        "",
        "1",
        "1.a",
        "+1.a.b",
        "-1.a.b",
        "1.a.b.c",
        "1.a.b.adopted.x",
        "1.ä.b",
        "1.a b.c",
        "99999999999999999999.a.b",
    ] {
        assert_eq!(text.parse::<Shown>(), Err(Malformed), "{text}");
    }
    assert_eq!(format!("1.a.{}", "x".repeat(44)).parse::<Shown>(), Err(Malformed));
    let adopted: Shown = "7.a.b.adopted".parse().unwrap();
    assert_eq!((adopted.claim, adopted.to_string().as_str()), (Claim::Adopted, "7.a.b.adopted"));
}

proptest! {
    /// One machine, however often it is interrupted, is never taken for another one; a copy always is, at its first
    /// sync after the machine has had one.
    #[test]
    fn interruptions_are_forgiven_and_copies_are_not(cuts in proptest::collection::vec(0..3_u8, 1..40)) {
        let (mut central, mut words) = (Memory::Nothing, Words::default());
        let mut machine = Machine::default();
        for cut in cuts {
            let copy = machine.next.is_none().then(|| machine.clone());
            let cut = [Cut::Nowhere, Cut::BeforeCentral, Cut::BeforeLocal][usize::from(cut)];
            let judgement = machine.sync(&mut central, &mut words, cut);
            prop_assert!(matches!(judgement, None | Some(Judgement::Follows | Judgement::Repeated)), "{judgement:?}");
            if let (Some(mut copy), Some(_)) = (copy, judgement) {
                let judgement = copy.sync(&mut central.clone(), &mut words, Cut::Nowhere).unwrap();
                prop_assert!(matches!(judgement, Judgement::Copied | Judgement::Old), "{judgement:?}");
            }
        }
    }
}
