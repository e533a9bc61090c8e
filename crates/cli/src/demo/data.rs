//! The people of the demonstration: the same for the same number, so that two runs can be compared.

use std::fmt::Write as _;

/// The org whose local server the story is about.
pub const OUR_ORG: &str = "LYON-07";
/// The org whose data must never reach that server.
pub const OTHER_ORG: &str = "PORTO-3";
/// Orgs.
pub const ORGS: [&str; 2] = [OUR_ORG, OTHER_ORG];
/// Labels of the deliveries.
pub const DELIVERIES: [&str; 2] = ["Maths, grade 6", "Maths, grade 6: second date"];
/// Every so many takers of a center may also come on the second date.
const SECOND_DATE: usize = 5;

/// A test center.
struct Center {
    /// Two centers of one org are told apart by it.
    uri: &'static str,
    label: &'static str,
    org: &'static str,
}

const CENTERS: [Center; 3] = [
    Center { uri: "https://exams.example/centers.rdf#deux-rives", label: "Lycée des Deux-Rives", org: OUR_ORG },
    Center { uri: "https://exams.example/centers.rdf#presquile", label: "Collège de la Presqu'île", org: OUR_ORG },
    Center { uri: "https://exams.example/centers.rdf#ribeira", label: "Escola Secundária da Ribeira", org: OTHER_ORG },
];

/// Staff: name, login, and the centers they work for.
type Staff = (&'static str, &'static str, &'static [usize]);
const ADMINISTRATORS: [Staff; 1] = [("Élise Fournier", "elise.fournier", &[0, 1, 2])];
const PROCTORS: [Staff; 4] = [
    ("Marc Dubois", "marc.dubois", &[0]),
    ("Inès Benali", "ines.benali", &[0, 1]),
    ("Sofia Antunes", "sofia.antunes", &[1, 2]),
    ("João Carvalho", "joao.carvalho", &[2]),
];

const FIRST_NAMES: [&str; 37] = [
    "Zoé",
    "Léa",
    "Maël",
    "Chloé",
    "Noël",
    "Inès",
    "Théo",
    "Aïcha",
    "Yanis",
    "Gaëlle",
    "João",
    "Inês",
    "Tomás",
    "Beatriz",
    "Gonçalo",
    "Mariana",
    "Łukasz",
    "Agnieszka",
    "Søren",
    "Åsa",
    "Björn",
    "Jürgen",
    "Amélie",
    "Nuño",
    "Mehmet",
    "Şule",
    "Dvořák",
    "Anh",
    "Linh",
    "Fatou",
    "Kwame",
    "Oluwaseun",
    "Siobhán",
    "Chiara",
    "Niccolò",
    "Ana",
    "Émile",
];
const LAST_NAMES: [&str; 41] = [
    "Lefèvre",
    "Benoît",
    "François",
    "Müller",
    "Núñez",
    "Gonçalves",
    "Araújo",
    "Conceição",
    "Kowalski",
    "Wójcik",
    "Ångström",
    "Sørensen",
    "Öztürk",
    "Yılmaz",
    "Nguyễn",
    "Trần",
    "Diallo",
    "Mensah",
    "O'Connor",
    "D'Angelo",
    "Marchetti",
    "García",
    "Ibáñez",
    "Schäfer",
    "Weiß",
    "Novák",
    "Dvořáková",
    "Horváth",
    "Popescu",
    "Ionescu",
    "Dupont",
    "Lambert",
    "Rousseau",
    "Traoré",
    "El Amrani",
    "Haddad",
    "Silva",
    "Magalhães",
    "Simões",
    "Van Dijk",
    "Ålund",
];
const COLOURS: [&str; 8] = ["amber", "coral", "green", "indigo", "olive", "ruby", "silver", "teal"];
const ANIMALS: [&str; 8] = ["badger", "falcon", "gecko", "heron", "lynx", "otter", "panda", "swift"];

/// A test taker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taker {
    first: &'static str,
    last: String,
    /// Unique.
    pub login: String,
    /// Of the demonstration only: everybody who has the program can compute it.
    pub password: String,
    center: usize,
}

impl Taker {
    fn numbered(number: usize) -> Self {
        let first = FIRST_NAMES[number % FIRST_NAMES.len()];
        let last = LAST_NAMES[(number * 7 + number / FIRST_NAMES.len()) % LAST_NAMES.len()];
        let mixed = number.wrapping_mul(2_654_435_761) >> 7;
        Self {
            first,
            last: last.to_owned(),
            login: format!("{}.{}.{:03}", in_ascii(first), in_ascii(last), number + 1),
            password: format!("{}-{}-{:04}", COLOURS[mixed % 8], ANIMALS[mixed / 8 % 8], mixed / 64 % 10_000),
            center: number % CENTERS.len(),
        }
    }

    /// The name to show.
    pub fn label(&self) -> String {
        format!("{} {}", self.first, self.last)
    }

    /// The org of their center.
    pub fn org(&self) -> &'static str {
        CENTERS[self.center].org
    }

    fn row(&self) -> Vec<String> {
        let language = if self.org() == OTHER_ORG { "pt-PT" } else { "fr-FR" };
        let mail = format!("{}@pupils.example", self.login);
        let texts = [&self.label(), language, &self.login, &self.password, self.first, &self.last, &mail];
        texts.map(ToString::to_string).into()
    }
}

/// Everything central takes in.
#[derive(Clone, Debug)]
pub struct Data {
    takers: Vec<Taker>,
}

impl Data {
    /// Two orgs, three centers, and so many takers, spread evenly over the centers.
    pub fn with_takers(number: usize) -> Self {
        Self { takers: (0..number).map(Taker::numbered).collect() }
    }

    /// The takers of an org.
    pub fn takers_of(&self, org: &str) -> Vec<&Taker> {
        self.takers.iter().filter(|taker| taker.org() == org).collect()
    }

    /// `test-centers.csv`.
    pub fn centers_csv() -> String {
        let rows = CENTERS.iter().map(|center| [center.uri, center.label, center.org].map(str::to_owned).into());
        csv("uri,label,organisation id", rows)
    }

    /// `administrators.csv`.
    pub fn administrators_csv() -> String {
        staff_csv(&ADMINISTRATORS)
    }

    /// `proctors.csv`.
    pub fn proctors_csv() -> String {
        staff_csv(&PROCTORS)
    }

    /// `test-takers.csv`.
    pub fn takers_csv(&self) -> String {
        takers_csv(&self.takers)
    }

    /// `eligibilities.csv`: everybody for the first delivery, some also for the second.
    pub fn eligibilities_csv(&self) -> String {
        let mut rows = Vec::new();
        for (at, center) in CENTERS.iter().enumerate() {
            let logins = || self.takers.iter().filter(move |t| t.center == at).map(|t| t.login.as_str());
            let (all, some): (Vec<_>, Vec<_>) = (logins().collect(), logins().step_by(SECOND_DATE).collect());
            for (delivery, logins) in DELIVERIES.iter().zip([all, some]) {
                rows.push(vec![center.label.to_owned(), (*delivery).to_owned(), logins.join("|")]);
            }
        }
        csv("test center,delivery,test takers", rows.into_iter())
    }
}

/// The file of takers who have another family name now.
pub fn renamed_csv(takers: &[&Taker]) -> String {
    let renamed = takers.iter().map(|taker| Taker { last: format!("{}-Morel", taker.last), ..(*taker).clone() });
    takers_csv(&renamed.collect::<Vec<_>>())
}

fn takers_csv(takers: &[Taker]) -> String {
    csv("label,interface language,login,password,first name,last name,mail", takers.iter().map(Taker::row))
}

fn staff_csv(staff: &[Staff]) -> String {
    let rows = staff.iter().map(|(name, login, centers)| {
        let centers: Vec<_> = centers.iter().map(|&at| CENTERS[at].label).collect();
        vec![(*name).to_owned(), "fr-FR".to_owned(), (*login).to_owned(), format!("{login}-2026"), centers.join("|")]
    });
    csv("label,interface language,login,password,test centers", rows)
}

fn csv(header: &str, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("{header}\n");
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            // Writing to a string never fails.
            let _ = write!(text, "{comma}\"{}\"", cell.replace('"', "\"\""));
        }
        text.push('\n');
    }
    text
}

/// A name as it stands in a login: lower case, without accents.
fn in_ascii(name: &str) -> String {
    name.to_lowercase().chars().filter_map(plain_letter).collect()
}

/// The letter without its marks; none for what is no letter.
fn plain_letter(letter: char) -> Option<char> {
    Some(match letter {
        'a'..='z' => letter,
        'á' | 'ã' | 'ä' | 'å' | 'ầ' => 'a',
        'ç' => 'c',
        'è' | 'é' | 'ê' | 'ë' | 'ễ' => 'e',
        'í' | 'î' | 'ï' | 'ı' => 'i',
        'ł' => 'l',
        'ñ' => 'n',
        'ó' | 'ô' | 'õ' | 'ö' | 'ò' | 'ø' => 'o',
        'ř' => 'r',
        'ş' | 'ß' => 's',
        'ú' | 'ü' => 'u',
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
