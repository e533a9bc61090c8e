use proptest::prelude::*;
use taosync_model::{Digest, EntityType};

use super::*;

fn item(n: u32, version: u8) -> SetItem {
    let uri = format!("http://example.org/#{n}");
    SetItem::entity(EntityType::TestTaker, &uri, Digest::of(format!("{uri} {version}").as_bytes()))
}

fn items(numbers: impl IntoIterator<Item = u32>) -> Vec<SetItem> {
    numbers.into_iter().map(|n| item(n, 0)).collect()
}

fn ids(items: &[SetItem]) -> HashSet<[u8; 32]> {
    items.iter().map(|i| i.id).collect()
}

/// Rounds until both sides know; says how many, and bytes both ways.
fn run(here: &[SetItem], there: &[SetItem]) -> (Reconciliation, usize, usize) {
    let (mut local, mut message) = Reconciliation::begin(here.to_vec()).unwrap();
    let (mut rounds, mut bytes) = (0, 0);
    loop {
        let answer = reply(there.to_vec(), &message).unwrap();
        assert!(message.len() <= MAX_MESSAGE && answer.len() <= MAX_MESSAGE);
        rounds += 1;
        bytes += message.len() + answer.len();
        assert!(rounds < 100, "it must come to an end");
        match local.step(&answer).unwrap() {
            Some(next) => message = next,
            None => return (local, rounds, bytes),
        }
    }
}

fn assert_exact(here: &[SetItem], there: &[SetItem]) -> (usize, usize) {
    let (found, rounds, bytes) = run(here, there);
    let (a, b) = (ids(here), ids(there));
    assert_eq!(found.here, a.difference(&b).copied().collect());
    assert_eq!(found.there, b.difference(&a).copied().collect());
    (rounds, bytes)
}

#[test]
fn few_differences_of_many_cost_little() {
    let all = items(0..100_000);
    let mut changed = all.clone();
    for n in (0..100_000_u32).step_by(1_000) {
        changed[n as usize] = item(n, 1);
    }
    let (rounds, bytes) = assert_exact(&all, &changed);
    println!("100 changed of 100000: {rounds} rounds, {bytes} bytes");
    assert!(rounds <= 4 && bytes < 150 * 1024, "{rounds} rounds, {bytes} bytes");
    let (rounds, bytes) = assert_exact(&all, &all);
    assert!(rounds == 1 && bytes < 1_024, "{rounds} rounds, {bytes} bytes");
}

#[test]
fn the_ends_of_the_range_are_compared_too() {
    assert_exact(&[], &[]);
    assert_exact(&items(0..50), &[]);
    assert_exact(&[], &items(0..50));
    assert_exact(&items(0..3), &items(2..4));
    assert_exact(&items(0..30_000), &items(30_000..60_000));
}

#[test]
fn a_message_is_taken_up_to_its_limit_and_not_beyond() {
    assert_eq!(reply(items(0..10), &vec![0x61; MAX_MESSAGE + 1]), Err(Broken::TooLong));
    let (mut local, _) = Reconciliation::begin(items(0..10)).unwrap();
    assert_eq!(local.step(&vec![0x61; MAX_MESSAGE + 1]), Err(Broken::TooLong));
    // Skips of nothing, as many as fit.
    let mut longest = vec![0x61];
    longest.resize(MAX_MESSAGE - (MAX_MESSAGE - 1) % 3, 1);
    for skip in longest[1..].chunks_mut(3) {
        skip.copy_from_slice(&[1, 0, 0]);
    }
    assert!(longest.len() > MAX_MESSAGE - 3);
    assert!(reply(items(0..10), &longest).is_ok());
}

#[test]
fn a_list_that_announces_more_than_it_has_is_refused() {
    let lie = [0x61, 0x00, 0x00, 0x02, 0xc0, 0x80, 0x80, 0x80, 0x00];
    assert_eq!(reply(items(0..10), &lie), Err(Broken::Message));
    let (mut local, _) = Reconciliation::begin(items(0..10)).unwrap();
    assert_eq!(local.step(&lie), Err(Broken::Message));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_two_sets_are_told_apart(
        here in proptest::collection::btree_set(0..2_000_u32, 0..400),
        there in proptest::collection::btree_set(0..2_000_u32, 0..400),
    ) {
        assert_exact(&items(here), &items(there));
    }

    #[test]
    fn random_messages_are_answered_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let message: Vec<u8> = std::iter::once(0x61).chain(bytes).collect();
        if let Ok(answer) = reply(items(0..200), &message) {
            prop_assert!(answer.len() <= MAX_MESSAGE);
        }
        let (mut local, _) = Reconciliation::begin(items(0..200)).unwrap();
        if let Ok(Some(next)) = local.step(&message) {
            prop_assert!(next.len() <= MAX_MESSAGE);
        }
    }

    #[test]
    fn mutated_messages_never_hurt(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let (mut local, mut message) = Reconciliation::begin(items(0..500)).unwrap();
        for _ in 0..6 {
            for (index, byte) in &flips {
                let place = index.index(message.len());
                message[place] ^= byte;
            }
            let Ok(mut answer) = reply(items(250..750), &message) else { return Ok(()) };
            prop_assert!(answer.len() <= MAX_MESSAGE);
            let place = flips[0].0.index(answer.len());
            answer[place] ^= flips[0].1;
            match local.step(&answer) {
                Ok(Some(next)) => message = next,
                _ => return Ok(()),
            }
        }
    }
}
