//! `taosync entity list`: page by page, so that a large set never stands in memory.

use std::io::{BufWriter, Write};

use serde_json::json;
use taosync_model::{Entity, EntityType, OrgId};
use taosync_store::settings::Role;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output::stdout_failed;

/// Prints all entities of a type.
pub async fn list(context: &Context, entity_type: EntityType, org: Option<&OrgId>) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let mut sheet = Sheet { is_json: context.output.is_json(), count: 0, page: Vec::new() };
    let mut after = None;
    loop {
        let page = read(&node, entity_type, org, after).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (_, entity) in &page {
            sheet.put(entity).map_err(stdout_failed)?;
        }
        sheet.flush().map_err(stdout_failed)?;
    }
    sheet.end(entity_type).map_err(stdout_failed)
}

async fn read(
    node: &Node,
    entity_type: EntityType,
    org: Option<&OrgId>,
    after: Option<Uuid>,
) -> Result<Vec<(Uuid, Entity)>, Failure> {
    Ok(match node.identity.role {
        Role::Central => node.store.entities_list(entity_type, org, after).await?,
        Role::Local => node.store.replica_list(entity_type, org, after).await?,
    })
}

/// One document, or lines, written in pages.
struct Sheet {
    is_json: bool,
    count: u64,
    page: Vec<u8>,
}

impl Sheet {
    fn put(&mut self, entity: &Entity) -> std::io::Result<()> {
        if self.is_json {
            self.page.extend_from_slice(if self.count == 0 { b"{\"entities\":[" } else { b"," });
            let line = json!({"uri": entity.uri, "label": entity.label(), "class": entity.class});
            serde_json::to_writer(&mut self.page, &line)?;
        } else {
            writeln!(self.page, "{}  {}", entity.uri, entity.label())?;
        }
        self.count += 1;
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        out.write_all(&self.page)?;
        self.page.clear();
        out.flush()
    }

    fn end(mut self, entity_type: EntityType) -> std::io::Result<()> {
        match (self.is_json, self.count) {
            (true, 0) => writeln!(self.page, "{{\"entities\":[],\"count\":0}}")?,
            (true, count) => writeln!(self.page, "],\"count\":{count}}}")?,
            (false, count) => writeln!(self.page, "{count} of type {entity_type}")?,
        }
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(number: u64) -> serde_json::Value {
        let mut sheet = Sheet { is_json: true, count: 0, page: Vec::new() };
        for n in 0..number {
            sheet.put(&Entity::new(format!("u{n}"), "c")).unwrap();
        }
        // What `end` writes, without standard output.
        let tail =
            if number == 0 { r#"{"entities":[],"count":0}"#.to_owned() } else { format!("],\"count\":{number}}}") };
        sheet.page.extend_from_slice(tail.as_bytes());
        serde_json::from_slice(&sheet.page).unwrap()
    }

    #[test]
    fn pages_make_one_document() {
        for number in [0, 1, 3] {
            let document = document(number);
            assert_eq!(document["count"], number);
            assert_eq!(document["entities"].as_array().unwrap().len() as u64, number);
        }
    }
}
