//! What a cell refers to.

use std::collections::HashSet;

use super::Planner;
use crate::lookup::{Found, FoundEntity, Target, is_uri};
use crate::problem::quoted;

/// Candidates named in a message.
const SHOWN: usize = 5;

/// Where a reference stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: &'static str,
    /// Position in a list, from 1.
    pub(super) entry: Option<usize>,
}

/// Everything a text may refer to, each thing once.
pub(super) fn candidates<'f>(found: &'f Found, target: Target, text: &str) -> Vec<&'f FoundEntity> {
    let mut seen = HashSet::new();
    let all = target.lookups(text).flat_map(|lookup| found.get(&lookup));
    all.filter(|entity| seen.insert(entity.entity.uri.as_str())).collect()
}

impl<'f> Planner<'f> {
    /// The one thing a text refers to; otherwise a problem is noted.
    pub(super) fn resolve(&mut self, target: Target, text: &str, place: Place) -> Option<&'f FoundEntity> {
        let list = candidates(self.found, target, text);
        if let [one] = list.as_slice() {
            return Some(one);
        }
        let uris: Vec<&str> = list.iter().map(|f| f.entity.uri.as_str()).collect();
        self.unresolved(target, text, place, &uris);
        None
    }

    /// Every entry of a list that refers to one thing; problems for the others.
    pub(super) fn resolve_list(
        &mut self,
        target: Target,
        texts: &[String],
        line: u64,
        column: &'static str,
    ) -> Vec<&'f FoundEntity> {
        let place = |at: usize| Place { line, column, entry: Some(at + 1) };
        texts.iter().enumerate().filter_map(|(at, text)| self.resolve(target, text, place(at))).collect()
    }

    /// Notes that a text refers to nothing, or to several things.
    pub(super) fn unresolved(&mut self, target: Target, text: &str, place: Place, uris: &[&str]) {
        let (thing, names) = target.words();
        let entry = place.entry.map_or_else(String::new, |at| format!("entry {at}: "));
        let shown = if target.is_person() && !is_uri(text) { "this".to_owned() } else { quoted(text) };
        let (message, advice) = if uris.is_empty() {
            let message = format!("{entry}no {thing} has {shown} as {names}");
            (message, format!("correct it, or bring in the {thing} first"))
        } else {
            let more = if uris.len() > SHOWN { ", …" } else { "" };
            let some = uris[..uris.len().min(SHOWN)].join(", ");
            (format!("{entry}{shown} means several: {some}{more}"), format!("give the URI of the {thing}"))
        };
        self.problems.cell(place.line, place.column, message, advice);
    }
}
