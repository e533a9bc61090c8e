//! PostgreSQL's dumps: SQL with the rows of tables in between.

use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// A dump, part by part.
#[derive(Debug)]
pub struct Dump {
    /// In the order of the file.
    pub parts: Vec<Part>,
}

/// A part of a dump.
#[derive(Debug)]
pub enum Part {
    /// Statements.
    Sql(String),
    /// Rows of a table.
    Rows(Rows),
}

/// Rows of a table.
#[derive(Debug)]
pub struct Rows {
    /// Without its schema.
    pub table: String,
    /// Without quotes.
    pub columns: Vec<String>,
    /// As in the file: columns between tabs, with escapes.
    pub text: String,
}

impl Dump {
    /// Reads a packed dump.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let mut text = String::new();
        MultiGzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
        Ok(Self::parse(&text))
    }

    /// Takes a dump apart.
    pub fn parse(text: &str) -> Self {
        let (mut parts, mut sql) = (Vec::new(), String::new());
        let mut lines = text.split_inclusive('\n');
        while let Some(line) = lines.next() {
            if let Some((table, columns)) = copy_head(line) {
                parts.push(Part::Sql(std::mem::take(&mut sql)));
                let text = lines.by_ref().take_while(|line| line.trim_end() != "\\.").collect();
                parts.push(Part::Rows(Rows { table, columns, text }));
            } else if !line.starts_with('\\') && !line.starts_with("--") {
                sql.push_str(line);
            }
        }
        parts.push(Part::Sql(sql));
        Self { parts }
    }

    /// All statements.
    pub fn sql(&self) -> String {
        let parts = self.parts.iter().filter_map(|part| match part {
            Part::Sql(sql) => Some(sql.as_str()),
            Part::Rows(_) => None,
        });
        parts.collect()
    }

    /// All rows, table by table.
    pub fn rows(&self) -> impl Iterator<Item = &Rows> {
        self.parts.iter().filter_map(|part| match part {
            Part::Rows(rows) => Some(rows),
            Part::Sql(_) => None,
        })
    }
}

impl Rows {
    /// The rows, unescaped.
    pub fn cells(&self) -> impl Iterator<Item = Vec<Option<String>>> + '_ {
        self.text.lines().map(|line| line.split('\t').map(unescaped).collect())
    }
}

/// `COPY public.t (a, "b") FROM stdin;`
fn copy_head(line: &str) -> Option<(String, Vec<String>)> {
    let (name, rest) = line.strip_prefix("COPY ")?.split_once(" (")?;
    let (columns, _) = rest.split_once(") FROM stdin;")?;
    let table = name.rsplit('.').next()?.trim_matches('"').to_owned();
    Some((table, columns.split(", ").map(|column| column.trim_matches('"').to_owned()).collect()))
}

fn unescaped(cell: &str) -> Option<String> {
    if cell == "\\N" {
        return None;
    }
    let (mut text, mut chars) = (String::with_capacity(cell.len()), cell.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_taken_apart() {
        let text = "\\restrict x\n-- words\nCREATE TABLE public.t (\n    a integer\n);\n\
                    COPY public.t (a, \"time\") FROM stdin;\n1\t\\N\n2\tx\\ty\\\\\n\\.\nCREATE INDEX i;\n";
        let dump = Dump::parse(text);
        assert_eq!(dump.sql(), "CREATE TABLE public.t (\n    a integer\n);\nCREATE INDEX i;\n");
        let rows = dump.rows().next().unwrap();
        assert_eq!((rows.table.as_str(), rows.columns.as_slice()), ("t", &["a".to_owned(), "time".to_owned()][..]));
        let cells: Vec<_> = rows.cells().collect();
        assert_eq!(cells, [vec![Some("1".into()), None], vec![Some("2".into()), Some("x\ty\\".into())]]);
    }
}
