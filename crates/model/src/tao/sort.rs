//! The order PHP 8 gives a list. Its sort is stable, so for texts of one kind any stable sort gives the same. Where
//! numeric and other texts are mixed the comparison goes round in circles ("2" < "10" < "1a" < "2"), and the order is
//! what the steps make of it: insertion up to 16 values, beyond that a quicksort that leaves short parts to insertion.

use std::cmp::Ordering;

use super::number::{compare, number};

/// Up to so many values are sorted by insertion.
const INSERTION: usize = 16;
/// From so many values on the pivot is the median of five.
const MEDIAN_OF_FIVE: usize = 1024;

/// Sorts by PHP's standard comparison of the keys.
pub(super) fn sort_by_key<T>(list: &mut Vec<T>, key: impl Fn(&T) -> &str) {
    if list.iter().all(|item| number(key(item)).is_none()) {
        list.sort_by(|a, b| key(a).as_bytes().cmp(key(b).as_bytes()));
        return;
    }
    let is_after = |&a: &usize, &b: &usize| match compare(key(&list[a]), key(&list[b])) {
        Ordering::Equal => a > b,
        order => order.is_gt(),
    };
    let mut places: Vec<usize> = (0..list.len()).collect();
    sort(&mut places, &is_after);
    let mut taken: Vec<Option<T>> = std::mem::take(list).into_iter().map(Some).collect();
    list.extend(places.into_iter().filter_map(|place| taken[place].take()));
}

type IsAfter<'a> = dyn Fn(&usize, &usize) -> bool + 'a;

fn sort(list: &mut [usize], is_after: &IsAfter<'_>) {
    let mut rest = list;
    while rest.len() > INSERTION {
        let middle = partition(rest, is_after);
        let (before, after) = rest.split_at_mut(middle);
        let after = &mut after[1..];
        // The shorter part first, so that the depth stays small.
        let (short, long) = if before.len() < after.len() { (before, after) } else { (after, before) };
        sort(short, is_after);
        rest = long;
    }
    insert_all(rest, is_after);
}

/// Moves the pivot to its place, with what is not after it before, and says which place that is.
fn partition(list: &mut [usize], is_after: &IsAfter<'_>) -> usize {
    let (middle, last) = (list.len() / 2, list.len() - 1);
    if list.len() >= MEDIAN_OF_FIVE {
        let quarter = middle / 2;
        order_few(list, &[0, quarter, middle, middle + quarter, last], is_after);
    } else {
        order_few(list, &[0, middle, last], is_after);
    }
    list.swap(1, middle);
    let pivot = 1;
    let (mut low, mut high) = (pivot + 1, last);
    'walk: loop {
        while is_after(&list[pivot], &list[low]) {
            low += 1;
            if low == high {
                break 'walk;
            }
        }
        high -= 1;
        if high == low {
            break;
        }
        while is_after(&list[high], &list[pivot]) {
            high -= 1;
            if high == low {
                break 'walk;
            }
        }
        list.swap(low, high);
        low += 1;
        if low == high {
            break;
        }
    }
    list.swap(pivot, low - 1);
    low - 1
}

/// Puts what stands at these places into order.
fn order_few(list: &mut [usize], places: &[usize], is_after: &IsAfter<'_>) {
    if let &[a, b] = places {
        if is_after(&list[a], &list[b]) {
            list.swap(a, b);
        }
        return;
    }
    if let &[a, b, c] = places {
        order_three(list, [a, b, c], is_after);
        return;
    }
    let Some((&last, first)) = places.split_last() else { return };
    order_few(list, first, is_after);
    let mut from = last;
    for &place in first.iter().rev() {
        if !is_after(&list[place], &list[from]) {
            break;
        }
        list.swap(place, from);
        from = place;
    }
}

fn order_three(list: &mut [usize], [a, b, c]: [usize; 3], is_after: &IsAfter<'_>) {
    match (is_after(&list[a], &list[b]), is_after(&list[b], &list[c])) {
        (false, false) => {}
        (false, true) => {
            list.swap(b, c);
            if is_after(&list[a], &list[b]) {
                list.swap(a, b);
            }
        }
        (true, true) => list.swap(a, c),
        (true, false) => {
            list.swap(a, b);
            if is_after(&list[b], &list[c]) {
                list.swap(b, c);
            }
        }
    }
}

/// Insertion: the first six look back one by one, the others in steps of two.
fn insert_all(list: &mut [usize], is_after: &IsAfter<'_>) {
    const ONE_BY_ONE: usize = 6;
    if list.len() < ONE_BY_ONE {
        let places: Vec<usize> = (0..list.len()).collect();
        if places.len() > 1 {
            order_few(list, &places, is_after);
        }
        return;
    }
    for next in 1..list.len() {
        if !is_after(&list[next - 1], &list[next]) {
            continue;
        }
        let place = if next < ONE_BY_ONE {
            (0..next - 1).rev().find(|&at| !is_after(&list[at], &list[next])).map_or(0, |at| at + 1)
        } else {
            place_by_twos(list, next, is_after)
        };
        list[place..=next].rotate_right(1);
    }
}

/// Where `next` belongs; it is known to belong before its neighbour.
fn place_by_twos(list: &[usize], next: usize, is_after: &IsAfter<'_>) -> usize {
    let mut at = next - 1;
    loop {
        at -= 2;
        if !is_after(&list[at], &list[next]) {
            return if is_after(&list[at + 1], &list[next]) { at + 1 } else { at + 2 };
        }
        match at {
            0 => return 0,
            1 => return usize::from(is_after(&list[next], &list[0])),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(list: &[&str]) -> Vec<String> {
        let mut list: Vec<String> = list.iter().map(|&text| text.to_owned()).collect();
        sort_by_key(&mut list, |text| text);
        list
    }

    #[test]
    fn numbers_by_value_others_by_bytes() {
        assert_eq!(sorted(&["10", "9", "abc", "Abc"]), ["9", "10", "Abc", "abc"]);
        assert_eq!(sorted(&["x", "1", "01", "1.0"]), ["1", "01", "1.0", "x"], "equal numbers keep their order");
        assert_eq!(sorted(&["b", "A", "a", "Z", "é", "1", "01", "1.0"]), ["1", "01", "1.0", "A", "Z", "a", "b", "é"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Where the comparison is an order, the steps do not matter.
        #[test]
        fn numbers_come_out_in_their_order(values in proptest::collection::vec(0i64..50, 0..1500)) {
            let mut list: Vec<(String, usize)> =
                values.iter().enumerate().map(|(place, value)| (value.to_string(), place)).collect();
            let mut expected = list.clone();
            expected.sort_by_key(|(text, place)| (text.parse::<i64>().unwrap_or_default(), *place));
            sort_by_key(&mut list, |(text, _)| text);
            prop_assert_eq!(list, expected);
        }

        #[test]
        fn nothing_is_lost_where_there_is_no_order(list in proptest::collection::vec("[0-2a]{1,2}", 0..60)) {
            let mut after = list.clone();
            sort_by_key(&mut after, |text| text);
            after.sort();
            let mut before = list;
            before.sort();
            prop_assert_eq!(after, before);
        }
    }
}
