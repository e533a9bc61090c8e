//! What a roster has to know of the store, and what the store answered.

use std::collections::{HashMap, HashSet};

use taosync_model::{Entity, EntityType};

/// What an entity is found by. Texts are compared exactly: `007` is not `7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LookupBy {
    /// A value of `generis:login`.
    Login,
    /// A value of `rdfs:label`, in any language.
    Label,
    /// A value of `synchro:organisationId` (centers only).
    OrganisationId,
    /// The entity's own URI.
    Uri,
    /// Eligibilities whose `EligibileTestCenter` is the center with this URI.
    TestCenter,
}

/// One question to the store: all entities of one of these types that have this text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lookup {
    /// Types to look among.
    pub types: &'static [EntityType],
    /// What to compare.
    pub by: LookupBy,
    /// With which text.
    pub text: String,
}

/// An entity the store has. An eligibility carries all its `EligibileTestTaker` values, a test taker all its
/// `UserAssignment` values, links included: what is missing here is taken for absent.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundEntity {
    /// Every type it has: a person can be administrator and proctor.
    pub types: Vec<EntityType>,
    /// The entity as stored.
    pub entity: Entity,
}

/// The store's answers. Every [`Lookup`] needs one, an empty one too: what was not asked is asked again.
#[derive(Debug, Default)]
pub struct Found {
    entities: Vec<FoundEntity>,
    by_uri: HashMap<String, usize>,
    answers: HashMap<Lookup, Vec<usize>>,
}

impl Found {
    /// Takes the answer to a lookup.
    pub fn insert(&mut self, lookup: Lookup, entities: Vec<FoundEntity>) {
        let (mut answer, mut seen) = (Vec::with_capacity(entities.len()), HashSet::new());
        for found in entities {
            let next = self.entities.len();
            let at = *self.by_uri.entry(found.entity.uri.clone()).or_insert(next);
            if at == next {
                self.entities.push(found);
            }
            if seen.insert(at) {
                answer.push(at);
            }
        }
        self.answers.insert(lookup, answer);
    }

    /// Whether this was answered.
    pub fn knows(&self, lookup: &Lookup) -> bool {
        self.answers.contains_key(lookup)
    }

    /// What was found; nothing for a lookup that was never answered.
    pub(crate) fn get<'f>(&'f self, lookup: &Lookup) -> impl Iterator<Item = &'f FoundEntity> + use<'f> {
        self.answers.get(lookup).into_iter().flatten().map(|at| &self.entities[*at])
    }

    /// An entity that came with any answer.
    pub(crate) fn uri(&self, uri: &str) -> Option<&FoundEntity> {
        self.by_uri.get(uri).map(|at| &self.entities[*at])
    }
}

/// Every type: for a row that names its own URI, so that it cannot overwrite a thing of another type.
const ANY: &[EntityType] = &[
    EntityType::Class,
    EntityType::TestCenter,
    EntityType::Administrator,
    EntityType::Proctor,
    EntityType::TestTaker,
    EntityType::Eligibility,
    EntityType::Delivery,
    EntityType::SyncManager,
];
/// Everybody who has a login: logins are unique among all of them.
const PEOPLE: &[EntityType] =
    &[EntityType::Administrator, EntityType::Proctor, EntityType::TestTaker, EntityType::SyncManager];
const ELIGIBILITIES: &[EntityType] = &[EntityType::Eligibility];

/// The row's own URI.
pub(crate) fn own_uri(uri: &str) -> Lookup {
    Lookup { types: ANY, by: LookupBy::Uri, text: uri.to_owned() }
}

/// Whoever has this login now.
pub(crate) fn holder_of_login(login: &str) -> Lookup {
    Lookup { types: PEOPLE, by: LookupBy::Login, text: login.to_owned() }
}

/// Centers that have this very text as their organisation id or label, however it looks: what a row says about itself is
/// no reference.
pub(crate) fn centers_with(by: LookupBy, text: &str) -> Lookup {
    Lookup { types: &[EntityType::TestCenter], by, text: text.to_owned() }
}

/// Eligibilities of a center.
pub(crate) fn eligibilities_of(center: &str) -> Lookup {
    Lookup { types: ELIGIBILITIES, by: LookupBy::TestCenter, text: center.to_owned() }
}

/// What a cell may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Center,
    Delivery,
    TestTaker,
    Administrator,
    Proctor,
}

impl Target {
    const fn types(self) -> &'static [EntityType] {
        match self {
            Self::Center => &[EntityType::TestCenter],
            Self::Delivery => &[EntityType::Delivery],
            Self::TestTaker => &[EntityType::TestTaker],
            Self::Administrator => &[EntityType::Administrator],
            Self::Proctor => &[EntityType::Proctor],
        }
    }

    /// By what a text can name such a thing, besides its URI.
    const fn names(self) -> &'static [LookupBy] {
        match self {
            Self::Center => &[LookupBy::OrganisationId, LookupBy::Label],
            Self::Delivery => &[LookupBy::Label],
            Self::TestTaker | Self::Administrator | Self::Proctor => &[LookupBy::Login],
        }
    }

    /// The thing and how it is named, for messages.
    pub(crate) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Center => ("test center", "organisation id, label or URI"),
            Self::Delivery => ("delivery", "label or URI"),
            Self::TestTaker => ("test taker", "login or URI"),
            Self::Administrator => ("administrator", "login or URI"),
            Self::Proctor => ("proctor", "login or URI"),
        }
    }

    /// Whether the text may be shown: logins may not.
    pub(crate) const fn is_person(self) -> bool {
        matches!(self, Self::TestTaker | Self::Administrator | Self::Proctor)
    }

    /// The questions that decide what a text refers to.
    pub(crate) fn lookups(self, text: &str) -> impl Iterator<Item = Lookup> {
        let by = if is_uri(text) { &[LookupBy::Uri] } else { self.names() };
        by.iter().map(move |by| Lookup { types: self.types(), by: *by, text: text.to_owned() })
    }
}

/// Whether a reference is a URI; logins, labels and organisation ids do not look like this.
pub(crate) fn is_uri(text: &str) -> bool {
    ["http://", "https://", "urn:"].iter().any(|scheme| text.starts_with(scheme)) && !text.contains(char::is_whitespace)
}
