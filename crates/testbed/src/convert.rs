//! The tables of a PostgreSQL dump as TAO makes them in MySQL (WIRE §15).

use std::fmt::Write as _;

/// The tables of WIRE §15; what else a TAO has is of no concern here.
pub(crate) const TABLES: &[&str] = &[
    "statements",
    "kv_store",
    "synchronisation",
    "synchronisation_result",
    "synchronisation_log",
    "delivery_log",
    "results_storage",
    "variables_storage",
    "delivery_executions",
    "delivery_monitoring",
];

/// TAO makes these without transactions.
const MYISAM: &[&str] = &["synchronisation", "synchronisation_result"];
/// Characters of a text that an index holds.
const PREFIX: u32 = 164;

/// Statements that make the tables and their indexes.
pub(crate) fn tables(sql: &str) -> Vec<String> {
    TABLES.iter().filter_map(|table| create_table(sql, table)).collect()
}

fn create_table(sql: &str, table: &str) -> Option<String> {
    let (_, rest) = sql.split_once(&format!("CREATE TABLE public.{table} (\n"))?;
    let (body, _) = rest.split_once("\n);")?;
    let mut lines: Vec<String> = body.lines().map(|line| column(sql, table, line)).collect();
    lines.extend(primary_key(sql, table));
    lines.extend(sql.split(";\n").filter_map(|statement| index(statement.trim(), table, body)));
    // A key of MyISAM holds 1,000 bytes, which 255 characters of four bytes are not.
    let engine =
        if MYISAM.contains(&table) { "MyISAM DEFAULT CHARSET=utf8mb3" } else { "InnoDB DEFAULT CHARSET=utf8mb4" };
    Some(format!("CREATE TABLE {table} (\n  {}\n) ENGINE={engine}", lines.join(",\n  ")))
}

fn column(sql: &str, table: &str, line: &str) -> String {
    let line = line.trim().trim_end_matches(',');
    let (name, rest) = line.split_once(' ').unwrap_or((line, "text"));
    let name = name.trim_matches('"');
    let kind = match rest {
        _ if rest.starts_with("character varying(") => {
            format!("VARCHAR{}", &rest["character varying".len()..=rest.find(')').unwrap_or(rest.len() - 1)])
        }
        _ if rest.starts_with("integer") => "INT".to_owned(),
        _ if rest.starts_with("boolean") => "TINYINT(1)".to_owned(),
        _ if rest.starts_with("timestamp") => "DATETIME".to_owned(),
        _ if rest.starts_with("jsonb") => "JSON".to_owned(),
        _ => "LONGTEXT".to_owned(),
    };
    let mut text = format!("`{name}` {kind}");
    text.push_str(if rest.contains("NOT NULL") { " NOT NULL" } else { " NULL" });
    let literal = rest.split_once("DEFAULT ").map(|(_, default)| default.split([' ', ':']).next().unwrap_or_default());
    if let Some(literal) = literal.filter(|literal| *literal != "NULL") {
        let _ = write!(text, " DEFAULT {literal}");
    }
    if sql.contains(&format!("nextval('public.{table}_{name}_seq'")) {
        text.push_str(" AUTO_INCREMENT");
    }
    text
}

fn primary_key(sql: &str, table: &str) -> Option<String> {
    let (_, rest) = sql.split_once(&format!("ADD CONSTRAINT {table}_pkey PRIMARY KEY ("))?;
    Some(format!("PRIMARY KEY ({})", rest.split_once(')')?.0))
}

/// `CREATE UNIQUE INDEX i ON public.t USING btree (a, b)`
fn index(statement: &str, table: &str, body: &str) -> Option<String> {
    let (head, columns) = statement.split_once(&format!(" ON public.{table} USING btree ("))?;
    let columns = columns.trim_end_matches(')').split(", ").map(|column| {
        let column = column.trim_matches('"');
        let is_text = body.lines().any(|line| {
            let line = line.trim();
            line.starts_with(&format!("{column} text")) || line.starts_with(&format!("{column} character varying(255)"))
        });
        let is_unique = head.contains("UNIQUE");
        if is_text && !is_unique { format!("`{column}`({PREFIX})") } else { format!("`{column}`") }
    });
    let columns: Vec<_> = columns.collect();
    let name = head.rsplit(' ').next()?;
    let unique = if head.contains("UNIQUE") { "UNIQUE " } else { "" };
    Some(format!("{unique}KEY {name} ({})", columns.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_made_as_in_mysql() {
        let sql = "CREATE TABLE public.statements (\n    id integer NOT NULL,\n    modelid integer DEFAULT 0 NOT NULL,\n    \
                   object text,\n    epoch character varying(255) DEFAULT NULL::character varying\n);\n\
                   ALTER TABLE x SET DEFAULT nextval('public.statements_id_seq'::regclass);\n\
                   ALTER TABLE x ADD CONSTRAINT statements_pkey PRIMARY KEY (id);\n\
                   CREATE INDEX k_po ON public.statements USING btree (modelid, object);\n";
        assert_eq!(
            tables(sql),
            ["CREATE TABLE statements (\n  `id` INT NOT NULL AUTO_INCREMENT,\n  `modelid` INT NOT NULL DEFAULT 0,\n  \
              `object` LONGTEXT NULL,\n  `epoch` VARCHAR(255) NULL,\n  PRIMARY KEY (id),\n  \
              KEY k_po (`modelid`, `object`(164))\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"]
        );
    }
}
