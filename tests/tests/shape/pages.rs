//! Pages that people read: short enough to be read, with links that lead somewhere and name what is there.

use super::root;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// `[text](target)` with the line it stands on.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    text: String,
    target: String,
}

/// Links of a Markdown page, those inside fenced blocks left out.
fn links(page: &str) -> Vec<Link> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (at, line) in page.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let mut rest = if fenced { "" } else { line };
        while let Some((before, after)) = rest.split_once("](") {
            let (target, tail) = after.split_once(')').unwrap_or((after, ""));
            let text = before.rsplit_once('[').map_or("", |(_, text)| text);
            found.push(Link { line: at + 1, text: text.to_owned(), target: target.to_owned() });
            rest = tail;
        }
    }
    found
}

/// The file and the line number that a relative link leads to.
fn destination(page: &Path, target: &str) -> (PathBuf, Option<usize>) {
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let line = fragment.strip_prefix('L').and_then(|line| line.parse().ok());
    (page.parent().unwrap_or(page).join(path), line)
}

/// The last segment of a name in backticks: `road::stack()` names `stack`.
fn named(text: &str) -> Option<&str> {
    let name = text.split('`').nth(1)?;
    name.trim_end_matches("()").rsplit("::").next()
}

/// Where `name` is defined as a function, one number a definition.
fn definitions(source: &str, name: &str) -> Vec<usize> {
    let defines = |line: &str| {
        let after = line.split_once(&format!("fn {name}")).map(|(_, after)| after);
        after.is_some_and(|after| after.starts_with(['(', '<']))
    };
    source.lines().enumerate().filter(|(_, line)| defines(line)).map(|(at, _)| at + 1).collect()
}

/// What is wrong with a link that names a function, if anything.
fn fault(page: &Path, link: &Link) -> Option<String> {
    let at = |what: &str| Some(format!("{}:{}: [{}]: {what}", page.display(), link.line, link.text));
    let (file, number) = destination(page, &link.target);
    let Some(name) = named(&link.text) else {
        return at("names no function in backticks");
    };
    let Ok(source) = fs::read_to_string(&file) else {
        return at(&format!("{} cannot be read", file.display()));
    };
    let found = definitions(&source, name);
    match number {
        _ if found.is_empty() => at(&format!("no `fn {name}` in {}", link.target)),
        Some(number) if !found.contains(&number) => at(&format!("`fn {name}` is on line {found:?}")),
        _ => None,
    }
}

fn is_relative(link: &Link) -> bool {
    !link.target.contains("://") && !link.target.starts_with('#') && !link.target.starts_with("mailto:")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The README, the changelog and everything below `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    for directory in ["docs", "docs/adr"] {
        let entries = fs::read_dir(root().join(directory)).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    pages
}

#[test]
fn each_step_of_one_request_leads_to_the_function_it_names() {
    let page = root().join("docs/one-request.md");
    let text = read("docs/one-request.md");
    let steps = links(&text);
    let faults: Vec<_> = steps.iter().filter_map(|link| fault(&page, link)).collect();
    assert_eq!(faults, Vec::<String>::new());
    assert!(steps.len() >= 12, "{} steps cannot lead from keystroke to row and back", steps.len());
}

#[test]
fn every_relative_link_of_every_page_leads_to_a_file() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        let relative = links(&text).into_iter().filter(is_relative);
        let gone = relative.filter(|link| !destination(&page, &link.target).0.exists());
        dead.extend(gone.map(|link| format!("{}:{}: {}", page.display(), link.line, link.target)));
    }
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn pages_are_as_short_as_they_promise() {
    let limits = [("README.md", 150), ("docs/architecture.md", 200), ("docs/one-request.md", 60)];
    let long = limits.map(|(name, limit)| (name, read(name).lines().count().saturating_sub(limit)));
    assert_eq!(long, limits.map(|(name, _)| (name, 0)), "lines over the limit");
}

#[test]
fn a_planted_dead_link_and_a_wrong_name_are_found() {
    let page = root().join("docs/any.md");
    let judge = |text: &str| links(text).iter().filter_map(|link| fault(&page, link)).collect::<Vec<_>>();
    let here = "../tests/tests/shape/pages.rs";
    assert_eq!(judge(&format!("1. [`pages::named`]({here}) and [`links()`]({here})")), Vec::<String>::new());
    for bad in [
        format!("[`absent`]({here})"),
        format!("[named]({here})"),
        "[`named`](../tests/gone.rs)".to_owned(),
        format!("[`named`]({here}#L1)"),
    ] {
        assert_eq!(judge(&bad).len(), 1, "{bad}");
    }
}

#[test]
fn links_inside_a_fenced_block_are_text() {
    assert_eq!(links("```\n[a](b)\n```\nx [c](d#L3) y"), [Link { line: 4, text: "c".into(), target: "d#L3".into() }]);
}
