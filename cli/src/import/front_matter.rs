//! The block between two `---` lines at the head of a Markdown file, as far as an import uses it: `title` and `tags`, as one
//! line, a list in brackets or a list below. Anything else in it is left alone; what is no such block is body.

use domain::id::Tag;
use std::collections::BTreeSet;

/// A file's text, its front matter read.
#[derive(Debug, Default)]
pub struct FrontMatter<'a> {
    /// `title:`.
    pub title: Option<String>,
    /// `tags:`.
    pub tags: BTreeSet<Tag>,
    /// What follows the block.
    pub body: &'a str,
}

impl<'a> FrontMatter<'a> {
    /// Reads the text of a file.
    pub fn of(text: &'a str) -> Self {
        let Some((block, body)) = split(text) else { return Self { body: text, ..Self::default() } };
        let mut found = Self { body, ..Self::default() };
        let mut key = "";
        for line in block.lines() {
            match line.split_once(':').filter(|_| !line.starts_with([' ', '\t', '-', '#'])) {
                Some((name, value)) => {
                    key = name.trim();
                    found.take(key, value.trim());
                }
                None => {
                    if let Some(entry) = line.trim().strip_prefix("- ").filter(|_| key == "tags") {
                        found.tag(entry);
                    }
                }
            }
        }
        found
    }

    fn take(&mut self, key: &str, value: &str) {
        match key {
            "title" => self.title = Some(unquoted(value).to_owned()).filter(|title| !title.trim().is_empty()),
            "tags" => {
                let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
                inner.split(',').for_each(|tag| self.tag(tag));
            }
            _ => {}
        }
    }

    /// A label that is no valid tag is left out rather than keeping the whole note out.
    fn tag(&mut self, text: &str) {
        self.tags.extend(unquoted(text.trim()).trim_start_matches('#').parse::<Tag>().ok());
    }
}

/// The block and what follows it; none where the text does not begin with one that ends.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n"))?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if matches!(line.trim_end(), "---" | "...") {
            return Some((&rest[..at], &rest[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

fn unquoted(text: &str) -> &str {
    let within = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_are_read_in_every_usual_form() {
        for block in ["tags: [x, y]", "tags: x, y", "tags:\n  - x\n  - y", "tags:\n- '#x'\n- \"y\""] {
            let text = format!("---\nid: 7\n{block}\nauthor: z\n---\nbody");
            let found = FrontMatter::of(&text);
            assert_eq!(found.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["x", "y"], "{block}");
            assert_eq!(found.body, "body");
        }
    }

    #[test]
    fn a_rule_at_the_head_without_an_end_is_body() {
        let text = "---\nnot front matter";
        assert_eq!(FrontMatter::of(text).body, text);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(---\n)?([a-z:\\-\\[\\]' #é\n\r]{0,60})(---\n)?.{0,20}") {
            let _ = FrontMatter::of(&text);
        }
    }
}
