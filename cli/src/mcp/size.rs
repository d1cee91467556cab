//! Answers are kept small, for whoever reads them has little room: long texts lose their ends, and rows that are too many are left out. What was
//! cut off is said.

use domain::answer::{Page, Row};
use serde_json::Value;

/// Characters of a text in a list.
const IN_LIST: usize = 500;
/// Characters of a text of one row.
pub const OF_ONE: usize = 12_000;
/// Bytes of all rows of a list, as JSON.
const ROWS: usize = 24_000;

/// What a row may take.
struct Room {
    /// Characters of each text.
    text: usize,
    /// Bytes of all of it, as JSON. What is larger keeps its place and the beginning of its title, so that no row takes the place of others.
    row: usize,
}

const LISTED: Room = Room { text: IN_LIST, row: 6_000 };
const ALONE: Room = Room { text: OF_ONE, row: 100_000 };

/// How much was cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cut {
    texts: usize,
    bare: usize,
    rows: usize,
}

/// A page that is small enough, and what was cut off.
pub fn page(mut page: Page) -> (Page, Option<String>) {
    let mut cut = Cut::default();
    let (mut size, mut kept) = (0, 0);
    for row in &mut page.rows {
        let (texts, is_bare) = (shortened(row, LISTED.text, 0), bared(row, LISTED.row));
        size += bytes(row);
        // One row at least, or there would be no way on.
        if size > ROWS && kept > 0 {
            break;
        }
        (cut.texts, cut.bare) = (cut.texts + texts, cut.bare + usize::from(is_bare));
        kept += 1;
    }
    cut.rows = page.rows.len() - kept;
    page.rows.truncate(kept);
    let mut said = Vec::new();
    if cut.rows > 0 {
        // It goes on after the rows that are not here.
        page.next = None;
        said.push(format!("the last {} rows were left out: ask again with the same arguments and a limit of {kept}, and go on from there", cut.rows));
    }
    if cut.texts > 0 {
        said.push(format!("{} long texts lost their ends: `get` shows more of a row", cut.texts));
    }
    if cut.bare > 0 {
        said.push(format!("{} rows are too large and are shown by the beginning of their title alone", cut.bare));
    }
    (page, (!said.is_empty()).then(|| said.join("; ")))
}

/// A row that is small enough, its body from the character `begin` on, and what was cut off.
pub fn row(row: &mut Row, begin: usize) -> Option<String> {
    let body = row.item.body.as_ref().map_or(0, |body| body.chars().count());
    let texts = shortened(row, ALONE.text, begin);
    let end = begin.saturating_add(OF_ONE);
    if bared(row, ALONE.row) {
        return Some("the row is too large and is shown by the beginning of its title alone".to_owned());
    }
    let said = match (body > end, begin > 0) {
        (_, true) if body == 0 => "the row has no body that body_from could begin in".to_owned(),
        (_, true) if begin >= body => {
            format!("the body has {body} characters and ends before body_from {begin}: ask again with less")
        }
        (true, _) => format!(
            "the body goes on: it has {body} characters, shown are those from {begin} on; ask again with body_from {end}"
        ),
        (false, true) => format!("the first {begin} of {body} characters of the body are left out"),
        (false, false) if texts > 0 => "long texts lost their ends".to_owned(),
        (false, false) => return None,
    };
    Some(said)
}

/// Cuts every text of a row, and says how many were too long.
fn shortened(row: &mut Row, most: usize, begin: usize) -> usize {
    let item = &mut row.item;
    let mut cut = usize::from(begin > 0);
    if let Some(body) = &mut item.body {
        *body = body.chars().skip(begin).collect();
    }
    for text in [&mut item.title, &mut item.body].into_iter().flatten() {
        cut += usize::from(shorten(text, most));
    }
    cut + item.attributes.values_mut().map(|value| shorten_all(value, most)).sum::<usize>()
}

/// Leaves of a row that is too large what says which one it is. Whether it was.
fn bared(row: &mut Row, most: usize) -> bool {
    let is_too_large = bytes(row) > most;
    if is_too_large {
        let item = &mut row.item;
        if let Some(title) = &mut item.title {
            shorten(title, 200);
        }
        (item.body, item.team, item.project, item.owner) = (None, None, None, None);
        item.tags.clear();
        item.attributes.clear();
    }
    is_too_large
}

fn bytes(row: &Row) -> usize {
    serde_json::to_vec(row).map_or(ROWS, |json| json.len())
}

fn shorten_all(value: &mut Value, most: usize) -> usize {
    match value {
        Value::String(text) => usize::from(shorten(text, most)),
        Value::Array(values) => values.iter_mut().map(|value| shorten_all(value, most)).sum(),
        _ => 0,
    }
}

fn shorten(text: &mut String, most: usize) -> bool {
    let end = text.char_indices().nth(most).map(|(at, _)| at);
    if let Some(end) = end {
        text.truncate(end);
        text.push('…');
    }
    end.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{answer::Verdict, item::Item};
    use serde_json::json;

    fn one(title: &str, body: &str) -> Row {
        let item: Item = serde_json::from_value(json!({
            "id": "11111111-2222-4333-8444-555555555555", "resource": "notes", "created_at": "2026-11-21T09:15:00Z",
            "updated_at": "2026-11-21T09:15:00Z", "title": title, "body": body, "tags": [], "attributes": {"path": "x".repeat(600)}
        }))
        .unwrap();
        let as_of = item.created_at;
        Row { source: "work".to_owned(), as_of, late: false, cached: false, item }
    }

    #[test]
    fn a_list_that_is_too_large_loses_its_last_rows_and_the_way_past_them() {
        let rows = vec![one(&"é".repeat(500), ""); 60];
        let (small, said) =
            page(Page { rows, sources: Vec::new(), next: Some("cursor".to_owned()), verdict: Verdict::of(&[]) });
        let json = serde_json::to_vec(&small.rows).unwrap();
        assert!(small.next.is_none() && !small.rows.is_empty() && json.len() <= ROWS + 100, "{}", json.len());
        let said = said.unwrap();
        let left = 60 - small.rows.len();
        assert!(
            said.contains(&format!("the last {left} rows"))
                && said.contains(&format!("a limit of {}", small.rows.len())),
            "{said}"
        );
        // Of each row that is left its path; its title is as long as may be.
        assert!(
            said.contains(&format!("{} long texts lost their ends", small.rows.len()))
                && small.rows[0].item.attributes["path"].as_str().unwrap().ends_with('…')
        );
        let (same, said) = page(Page {
            rows: Vec::new(),
            sources: Vec::new(),
            next: Some("cursor".to_owned()),
            verdict: Verdict::of(&[]),
        });
        assert!(same.next.is_some() && said.is_none());
    }

    #[test]
    fn no_row_takes_the_place_of_others_however_large_it_is() {
        let huge = "x".repeat(1_000_000);
        let mut tags = one("tags", "");
        tags.item.tags = (0..50_000).map(|at| format!("tag-{at}").parse().unwrap()).collect();
        let mut nested = one("nested", "");
        nested.item.attributes.insert("a".to_owned(), json!({"b": [{"c": huge}]}));
        let mut named = one("named", "");
        named.item.attributes.insert(huge, json!(1));
        for large in [tags, nested, named] {
            let title = large.item.title.clone();
            let rows = vec![large.clone(), one("small", "")];
            let (small, said) =
                page(Page { rows, sources: Vec::new(), next: Some("on".into()), verdict: Verdict::of(&[]) });
            assert_eq!((small.rows.len(), &small.rows[0].item.title, small.next.is_some()), (2, &title, true));
            assert!(
                serde_json::to_vec(&small.rows).unwrap().len() < 3_000
                    && said.unwrap().contains("1 rows are too large")
            );
            let mut alone = large;
            assert!(row(&mut alone, 0).unwrap().contains("too large") && bytes(&alone) < 1_000);
        }
        assert!(row(&mut one("t", "b"), usize::MAX).is_some());
    }

    #[test]
    fn a_long_body_is_read_in_pieces() {
        let body = (0..OF_ONE + 5).map(|at| char::from(b'a' + u8::try_from(at % 26).unwrap())).collect::<String>();
        let mut first = one("t", &body);
        let said = row(&mut first, 0).unwrap();
        assert!(said.contains(&format!("ask again with body_from {OF_ONE}")), "{said}");
        let mut second = one("t", &body);
        assert!(row(&mut second, OF_ONE).unwrap().contains("are left out"));
        let pieces = format!("{}{}", first.item.body.unwrap().trim_end_matches('…'), second.item.body.unwrap());
        assert_eq!(pieces, body);
        assert_eq!(row(&mut one("t", "short"), 0), None);
        for begin in [5, 6, usize::MAX] {
            let mut short = one("t", "short");
            let said = row(&mut short, begin).unwrap();
            assert!(said.contains("the body has 5 characters and ends before body_from"), "{said}");
            assert_eq!(short.item.body.as_deref(), Some(""));
        }
        assert!(row(&mut one("t", "short"), 4).unwrap().contains("first 4 of 5"));
        assert!(row(&mut one("t", ""), 4).unwrap().contains("has no body"));
    }
}
