//! A Markdown file as an item: its title from the front matter, else its first heading, else its name.

use super::{
    Common, Found, Refused,
    front_matter::{Broken, FrontMatter},
    walk::File,
};
use domain::{
    Time,
    item::{MAX_ITEM_BYTES, NewItem},
};
use serde_json::{Map, Value};
use std::{fs, io::Read, path::Path};
use time::OffsetDateTime;

/// Characters of a title at most; the rest of a longer heading stays in the body.
const MAX_TITLE: usize = 300;

/// Reads one file.
pub fn read(file: &File, common: &Common) -> Result<Found, Refused> {
    let refuse = |reason: String| Refused { at: file.relative.clone(), reason };
    let (text, created_at) = load(&file.path).map_err(refuse)?;
    let front = FrontMatter::of(&text).map_err(|Broken { line, reason }| Refused {
        at: format!("{}:{line}", file.relative),
        reason: reason.to_owned(),
    })?;
    let title = front.title.clone().or_else(|| heading(front.body)).unwrap_or_else(|| stem(&file.relative));
    let mut attributes = Map::new();
    if common.kind.as_str() == "notes" {
        attributes.insert("path".to_owned(), Value::from(file.relative.clone()));
    }
    let item = NewItem {
        resource: common.kind.clone(),
        title: clean_title(&title),
        body: (!front.body.trim().is_empty()).then(|| front.body.to_owned()),
        team: common.team.clone(),
        project: common.project.clone(),
        tags: front.tags,
        attributes,
        source_key: Some(format!("{}/{}", common.source, file.relative)),
        created_at,
    };
    Ok(Found { at: file.relative.clone(), item })
}

/// The text and when the file last changed. A file that is too large is not read whole first.
fn load(path: &Path) -> Result<(String, Option<Time>), String> {
    let file = fs::File::open(path).map_err(|error| super::unread(&error))?;
    let changed = file.metadata().and_then(|meta| meta.modified()).ok();
    let mut bytes = Vec::new();
    file.take(MAX_ITEM_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| super::unread(&error))?;
    if bytes.len() > MAX_ITEM_BYTES {
        return Err(format!("larger than {MAX_ITEM_BYTES} bytes; split it"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        format!("no UTF-8 at byte {}; convert it, as in `iconv -t UTF-8`", error.utf8_error().valid_up_to())
    })?;
    if text.contains('\0') {
        return Err("holds a NUL byte: no text; save it as text, or leave it out".to_owned());
    }
    let text = text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned);
    Ok((text, changed.map(|changed| OffsetDateTime::from(changed).into())))
}

/// The first heading of the highest kinds, `# …` or a line underlined with `=`; code blocks aside.
fn heading(body: &str) -> Option<String> {
    let mut fence: Option<&str> = None;
    let mut before = "";
    for line in body.lines() {
        let trimmed = line.trim();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        if fence.is_none() {
            let underlined = trimmed.len() >= 3 && trimmed.bytes().all(|byte| byte == b'=');
            let found = trimmed.strip_prefix("# ").or(underlined.then_some(before));
            if let Some(found) =
                found.map(|text| text.trim().trim_end_matches('#').trim()).filter(|text| !text.is_empty())
            {
                return Some(found.to_owned());
            }
        }
        before = trimmed;
    }
    None
}

fn stem(relative: &str) -> String {
    let stem = Path::new(relative).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.filter(|stem| !stem.is_empty()).unwrap_or_else(|| relative.to_owned())
}

/// One line of sensible length.
fn clean_title(title: &str) -> String {
    let line: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(MAX_TITLE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str) -> Result<Found, Refused> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weekly-plan.md");
        std::fs::write(&path, text).unwrap();
        let file = File { path, relative: "weekly-plan.md".into(), kind: super::super::walk::Kind::Markdown };
        let common = Common { kind: "notes".parse().unwrap(), team: None, project: None, source: "src".into() };
        read(&file, &common)
    }

    #[test]
    fn a_title_comes_from_front_matter_then_heading_then_name() {
        let title = |text: &str| note(text).unwrap().item.title;
        assert_eq!(title("---\ntitle: From the front\n---\n# Heading\n"), "From the front");
        assert_eq!(title("intro\n\n# Heading #\ntext"), "Heading");
        assert_eq!(title("Under\n=====\ntext"), "Under");
        assert_eq!(title("```\n# a comment\n```\n# Real"), "Real");
        assert_eq!(title("no heading at all"), "weekly-plan");
        assert_eq!(title(""), "weekly-plan");
    }

    #[test]
    fn tags_leave_the_front_matter_and_the_body_keeps_the_rest() {
        let item = note("---\ntags: [a, \"b c\"]\n---\nbody\n").unwrap().item;
        assert_eq!(item.tags.iter().map(domain::id::Tag::as_str).collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!(item.body.as_deref(), Some("body\n"));
        assert_eq!(item.source_key.as_deref(), Some("src/weekly-plan.md"));
        assert!(item.created_at.is_some());
    }

    #[test]
    fn what_is_no_text_or_too_large_is_refused_with_a_reason() {
        assert!(note("a\0b").err().unwrap().reason.contains("NUL"));
        assert!(note(&"x".repeat(MAX_ITEM_BYTES + 1)).err().unwrap().reason.contains("larger"));
        assert!(note(&"x".repeat(MAX_ITEM_BYTES)).is_ok());
    }
}
