//! Columns and their spellings.
//!
//! Case, spaces, underscores and hyphens of a header do not matter: `First Name`, `first_name` and `firstname` are one.

use crate::RosterKind;
use crate::problem::{Problems, quoted};

/// A column taosync understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Uri,
    Label,
    OrganisationId,
    Administrators,
    Proctors,
    SubCenters,
    InterfaceLanguage,
    DefaultLanguage,
    Login,
    Password,
    FirstName,
    LastName,
    Mail,
    TestCenters,
    TestCenter,
    Delivery,
    TestTakers,
    Proctored,
}

impl Column {
    /// The spelling of TAO's importers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uri => "uri",
            Self::Label => "label",
            Self::OrganisationId => "organisation id",
            Self::Administrators => "administrators",
            Self::Proctors => "proctors",
            Self::SubCenters => "sub centers",
            Self::InterfaceLanguage => "interface language",
            Self::DefaultLanguage => "default language",
            Self::Login => "login",
            Self::Password => "password",
            Self::FirstName => "first name",
            Self::LastName => "last name",
            Self::Mail => "mail",
            Self::TestCenters => "test centers",
            Self::TestCenter => "test center",
            Self::Delivery => "delivery",
            Self::TestTakers => "test takers",
            Self::Proctored => "is proctored",
        }
    }

    /// Further spellings, folded as by [`fold`].
    const fn also(self) -> &'static [&'static str] {
        match self {
            Self::OrganisationId => &["organizationid", "orgid", "organisation", "organization"],
            Self::SubCenters => &["subcentres", "children"],
            Self::InterfaceLanguage => &["uilanguage", "uilg"],
            Self::DefaultLanguage => &["datalanguage", "deflg"],
            Self::Login => &["username"],
            Self::FirstName => &["givenname"],
            Self::LastName => &["familyname", "surname"],
            Self::Mail => &["email", "emailaddress"],
            Self::TestCenters => &["testcentres", "centers", "centres"],
            Self::TestCenter => &["testcentre", "center", "centre"],
            Self::TestTakers => &["testtaker"],
            Self::Proctored => &["proctored"],
            _ => &[],
        }
    }

    /// Lists may be long: a center can have ten thousand test takers.
    pub(crate) const fn is_list(self) -> bool {
        matches!(self, Self::Administrators | Self::Proctors | Self::SubCenters | Self::TestCenters | Self::TestTakers)
    }
}

/// Columns a kind must have and may have (FEATURES H1–H3).
pub(crate) const fn columns_of(kind: RosterKind) -> (&'static [Column], &'static [Column]) {
    use Column as C;
    const PERSON: &[Column] = &[C::Label, C::InterfaceLanguage, C::Login, C::Password];
    const MANAGER: &[Column] = &[C::Label, C::InterfaceLanguage, C::Login, C::Password, C::OrganisationId];
    const OPTIONAL: &[Column] = &[C::DefaultLanguage, C::FirstName, C::LastName, C::Mail, C::Uri];
    const STAFF: &[Column] = &[C::DefaultLanguage, C::FirstName, C::LastName, C::Mail, C::TestCenters, C::Uri];
    match kind {
        RosterKind::TestCenters => {
            (&[C::Label, C::OrganisationId], &[C::Administrators, C::Proctors, C::SubCenters, C::Uri])
        }
        RosterKind::Administrators | RosterKind::Proctors => (PERSON, STAFF),
        RosterKind::TestTakers => (PERSON, OPTIONAL),
        RosterKind::SyncManagers => (MANAGER, OPTIONAL),
        RosterKind::Eligibilities => (&[C::TestCenter, C::Delivery, C::TestTakers], &[C::Proctored, C::Label, C::Uri]),
    }
}

/// Lower case, without what people vary: spaces (also non-breaking ones), underscores and hyphens.
fn fold(header: &str) -> String {
    header.chars().filter(|c| !c.is_whitespace() && *c != '_' && *c != '-').flat_map(char::to_lowercase).collect()
}

/// Which column stands where; `None` for a nameless one, which has to stay empty.
pub(crate) fn read_header(
    kind: RosterKind,
    line: u64,
    cells: &[std::borrow::Cow<'_, str>],
    problems: &mut Problems,
) -> Vec<Option<Column>> {
    let (mandatory, optional) = columns_of(kind);
    let known = || mandatory.iter().chain(optional).copied();
    let mut header: Vec<Option<Column>> = Vec::with_capacity(cells.len());
    for cell in cells {
        let name = fold(cell);
        let column = known().find(|c| fold(c.name()) == name || c.also().contains(&name.as_str()));
        if name.is_empty() {
            header.push(None);
        } else if let Some(column) = column {
            if header.contains(&Some(column)) {
                problems.cell(line, column.name(), "the column is there twice", "remove one of the two");
            }
            header.push(Some(column));
        } else {
            let names: Vec<_> = known().map(Column::name).collect();
            let advice = format!("a file of {kind} has the columns: {}; rename or remove this one", names.join(", "));
            problems.line(line, format!("the column {} is not known", quoted(cell)), advice);
            header.push(None);
        }
    }
    for column in mandatory.iter().filter(|c| !header.contains(&Some(**c))) {
        problems.cell(
            line,
            column.name(),
            "the column is missing",
            "add it to the first line and fill it in every row",
        );
    }
    header
}
