//! Reading a list of a TAO central to its end. TAO says that there is more by naming the next page, but not that there is
//! no more: a page with an entity of two labels is short and names none, some types ignore where a page is to begin, and
//! with as many entities as a page holds they never end (WIRE §2.2, §6.3). So whoever reads asks on until a page is empty.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use taosync_model::EntityType;
use taosync_model::tao::TaoChecksum;
use taosync_wire::tao::entities::{ChecksumPage, is_uri};
use taosync_wire::tao::query::{Query, encode};
use taosync_wire::tao::{PATH_CHECKSUMS, SyncParams};

use crate::link::LinkError;

/// Entities of one type at most.
const MAX_ENTITIES: usize = 1_000_000;
/// Pages of one list at most, whatever they hold.
const MAX_PAGES: u32 = 20_000;
/// Bytes of an address at most.
const MAX_ADDRESS: usize = 8 * 1024;
/// Pages in a row that bring nothing new, until the list is given up: an entity with many labels makes some.
const MAX_REPEATED: u32 = 16;

/// The checksums of a type, by URI.
pub type Checksums = BTreeMap<String, TaoChecksum>;

/// What is known about the end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was reached.
    Whole,
    /// It was reached, but entities came twice: the list moved while it was read, or some have several labels.
    Moved,
    /// The pages go on without anything new.
    Endless,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask for this path.
    Ask(String),
    /// The list has ended.
    Ended(End),
}

/// A list while it is read.
pub struct Walk<'a> {
    entity_type: EntityType,
    params: &'a SyncParams,
    first: Option<Checksums>,
    /// Everything seen.
    pub seen: Checksums,
    offset: u64,
    pages: u32,
    repeated: u32,
    moved: bool,
}

impl<'a> Walk<'a> {
    /// A list of a type, not asked for yet.
    pub const fn new(entity_type: EntityType, params: &'a SyncParams) -> Self {
        let seen = BTreeMap::new();
        Self { entity_type, params, first: None, seen, offset: 0, pages: 0, repeated: 0, moved: false }
    }

    /// The path of the first page.
    pub fn begin(&self) -> String {
        self.path(None)
    }

    /// Takes a page.
    pub fn take(&mut self, page: ChecksumPage) -> Result<Step, LinkError> {
        if page.entity_type != self.entity_type.as_str() {
            return Err(self.broken("is of another type"));
        }
        let next = page.next_call_url.as_deref().map(|next| self.next_path(next)).transpose()?;
        let read = self.read(page)?;
        if read.is_empty() {
            return Ok(Step::Ended(if self.moved { End::Moved } else { End::Whole }));
        }
        let known = read.iter().filter(|(uri, _)| self.seen.contains_key(*uri)).count();
        let is_fresh = known < read.len();
        if !is_fresh && self.comes_at_once() && self.first.as_ref() == Some(&read) {
            return Ok(Step::Ended(if self.moved { End::Moved } else { End::Whole }));
        }
        self.moved |= known > 0;
        self.repeated = if is_fresh { 0 } else { self.repeated + 1 };
        self.offset += read.len() as u64;
        self.first.get_or_insert_with(|| read.clone());
        self.seen.extend(read);
        self.pages += 1;
        if self.seen.len() > MAX_ENTITIES || self.pages > MAX_PAGES {
            return Err(self.broken("has more entities than can be"));
        }
        if self.repeated > MAX_REPEATED {
            return Ok(Step::Ended(End::Endless));
        }
        if let Some((path, offset)) = next {
            self.offset = offset.filter(|offset| *offset >= self.offset).unwrap_or(self.offset);
            return Ok(Step::Ask(path));
        }
        Ok(Step::Ask(self.path(Some(self.offset))))
    }

    fn read(&self, page: ChecksumPage) -> Result<Checksums, LinkError> {
        let mut read = Checksums::new();
        for (uri, entity) in page.entities.0 {
            if uri != entity.id || !is_uri(&uri) {
                return Err(self.broken("names an entity by something else than its URI"));
            }
            let checksum = entity.checksum.parse().map_err(|_| self.broken("has something else than a checksum"))?;
            read.insert(uri, checksum);
        }
        Ok(read)
    }

    /// By organisation, TAO gives these types all at once, wherever the page is to begin (WIRE §2).
    fn comes_at_once(&self) -> bool {
        let is_one_list = matches!(
            self.entity_type,
            EntityType::Administrator | EntityType::Proctor | EntityType::Eligibility | EntityType::Delivery
        );
        is_one_list && self.params.organisation_id.is_some()
    }

    /// The next page as central names it, and where it begins. Only pages of this list are asked for, and only there.
    fn next_path(&self, next: &str) -> Result<(String, Option<u64>), LinkError> {
        let path = next.trim_start_matches('/');
        let query = path.strip_prefix(PATH_CHECKSUMS).and_then(|rest| rest.strip_prefix('?'));
        let Some(query) = query.filter(|_| next.len() <= MAX_ADDRESS) else {
            return Err(self.broken("names something else as its next page"));
        };
        let offset = Query::parse(query).param("offset").and_then(|text| text.parse().ok());
        Ok((path.to_owned(), offset))
    }

    /// The path of the page that begins at `offset`, with parameters in the order a TAO client has them.
    fn path(&self, offset: Option<u64>) -> String {
        let offset = offset.map(|offset| offset.to_string());
        let params = [
            ("organisation_id", &self.params.organisation_id),
            ("sync_id", &self.params.sync_id),
            ("box_id", &self.params.box_id),
            ("tao_version", &self.params.tao_version),
            ("offset", &offset),
        ];
        let mut path = format!("{PATH_CHECKSUMS}?type={}", encode(self.entity_type.as_str()));
        for (name, value) in params {
            if let Some(value) = value {
                // Writing into memory does not fail.
                let _ = write!(path, "&params%5B{name}%5D={}", encode(value));
            }
        }
        path
    }

    fn broken(&self, what: &str) -> LinkError {
        LinkError::Protocol(format!("a page of {}s {what}", self.entity_type))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_model::tao::Properties;
    use taosync_wire::tao::entities::TaoEntity;

    fn page(uris: &[&str], next: Option<&str>) -> ChecksumPage {
        let entity = |uri: &&str| {
            let checksum = "40cd750bba9870f18aada2478b24840a".to_owned();
            ((*uri).to_owned(), TaoEntity { id: (*uri).to_owned(), checksum, properties: Properties::default() })
        };
        ChecksumPage {
            entity_type: "eligibility".into(),
            next_call_url: next.map(|at| format!("/{PATH_CHECKSUMS}?type=eligibility&params%5Boffset%5D={at}")),
            entities: uris.iter().map(entity).collect(),
        }
    }

    fn params(org: Option<&str>) -> SyncParams {
        SyncParams { organisation_id: org.map(str::to_owned), ..SyncParams::default() }
    }

    fn asks(step: Step) -> String {
        let Step::Ask(path) = step else { panic!("{step:?}") };
        path.rsplit_once("type=eligibility").unwrap().1.to_owned()
    }

    #[test]
    fn a_page_without_a_next_one_is_not_taken_for_the_end() {
        let params = params(None);
        let mut walk = Walk::new(EntityType::Eligibility, &params);
        assert_eq!(asks(walk.take(page(&["u:1", "u:2"], Some("10"))).unwrap()), "&params%5Boffset%5D=10");
        assert_eq!(asks(walk.take(page(&["u:3"], None)).unwrap()), "&params%5Boffset%5D=11");
        assert_eq!(walk.take(page(&[], None)).unwrap(), Step::Ended(End::Whole));
        assert_eq!(walk.seen.len(), 3);
    }

    #[test]
    fn what_comes_behind_a_short_page_is_found_and_makes_doubt() {
        let params = params(None);
        let mut walk = Walk::new(EntityType::Eligibility, &params);
        asks(walk.take(page(&["u:1", "u:2"], None)).unwrap());
        assert_eq!(asks(walk.take(page(&["u:2", "u:3"], None)).unwrap()), "&params%5Boffset%5D=4");
        assert_eq!(walk.take(page(&[], None)).unwrap(), Step::Ended(End::Moved));
        assert_eq!(walk.seen.len(), 3);
    }

    #[test]
    fn a_list_that_comes_at_once_ends_when_it_comes_again() {
        let params = params(Some("ORG"));
        let mut walk = Walk::new(EntityType::Eligibility, &params);
        asks(walk.take(page(&["u:1", "u:2"], Some("2"))).unwrap());
        assert_eq!(walk.take(page(&["u:1", "u:2"], Some("4"))).unwrap(), Step::Ended(End::Whole));
    }

    #[test]
    fn pages_that_repeat_end_without_a_claim() {
        let params = params(None);
        let mut walk = Walk::new(EntityType::Eligibility, &params);
        let mut pages = 0_u32;
        loop {
            pages += 1;
            match walk.take(page(&["u:1", "u:2"], Some(&pages.to_string()))).unwrap() {
                Step::Ask(_) => assert!(pages < 100),
                Step::Ended(end) => {
                    assert_eq!((end, pages), (End::Endless, MAX_REPEATED + 2));
                    return;
                }
            }
        }
    }

    #[test]
    fn pages_that_are_always_new_are_given_up() {
        let params = params(None);
        let mut walk = Walk::new(EntityType::Eligibility, &params);
        let end = (0..=MAX_PAGES).find_map(|n| walk.take(page(&[&format!("u:{n}")], Some("1"))).err());
        assert!(end.is_some_and(|error| error.to_string().contains("more entities")));
    }

    #[test]
    fn pages_of_something_else_are_refused() {
        let params = params(None);
        let take = |change: fn(&mut ChecksumPage)| {
            let mut page = page(&["u:1"], Some("1"));
            change(&mut page);
            Walk::new(EntityType::Eligibility, &params).take(page)
        };
        assert!(take(|_| {}).is_ok());
        assert!(take(|page| page.entity_type = "delivery".into()).is_err());
        assert!(take(|page| page.entities.0[0].1.id = "u:2".into()).is_err());
        assert!(take(|page| page.entities.0[0].1.checksum = "x".into()).is_err());
        for next in
            ["https://evil.example/x", "//evil.example/taoSync", "/taoSync/SynchronisationApi/confirmSyncFailed?"]
        {
            let mut page = page(&["u:1"], None);
            page.next_call_url = Some(next.to_owned());
            assert!(Walk::new(EntityType::Eligibility, &params).take(page).is_err(), "{next}");
        }
    }
}
