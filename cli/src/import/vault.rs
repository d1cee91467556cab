//! What the text of a note says: its heading, the notes it links to, the files it shows or names, and the tags written into it.
//! Read as Markdown is parsed, once for all of them, so that code is never taken for a heading, a link or a tag.

use domain::id::Tag;
use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag as Element, TagEnd, TextMergeStream};
use std::collections::{BTreeSet, HashSet};

/// Files that notes show or name by these endings; any other ending belongs to a note's name, as in `Node.js`.
const ATTACHED: &str = "png jpg jpeg gif bmp svg webp avif heic tif tiff ico mp3 wav m4a ogg 3gp flac opus aac webm mp4 ogv mov \
     mkv avi pdf canvas base excalidraw drawio zip gz tar 7z doc docx odt rtf xls xlsx ods csv tsv ppt pptx odp txt json xml \
     html htm eml ics epub key";

/// What was found in a note, each thing once, in the order of its first place.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NoteText {
    /// The first heading of level 1, without its marks; one in a quotation or a list is part of these.
    pub heading: Option<String>,
    /// Names of notes, without folder, ending and heading.
    pub links: Vec<String>,
    /// Names of files, without their folder.
    pub attachments: Vec<String>,
    /// Tags written as `#tag`.
    pub tags: BTreeSet<Tag>,
}

/// Names in the order of their first place.
#[derive(Default)]
struct Names {
    known: HashSet<String>,
    order: Vec<String>,
}

impl Names {
    fn add(&mut self, name: &str) {
        let name = name.trim();
        if !name.is_empty() && self.known.insert(name.to_owned()) {
            self.order.push(name.to_owned());
        }
    }
}

/// What a note leads to.
#[derive(Default)]
struct Targets {
    links: Names,
    attachments: Names,
}

impl NoteText {
    /// Reads the text of a note, without its front matter.
    pub fn of(body: &str) -> Self {
        let options = Options::ENABLE_WIKILINKS
            | Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS;
        let mut reader = Reader::default();
        TextMergeStream::new(Parser::new_ext(body, options)).for_each(|event| reader.take(&event));
        let Reader { found, targets, .. } = reader;
        Self { links: targets.links.order, attachments: targets.attachments.order, ..found }
    }
}

impl Targets {
    fn wiki(&mut self, target: &str) {
        // In a table the bar has a backslash before it.
        let target = target.split(['#', '|', '^']).next().unwrap_or_default().trim_end_matches('\\');
        let name = last_part(target);
        if is_attached(name) {
            self.attachments.add(name);
        } else {
            self.links.add(without_ending(name).unwrap_or(name));
        }
    }

    /// A link with a scheme leads out of the vault, and one that begins with `#` stays in the note.
    fn relative(&mut self, target: &str) {
        let target = target.split(['#', '?']).next().unwrap_or_default();
        let has_scheme = target.split('/').next().is_some_and(|first| first.contains(':'));
        if target.is_empty() || has_scheme || target.starts_with("//") {
            return;
        }
        let decoded = decoded(target);
        let name = last_part(&decoded);
        if let Some(note) = without_ending(name) {
            self.links.add(note);
        } else if name.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && is_ending(ending)) {
            self.attachments.add(name);
        }
    }
}

#[derive(Default)]
struct Reader {
    /// Heading and tags.
    found: NoteText,
    targets: Targets,
    /// What was read of the heading that is open.
    heading: Option<String>,
    /// How many elements are open.
    depth: u32,
    /// How many links, images and code blocks are open: their text holds no tags.
    within: u32,
    /// Whether the character before is part of a word: a `#` after it begins no tag.
    glued: bool,
}

impl Reader {
    fn take(&mut self, event: &Event<'_>) {
        self.heading(event);
        self.mentions(event);
    }

    fn heading(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(element) => {
                let is_first = matches!(element, Element::Heading { level: HeadingLevel::H1, .. })
                    && self.depth == 0
                    && self.found.heading.is_none();
                self.heading = if is_first { Some(String::new()) } else { self.heading.take() };
                self.depth += 1;
            }
            Event::End(element) => {
                self.depth = self.depth.saturating_sub(1);
                if let (TagEnd::Heading(_), Some(text)) = (element, self.heading.take_if(|_| self.depth == 0)) {
                    self.found.heading = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
                }
            }
            Event::Text(text) | Event::Code(text) => self.heading.iter_mut().for_each(|heading| heading.push_str(text)),
            Event::SoftBreak | Event::HardBreak => self.heading.iter_mut().for_each(|heading| heading.push(' ')),
            _ => {}
        }
    }

    fn mentions(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(Element::Link { link_type, dest_url, .. } | Element::Image { link_type, dest_url, .. }) => {
                self.link(*link_type, dest_url);
                self.within += 1;
            }
            Event::Start(Element::CodeBlock(_)) => self.within += 1,
            Event::End(TagEnd::Link | TagEnd::Image | TagEnd::CodeBlock) => {
                self.within = self.within.saturating_sub(1);
                self.glued = true;
            }
            Event::Text(text) => {
                if self.within == 0 {
                    self.tags(text);
                }
                self.glued = text.chars().next_back().is_some_and(|last| !last.is_whitespace());
            }
            Event::Code(_) | Event::InlineHtml(_) => self.glued = true,
            Event::Start(Element::Emphasis | Element::Strong | Element::Strikethrough)
            | Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough) => {}
            _ => self.glued = false,
        }
    }

    fn link(&mut self, kind: LinkType, target: &CowStr<'_>) {
        match kind {
            LinkType::WikiLink { .. } => self.targets.wiki(target),
            LinkType::Autolink | LinkType::Email => {}
            _ => self.targets.relative(target),
        }
    }

    /// `#` after a space, then letters, digits, `_`, `-` or `/`, not digits alone.
    fn tags(&mut self, text: &str) {
        let mut before = self.glued.then_some('x');
        let mut rest = text;
        while let Some(at) = rest.find('#') {
            let (head, tail) = (&rest[..at], &rest[at + 1..]);
            let stands_alone = head.chars().next_back().or(before).is_none_or(char::is_whitespace);
            let end = tail.find(|c: char| !(c.is_alphanumeric() || "_-/".contains(c))).unwrap_or(tail.len());
            let name = tail[..end].trim_end_matches('/');
            if stands_alone && name.chars().any(|c| !c.is_ascii_digit()) {
                self.found.tags.extend(name.parse::<Tag>().ok());
            }
            before = tail[..end].chars().next_back().or(Some('#'));
            rest = &tail[end..];
        }
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path).trim()
}

fn is_attached(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ATTACHED.split(' ').any(|known| ending.eq_ignore_ascii_case(known)))
}

fn is_ending(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The name of a Markdown file without its ending.
fn without_ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    let is_note = ending.eq_ignore_ascii_case("md") || ending.eq_ignore_ascii_case("markdown");
    (is_note && !stem.is_empty()).then_some(stem)
}

/// `%20` and its like as the characters they stand for (RFC 3986 section 2.1); text that is none of it stays as it is.
fn decoded(target: &str) -> String {
    let bytes = target.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at..at + 3).filter(|code| code[0] == b'%').and_then(|code| hex(&code[1..]));
        plain.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(plain).unwrap_or_else(|_| target.to_owned())
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_what_markdown_shows_as_one() {
        let heading = |text: &str| NoteText::of(text).heading;
        for text in [
            "# Plain",
            "   # Plain ##",
            "Plain\n===",
            "Plain\n=",
            "# **Pl*ai*n**",
            "# `Plain`",
            "# [Plain](x.md)",
            "# [[Note|Plain]]",
            "intro\n\n## Part\n\n# Plain\n\n# Further",
            "    # indented code\n\n# Plain",
            "````\n```\n# fenced\n```\n````\n# Plain",
            "~~~\n```\n# fenced\n~~~\n# Plain",
            "> # quoted\n\n- # listed\n\n# Plain",
            "<!--\n# commented out\n-->\n\n#\n\n# Plain\r\ntext",
        ] {
            assert_eq!(heading(text).as_deref(), Some("Plain"), "{text}");
        }
        assert_eq!(heading("Two\nlines\n===").as_deref(), Some("Two lines"));
        for text in ["#tag", "## Part", "Part\n---", "\\# escaped", "```\n# never closed", "text = # x"] {
            assert_eq!(heading(text), None, "{text}");
        }
    }

    #[test]
    fn links_lead_to_notes_by_name_whatever_their_form() {
        let found = NoteText::of(
            "[[Plain]] [[folder/Deep|shown]] [[Plain#Heading]] [[#here]] [[Node.js]] [a](other%20note.md#x) ![[Embedded]]\n\n\
             [out](https://a.example/b.md) <https://c.example> [mail](mailto:a@b.example) [in](#below) [[With^block]]",
        );
        assert_eq!(found.links, ["Plain", "Deep", "Node.js", "other note", "Embedded", "With"]);
        assert_eq!(found.attachments, Vec::<String>::new());
    }

    #[test]
    fn a_note_of_very_many_links_is_read_in_no_more_time_for_each() {
        let links: Vec<_> = (0..40_000).map(|number| format!("[[n{number}]] ![[p{number}.png]] [[n0]] ")).collect();
        let found = NoteText::of(&links.concat());
        assert_eq!((found.links.len(), found.attachments.len()), (40_000, 40_000));
    }

    #[test]
    fn attachments_are_what_is_shown_or_named_and_no_note() {
        let found = NoteText::of(
            "![[img/a.PNG|300]] ![b](pics/b%20c.jpg) [[paper.pdf#page=2]] [d](../d.tar.gz) ![x](http://e.example/f.png)",
        );
        assert_eq!(found.attachments, ["a.PNG", "b c.jpg", "paper.pdf", "d.tar.gz"]);
        assert_eq!(found.links, Vec::<String>::new());
    }

    #[test]
    fn code_holds_neither_links_nor_tags() {
        let found = NoteText::of("`[[a]] #b`\n\n```\n[[c]] #d\n```\n\n    [[e]] #f\n\n~~~md\n![[g.png]]\n~~~\n");
        assert_eq!(found, NoteText::default());
    }

    #[test]
    fn a_tag_stands_alone_and_is_no_number_and_no_heading() {
        let found = NoteText::of(
            "# Heading\n#one text #two/three,\nx#no `c`#no #2026 #4th [#link](x.md) **#bold** #ünï-code_1 a #\n",
        );
        let tags: Vec<_> = found.tags.iter().map(Tag::as_str).collect();
        assert_eq!(tags, ["4th", "bold", "one", "two/three", "ünï-code_1"]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[\\[\\]!#|()a%2é` \n-]{0,80}") {
            let _: NoteText = NoteText::of(&text);
        }
    }
}
