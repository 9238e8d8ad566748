//! Renders the contract as HTML.

use std::fmt::Write;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// The HTML of the contract.
pub(super) struct ContractHtml {
    /// Nested lists with a link to each heading.
    pub(super) contents: String,
    pub(super) body: String,
}

impl ContractHtml {
    pub(super) fn render(markdown: &str) -> Self {
        let mut events: Vec<_> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
        let contents = add_anchors(&mut events);
        let mut body = String::new();
        html::push_html(&mut body, label_cells(events));
        Self { contents, body }
    }
}

/// Adds an ID to each heading, and returns the table of contents.
fn add_anchors(events: &mut [Event]) -> String {
    let mut contents = String::new();
    let mut depth = 0;
    let mut operation = String::new();
    for at in 1..events.len() {
        let (before, rest) = events.split_at_mut(at);
        let (Some(Event::Start(Tag::Heading { level, id, .. })), Some(Event::Text(text))) =
            (before.last_mut(), rest.first())
        else {
            continue;
        };
        // The heading of a group ends with the path of the group.
        let title = text.trim_end_matches(" - ");
        let mut slug = title.to_lowercase().replace([' ', '.'], "-");
        match level {
            HeadingLevel::H3 => operation.clone_from(&slug),
            // All operations have the same sections.
            HeadingLevel::H4 => slug = format!("{operation}-{slug}"),
            _ => {}
        }
        let level = *level as usize;
        if level > depth {
            contents += &"<ul><li>".repeat(level - depth);
        } else {
            contents += &"</li></ul>".repeat(depth - level);
            contents += "</li><li>";
        }
        depth = level;
        write!(contents, "<a href=\"#{slug}\">{title}</a>").expect("a string has no write errors");
        *id = Some(slug.into());
    }
    contents + &"</li></ul>".repeat(depth)
}

/// Adds the header of the column to each cell of a table, because narrow screens show the cells of a row as a list.
fn label_cells<'a>(events: impl IntoIterator<Item = Event<'a>>) -> impl Iterator<Item = Event<'a>> {
    let mut is_header = false;
    let mut headers = Vec::new();
    let mut column = 0;
    events.into_iter().map(move |event| {
        match &event {
            Event::Start(Tag::TableHead) => {
                is_header = true;
                headers.clear();
            }
            Event::End(TagEnd::TableHead) => is_header = false,
            Event::Text(header) if is_header => headers.push(header.clone()),
            Event::Start(Tag::TableRow) => column = 0,
            Event::Start(Tag::TableCell) if !is_header => {
                let cell = format!("<td data-header=\"{}\">", headers[column]);
                column += 1;
                return Event::InlineHtml(cell.into());
            }
            Event::End(TagEnd::TableCell) if !is_header => {
                return Event::InlineHtml("</td>".into());
            }
            _ => {}
        }
        event
    })
}
