//! The Huffman codes that zlib and its relatives make for a block, and the bits in which they write them down. They
//! depend on how often each symbol occurs in the block and on nothing else, so they need not be kept.
//!
//! What decides ties is part of the result: the order of the heap, and the depth of what was joined before.

use super::bits::BitString;
use super::codes::{CODE_LENGTH_ORDER, CODE_LENGTHS, DISTANCES, END, LITERALS, codes, distance, length};
use super::{Step, Token};

/// Longest code of a symbol, and of a length in the header.
const LONGEST: usize = 15;
const LONGEST_OF_HEADER: usize = 7;

/// The codes of a block and the bits of its header, after the three that every block begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trees {
    pub(super) literals: Vec<u8>,
    pub(super) distances: Vec<u8>,
    pub(super) header: BitString,
}

impl Trees {
    /// What zlib makes for these tokens.
    pub(super) fn of(tokens: &[Token]) -> Self {
        let (mut literals, mut distances) = ([0u32; LITERALS], [0u32; DISTANCES]);
        literals[END] = 1;
        for token in tokens {
            match token.step() {
                Step::Literal(byte) => literals[usize::from(byte)] += 1,
                Step::Copy { length: long, distance: far } => {
                    literals[length(long).symbol] += 1;
                    distances[distance(far).symbol] += 1;
                }
            }
        }
        let (literals, distances) = (lengths(&literals, LONGEST), lengths(&distances, LONGEST));
        let header = header(&literals, &distances);
        Self { literals, distances, header }
    }
}

/// Lengths of codes for symbols that occur so often, up to the last one that has a code.
fn lengths(occurs: &[u32], longest: usize) -> Vec<u8> {
    let mut forest = Forest::new(occurs);
    forest.join();
    forest.lengths(longest)
}

/// Symbols on their way to one tree. Nodes above the symbols are joined pairs.
struct Forest {
    symbols: usize,
    /// The symbols from here on have no code.
    end: usize,
    occurs: Vec<u32>,
    depth: Vec<u32>,
    parent: Vec<usize>,
    /// A binary heap from index 1, the rarest node first.
    heap: Vec<usize>,
    /// Nodes in the order in which they left the heap, rarest first.
    left: Vec<usize>,
}

impl Forest {
    fn new(occurs: &[u32]) -> Self {
        let mut heap = vec![0];
        heap.extend((0..occurs.len()).filter(|symbol| occurs[*symbol] > 0));
        let mut end = heap.iter().skip(1).max().map_or(0, |last| last + 1);
        let mut occurs = occurs.to_vec();
        // The format wants a code, and zlib gives it two symbols at least.
        while heap.len() < 3 {
            let symbol = if end < 3 { end } else { 0 };
            end = end.max(symbol + 1);
            heap.push(symbol);
            occurs[symbol] = 1;
        }
        let symbols = occurs.len();
        let nodes = 2 * symbols;
        occurs.resize(nodes, 0);
        Self { symbols, end, occurs, depth: vec![0; nodes], parent: vec![0; nodes], heap, left: Vec::new() }
    }

    fn is_rarer(&self, one: usize, other: usize) -> bool {
        (self.occurs[one], self.depth[one]) <= (self.occurs[other], self.depth[other])
    }

    fn sink(&mut self, mut at: usize) {
        let node = self.heap[at];
        loop {
            let mut below = 2 * at;
            if below >= self.heap.len() {
                break;
            }
            if below + 1 < self.heap.len() && self.is_rarer(self.heap[below + 1], self.heap[below]) {
                below += 1;
            }
            if self.is_rarer(node, self.heap[below]) {
                break;
            }
            self.heap[at] = self.heap[below];
            at = below;
        }
        self.heap[at] = node;
    }

    fn join(&mut self) {
        for at in (1..=(self.heap.len() - 1) / 2).rev() {
            self.sink(at);
        }
        let mut pair = self.symbols;
        while self.heap.len() > 2 {
            let one = self.heap[1];
            let last = self.heap.len() - 1;
            self.heap.swap(1, last);
            self.heap.pop();
            self.sink(1);
            let other = self.heap[1];
            self.left.extend([one, other]);
            self.occurs[pair] = self.occurs[one] + self.occurs[other];
            self.depth[pair] = self.depth[one].max(self.depth[other]) + 1;
            (self.parent[one], self.parent[other]) = (pair, pair);
            self.heap[1] = pair;
            self.sink(1);
            pair += 1;
        }
        self.left.push(self.heap[1]);
    }

    fn lengths(&self, longest: usize) -> Vec<u8> {
        let mut lengths = vec![0usize; self.occurs.len()];
        let mut counts = vec![0usize; longest + 1];
        let mut too_long = 0i64;
        for node in self.left.iter().rev().skip(1) {
            let length = lengths[self.parent[*node]] + 1;
            too_long += i64::from(length > longest);
            lengths[*node] = length.min(longest);
            if *node < self.symbols {
                counts[lengths[*node]] += 1;
            }
        }
        if too_long > 0 {
            self.shorten(&mut lengths, counts, too_long);
        }
        lengths.truncate(self.end);
        lengths.into_iter().map(|length| length as u8).collect()
    }

    /// Where codes came out too long, others grow by one until all have room; the rarest get the longest.
    fn shorten(&self, lengths: &mut [usize], mut counts: Vec<usize>, mut too_long: i64) {
        let longest = counts.len() - 1;
        while too_long > 0 {
            let Some(length) = (1..longest).rev().find(|length| counts[*length] > 0) else { break };
            counts[length] -= 1;
            counts[length + 1] += 2;
            counts[longest] -= 1;
            too_long -= 2;
        }
        let mut symbols = self.left.iter().copied().filter(|node| *node < self.symbols);
        for length in (1..=longest).rev() {
            for symbol in symbols.by_ref().take(counts[length]) {
                lengths[symbol] = length;
            }
        }
    }
}

/// A part of the list of lengths: a length itself, or a repetition with its extra bits.
#[derive(Clone, Copy)]
struct Part {
    symbol: usize,
    extra: u32,
    extra_bits: u32,
}

fn header(literals: &[u8], distances: &[u8]) -> BitString {
    let parts: Vec<Part> = [parts(literals), parts(distances)].concat();
    let mut occurs = [0u32; CODE_LENGTHS];
    for part in &parts {
        occurs[part.symbol] += 1;
    }
    let mut lengths = lengths(&occurs, LONGEST_OF_HEADER);
    lengths.resize(CODE_LENGTHS, 0);
    let given = (4..=CODE_LENGTHS).rev().find(|given| lengths[CODE_LENGTH_ORDER[given - 1]] > 0).unwrap_or(4);
    let codes = codes(&lengths);
    let mut header = BitString::default();
    header.push((literals.len() - 257) as u32, 5);
    header.push((distances.len() - 1) as u32, 5);
    header.push((given - 4) as u32, 4);
    for symbol in &CODE_LENGTH_ORDER[..given] {
        header.push(u32::from(lengths[*symbol]), 3);
    }
    for part in parts {
        let (code, bits) = codes[part.symbol];
        header.push(code, bits);
        header.push(part.extra, part.extra_bits);
    }
    header
}

/// Runs of equal lengths, as zlib writes them.
fn parts(lengths: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut at, mut before) = (0, None);
    while at < lengths.len() {
        let length = lengths[at];
        let repeats = before == Some(length);
        // A run that is no repetition begins with the length itself.
        let most = match (length, repeats) {
            (0, _) => 138,
            (_, true) => 6,
            (_, false) => 7,
        };
        let run = lengths[at..].iter().take(most).take_while(|next| **next == length).count();
        let shortest = if length != 0 && !repeats { 4 } else { 3 };
        let itself = Part { symbol: usize::from(length), extra: 0, extra_bits: 0 };
        if run < shortest {
            parts.extend(std::iter::repeat_n(itself, run));
        } else if length != 0 {
            parts.extend((!repeats).then_some(itself));
            let more = run - usize::from(!repeats);
            parts.push(Part { symbol: 16, extra: (more - 3) as u32, extra_bits: 2 });
        } else if run <= 10 {
            parts.push(Part { symbol: 17, extra: (run - 3) as u32, extra_bits: 3 });
        } else {
            parts.push(Part { symbol: 18, extra: (run - 11) as u32, extra_bits: 7 });
        }
        (at, before) = (at + run, Some(length));
    }
    parts
}
