//! The block between two `---` lines at the head of a Markdown file, as far as an import uses it: `title`, and `tags` and
//! `aliases` as one line, a list in brackets or a list below; and what `export` adds of a row that Markdown has no place for.
//! Anything else in it is named and left out; what is no such block is body. A block that begins as one and is broken is told with its
//! line: half of it taken as text would be worse than the note left out.

use domain::id::Tag;
use std::collections::BTreeSet;

/// A file's text, its front matter read.
#[derive(Debug, Default)]
pub struct FrontMatter<'a> {
    /// `title:`.
    pub title: Option<String>,
    /// `tags:`.
    pub tags: BTreeSet<Tag>,
    /// `aliases:`, in order.
    pub aliases: Vec<String>,
    /// [`ROW`], with its line.
    pub row: Option<(usize, &'a str)>,
    /// Keys that nothing is made of.
    pub left_out: Vec<&'a str>,
    /// What follows the block.
    pub body: &'a str,
}

/// Where a block is broken, as people count lines, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// The line in the file, from 1.
    pub line: usize,
    /// Cause and next step.
    pub reason: &'static str,
}

/// What a block of TOML is told as.
const TOML: &str = "+++ (TOML)";

/// The key under which `export` keeps, as JSON, what a row has and its Markdown does not say.
pub const ROW: &str = "mosaic-fed";

const NO_END: &str = "front matter begins here and never ends; close it with a line of ---";
const NO_KEY: &str =
    "front matter with a line that is no `key: value`; correct it, or indent what continues the line before";
const STRUCTURE: &str = "a value of front matter that opens a structure of YAML which is not read; put quote marks around it, or take it out";
const OPEN_LIST: &str = "a list of tags that is never closed; end it with ]";

impl<'a> FrontMatter<'a> {
    /// Reads the text of a file.
    pub fn of(text: &'a str) -> Result<Self, Broken> {
        if let Some(body) = after_toml(text) {
            return Ok(Self { body, left_out: vec![TOML], ..Self::default() });
        }
        let Some((block, body)) = split(text)? else { return Ok(Self { body: text, ..Self::default() }) };
        let mut found = Self { body, ..Self::default() };
        let mut key = "";
        let mut open: Option<Open<'_>> = None;
        // Line 1 is the one that opens the block.
        for (line, number) in block.lines().zip(2..) {
            if let Some(list) = open.take() {
                open = found.list(list, line);
            } else if let Some((name, value)) = pair(line) {
                key = name;
                if opens_structure(key, value) {
                    return Err(Broken { line: number, reason: STRUCTURE });
                }
                open = found.take(key, value, number);
            } else if let Some(entry) = line.trim().strip_prefix("- ").filter(|_| is_list(key)) {
                found.entry(key, entry);
            } else if is_loose(line) {
                return Err(Broken { line: number, reason: NO_KEY });
            }
        }
        open.map_or(Ok(found), |list| Err(Broken { line: list.line, reason: OPEN_LIST }))
    }

    /// Takes what is used; a list in brackets may go on in the lines below.
    fn take(&mut self, key: &'a str, value: &'a str, line: usize) -> Option<Open<'a>> {
        match key {
            "title" => self.title = Some(unquoted(value).to_owned()).filter(|title| !title.trim().is_empty()),
            ROW => self.row = Some((line, value)),
            _ if is_list(key) => match value.strip_prefix('[') {
                Some(inner) => return self.list(Open { key, line }, inner),
                // Unquoted and without commas they are told apart by blanks, which no program has in a tag.
                None if !is_alias(key) && !value.contains([',', '"', '\'']) => {
                    value.split_whitespace().for_each(|entry| self.entry(key, entry));
                }
                None => value.split(',').for_each(|entry| self.entry(key, entry)),
            },
            _ => self.left_out.push(key),
        }
        None
    }

    fn list(&mut self, open: Open<'a>, text: &str) -> Option<Open<'a>> {
        let (inner, ended) = text.split_once(']').map_or((text, false), |(inner, _)| (inner, true));
        inner.split(',').for_each(|entry| self.entry(open.key, entry));
        (!ended).then_some(open)
    }

    /// A label that is no valid tag is left out rather than keeping the whole note out.
    fn entry(&mut self, key: &str, text: &str) {
        let text = unquoted(text.trim());
        if is_alias(key) {
            self.aliases.extend(Some(text.to_owned()).filter(|alias| !alias.is_empty()));
        } else {
            self.tags.extend(text.trim_start_matches('#').parse::<Tag>().ok());
        }
    }
}

/// A list of this key whose bracket is open since this line.
struct Open<'a> {
    key: &'a str,
    line: usize,
}

fn is_list(key: &str) -> bool {
    matches!(key, "tags" | "tag") || is_alias(key)
}

fn is_alias(key: &str) -> bool {
    matches!(key, "aliases" | "alias")
}

/// `key: value` at the beginning of a line.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t', '-', '#']))?;
    Some((name.trim(), value.trim()))
}

/// What YAML lets begin a line besides a key: nothing, a comment, an entry, or what belongs to the line before.
fn is_loose(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with([' ', '\t', '-', '#', ']', '}', '"', '\'', '?', '%'])
}

/// Whether the value of a key that is read begins what only a reader of all of YAML understands: as text it would be wrong.
fn opens_structure(key: &str, value: &str) -> bool {
    let is_block = || value.starts_with(['|', '>']) && value[1..].chars().all(|c| "+-0123456789".contains(c));
    match key {
        "title" => value.starts_with(['[', '{']) || is_block(),
        key if is_list(key) => value.starts_with('{') || is_block(),
        _ => false,
    }
}

/// What follows a block of TOML between two lines of `+++`, as some programs begin a file; none where there is no such block.
fn after_toml(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("+++\n").or_else(|| text.strip_prefix("+++\r\n"))?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        at += line.len();
        if line.trim_end() == "+++" {
            return rest.get(at..);
        }
    }
    None
}

/// The block and what follows it; none where the text has no front matter: a rule with a paragraph below it is none.
fn split(text: &str) -> Result<Option<(&str, &str)>, Broken> {
    let rest = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n"));
    let Some(rest) = rest.filter(|rest| begins_with_a_key(rest)) else { return Ok(None) };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if matches!(line.trim_end(), "---" | "...") {
            return Ok(Some((&rest[..at], &rest[at + line.len()..])));
        }
        at += line.len();
    }
    Err(Broken { line: 1, reason: NO_END })
}

/// Whether the first line that says something is a key, or the end of an empty block.
fn begins_with_a_key(rest: &str) -> bool {
    let first = rest.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or_default();
    let named = |name: &str| name.chars().all(|c| c.is_alphanumeric() || "_-.\"'".contains(c)) && !name.is_empty();
    let is_key = pair(first).is_some_and(|(name, value)| named(name) && !value.starts_with("//"));
    is_key || matches!(first.trim_end(), "---" | "...")
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
        for block in
            ["tags: [x, y]", "tags: [x,\n  y\n]", "tags: x, y", "tags:\n  - x\n  - y", "tags:\n- '#x'\n- \"y\""]
        {
            let text = format!("---\nid: 7\n{block}\nauthor: z\n---\nbody");
            let found = FrontMatter::of(&text).unwrap();
            assert_eq!(found.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["x", "y"], "{block}");
            assert_eq!(found.body, "body");
        }
    }

    #[test]
    fn tags_on_one_line_without_commas_are_told_apart_by_blanks() {
        let tags = |line: &str| {
            let text = format!("---\n{line}\n---\n");
            FrontMatter::of(&text).unwrap().tags.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(tags("tags: shared private"), ["private", "shared"]);
        assert_eq!(tags("tags: \"one tag\""), ["one tag"]);
        assert_eq!(tags("tags: a b, c"), ["a b", "c"]);
    }

    #[test]
    fn toml_is_front_matter_that_is_left_out() {
        let found = FrontMatter::of("+++\ntitle = \"x\"\n+++\nbody").unwrap();
        assert_eq!((found.left_out, found.body), (vec![TOML], "body"));
        assert_eq!(FrontMatter::of("+++\nand no end").unwrap().body, "+++\nand no end");
    }

    #[test]
    fn aliases_are_read_as_tags_are() {
        for block in ["aliases: [x y, z]", "alias: x y, z", "aliases:\n  - x y\n  - \"z\""] {
            let text = format!("---\n{block}\n---\nbody");
            assert_eq!(FrontMatter::of(&text).unwrap().aliases, ["x y", "z"], "{block}");
        }
    }

    #[test]
    fn a_rule_with_a_paragraph_below_it_is_body() {
        for text in [
            "---\nnot front matter",
            "---\nA heading\n---\ntext",
            "---\n\nSee https://a.example: it\n---\n",
            "---\nhttps://a.example\n---\n",
        ] {
            assert_eq!(FrontMatter::of(text).unwrap().body, text);
        }
        assert_eq!(FrontMatter::of("---\nsource: https://a.example\n---\nbody").unwrap().body, "body");
        assert_eq!(FrontMatter::of("---\n---\nbody").unwrap().body, "body");
    }

    #[test]
    fn a_broken_block_is_refused_at_its_line() {
        let broken = [
            ("---\ntitle: x\nbody and no end", 1, NO_END),
            ("---\ntitle: x\nthis is no key\n---\nbody", 3, NO_KEY),
            ("---\na: b\ntags: [x, y\nmore: z\n---\nbody", 3, OPEN_LIST),
            ("---\ntitle: [broken\n---\nbody", 2, STRUCTURE),
            ("---\ntitle: >-\n  long\n---\nbody", 2, STRUCTURE),
            ("---\na: b\ntags: {a: b}\n---\nbody", 3, STRUCTURE),
        ];
        for (text, line, reason) in broken {
            assert_eq!(FrontMatter::of(text).unwrap_err(), Broken { line, reason }, "{text}");
        }
    }

    #[test]
    fn what_yaml_puts_on_several_lines_is_left_alone() {
        let text = "---\n# comment\ntitle: x\nabout: >\n  long\n  text\nlist:\n- a\n- b\nflow: {a: 1,\n  b: 2\n}\n\nlast: y\n---\nbody";
        let found = FrontMatter::of(text).unwrap();
        assert_eq!((found.title.as_deref(), found.body), (Some("x"), "body"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(---\n)?([a-z:\\-\\[\\]' #é\n\r]{0,60})(---\n)?.{0,20}") {
            let _: Result<_, _> = FrontMatter::of(&text);
        }
    }
}
