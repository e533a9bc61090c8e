//! Merkle trees (RFC 9162 §2.1, with BLAKE3): one signature over the root covers a batch, and each leaf can be shown with
//! the hashes beside its way up, without the others.

use taosync_model::Digest;

/// Put before what is hashed, so that a leaf can never be taken for a node (RFC 9162 §2.1.1).
const LEAF: u8 = 0;
const NODE: u8 = 1;

/// The hash of a leaf.
pub(crate) fn leaf(bytes: &[u8]) -> Digest {
    hash(LEAF, &[bytes])
}

/// The root over leaves; none without any.
pub(crate) fn root(leaves: &[Digest]) -> Option<Digest> {
    match leaves {
        [] => None,
        [leaf] => Some(*leaf),
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            Some(node(&root(left)?, &root(right)?))
        }
    }
}

/// The hashes beside the way of a leaf to the root, from the leaf up; none when there is no such leaf.
pub(crate) fn path(leaves: &[Digest], leaf: usize) -> Option<Vec<Digest>> {
    if leaf >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, beside) = if leaf < left.len() {
        (path(left, leaf)?, root(right)?)
    } else {
        (path(right, leaf - left.len())?, root(left)?)
    };
    path.push(beside);
    Some(path)
}

/// The root over leaves, and for each the hashes beside its way up; none without any.
pub(crate) fn root_and_paths(leaves: &[Digest]) -> Option<(Digest, Vec<Vec<Digest>>)> {
    if leaves.is_empty() {
        return None;
    }
    let mut paths = vec![Vec::new(); leaves.len()];
    let root = grow(leaves, &mut paths);
    Some((root, paths))
}

/// The root that a path leads to from the leaf in place `leaf` of `of`; none when there is no such way.
pub(crate) fn climb(from: Digest, leaf: usize, of: usize, path: &[Digest]) -> Option<Digest> {
    let Some((beside, below)) = path.split_last() else { return (leaf == 0 && of == 1).then_some(from) };
    if leaf >= of || of < 2 {
        return None;
    }
    let left = split(of);
    if leaf < left {
        Some(node(&climb(from, leaf, left, below)?, beside))
    } else {
        Some(node(beside, &climb(from, leaf - left, of - left, below)?))
    }
}

fn grow(leaves: &[Digest], paths: &mut [Vec<Digest>]) -> Digest {
    if let [leaf] = leaves {
        return *leaf;
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (left_paths, right_paths) = paths.split_at_mut(left.len());
    let (left, right) = (grow(left, left_paths), grow(right, right_paths));
    for path in left_paths {
        path.push(right);
    }
    for path in right_paths {
        path.push(left);
    }
    node(&left, &right)
}

/// Leaves on the left: the largest power of two below `of`, which is at least 2.
fn split(of: usize) -> usize {
    1 << (of - 1).ilog2()
}

fn node(left: &Digest, right: &Digest) -> Digest {
    hash(NODE, &[&left.0, &right.0])
}

fn hash(kind: u8, parts: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]);
    for part in parts {
        hasher.update(part);
    }
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_that_of_rfc_9162() {
        // RFC 9162 §2.1.5: seven leaves; the way of the fourth is the third, the pair before, and the right half.
        let leaves: Vec<Digest> = (0u8..7).map(|n| leaf(&[n])).collect();
        let (root, paths) = root_and_paths(&leaves).unwrap();
        let pair = |left: usize| node(&leaves[left], &leaves[left + 1]);
        let (first_half, second_half) = (node(&pair(0), &pair(2)), node(&pair(4), &leaves[6]));
        assert_eq!(root, node(&first_half, &second_half));
        assert_eq!(paths[3], [leaves[2], pair(0), second_half]);
        assert_eq!(paths[6], [pair(4), first_half]);
    }

    #[test]
    fn every_leaf_climbs_to_the_root_from_its_own_place_only() {
        assert!(root(&[]).is_none() && root_and_paths(&[]).is_none());
        for count in 1..20_u8 {
            let leaves: Vec<Digest> = (0..count).map(|n| leaf(&[n])).collect();
            let (top, paths) = root_and_paths(&leaves).unwrap();
            assert_eq!(root(&leaves), Some(top));
            for (place, way) in paths.iter().enumerate() {
                assert_eq!(path(&leaves, place).as_ref(), Some(way));
                let of = leaves.len();
                assert_eq!(climb(leaves[place], place, of, way), Some(top));
                assert_ne!(climb(leaves[place], (place + 1) % of, of, way), Some(top).filter(|_| of > 1));
                assert_ne!(climb(leaf(b"other"), place, of, way), Some(top));
            }
            assert_eq!(path(&leaves, leaves.len()), None);
        }
    }
}
