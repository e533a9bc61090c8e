//! Shared texts: stimuli, and pages that others include. Each is compiled once, however many items show it.

use super::document::Text;
use super::markup::Writer;
use super::{Source, content, fields};
use crate::xml::{self, Page};

/// A page that others show.
pub(super) fn text(files: &dyn Source, page: &Page<'_>) -> Text {
    let (root, writer) = (page.root(), Writer::new(files, page));
    let body = xml::children_named(root, "stimulusBody").next();
    Text {
        href: page.path.to_owned(),
        identifier: body.and_then(|_| fields::optional(root, "identifier")),
        title: body.and_then(|_| fields::optional(root, "title")),
        stylesheets: content::stylesheets(writer, root),
        content: body.map_or_else(|| writer.whole(root), |body| writer.content(body)),
    }
}
