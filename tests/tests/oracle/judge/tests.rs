use super::*;
use domain::{Time, id::ItemId};
use std::time::Duration;
use uuid::Uuid;

fn known(at: i64) -> Known {
    Known {
        position: Position {
            created_at: Time::from_seconds(at),
            id: ItemId(Uuid::from_u128(at.unsigned_abs().into())),
        },
        title: Some(format!("row {at}")),
        body: None,
        project: None,
        tags: BTreeSet::new(),
    }
}

fn wanted(name: &str, rows: &[i64]) -> Wanted {
    let rows = rows.iter().map(|at| known(*at)).collect();
    Wanted { name: name.to_owned(), rows, cap: 10_000, shares: true, withheld: Some(1) }
}

/// `here` has 8 and 4; `work` 9, 7, 6 and 2.
fn sources() -> Vec<Wanted> {
    vec![wanted(HERE, &[8, 4]), wanted("work", &[9, 7, 6, 2])]
}

fn row(source: &str, at: i64) -> Row {
    let Position { created_at, id } = known(at).position;
    let item = Item {
        id,
        resource: "tasks".parse().expect("a kind"),
        created_at,
        updated_at: created_at,
        title: Some(format!("row {at}")),
        body: None,
        team: None,
        project: None,
        owner: None,
        tags: BTreeSet::new(),
        attributes: serde_json::Map::new(),
    };
    Row { source: source.to_owned(), as_of: created_at, late: false, cached: false, item }
}

fn end(source: &str, outcome: Outcome, rows: u64, truncated: bool) -> SourceOutcome {
    let reason = if outcome == Outcome::Ok { "" } else { "for a reason" };
    SourceOutcome { rows, truncated, ..SourceOutcome::empty(source, outcome, reason, Duration::ZERO) }
}

fn page(rows: &[(&str, i64)], sources: Vec<SourceOutcome>, goes_on: bool) -> Page {
    let rows = rows.iter().map(|(source, at)| row(source, *at)).collect();
    let verdict = Verdict::of(&sources);
    Page { rows, sources, next: goes_on.then(|| "on".to_owned()), verdict }
}

fn first() -> Page {
    let ends = vec![end(HERE, Outcome::Ok, 1, true), end("work", Outcome::Ok, 2, true)];
    page(&[("work", 9), (HERE, 8), ("work", 7)], ends, true)
}

fn last() -> Page {
    let ends = vec![end(HERE, Outcome::Ok, 1, false), end("work", Outcome::Ok, 2, false)];
    page(&[("work", 6), (HERE, 4), ("work", 2)], ends, false)
}

/// The first complaint about these pages.
fn complaint(pages: &[Page], circumstances: &Circumstances) -> Option<Complaint> {
    let wanted = sources();
    let mut paging = Paging::of(&wanted, 3, false);
    let judged = pages.iter().try_for_each(|page| paging.page(page, circumstances));
    judged.and_then(|()| paging.end_of_all()).err()
}

fn harmed() -> Circumstances {
    Circumstances { harmed: ["work".to_owned()].into(), ..Circumstances::default() }
}

#[test]
fn a_true_answer_has_no_complaint() {
    assert_eq!(complaint(&[first(), last()], &Circumstances::default()), None);
}

/// One way to be wrong.
type Lie = (&'static str, fn(&mut Page));

#[test]
fn each_lie_of_a_page_is_found() {
    let lies: [Lie; 14] = [
        ("a row is dropped", |page| drop(page.rows.remove(0))),
        ("a row comes twice", |page| page.rows[2] = page.rows[0].clone()),
        ("a row is invented", |page| page.rows[1] = row(HERE, 5)),
        ("a row is another source's", |page| page.rows[1].source = "work".into()),
        ("a field is another one", |page| page.rows[0].item.title = None),
        ("a body was not asked for", |page| page.rows[0].item.body = Some("text".into())),
        ("rows are out of order", |page| page.rows.swap(0, 1)),
        ("a row is flagged late", |page| page.rows[0].late = true),
        ("an end is left out", |page| drop(page.sources.remove(1))),
        ("an end counts wrongly", |page| page.sources[1].rows = 1),
        ("nothing is said to follow", |page| page.sources[1].truncated = false),
        ("fields are said to be kept back", |page| page.sources[1].withheld = Some(9)),
        ("something is said to be missing", |page| page.verdict.complete = false),
        ("there is no next page", |page| page.next = None),
    ];
    for (lie, tell) in lies {
        let mut told = first();
        tell(&mut told);
        assert!(complaint(&[told, last()], &Circumstances::default()).is_some(), "{lie}");
    }
}

#[test]
fn a_source_that_is_passed_over_is_found() {
    // The page counts rightly and ends at its limit, but without the row 7 of `work`.
    let ends = vec![end(HERE, Outcome::Ok, 2, false), end("work", Outcome::Ok, 1, true)];
    let told = page(&[("work", 9), (HERE, 8), (HERE, 4)], ends, true);
    assert!(complaint(&[told], &Circumstances::default()).is_some_and(|found| found.text.contains("passed over")));
}

fn gap(outcome: Outcome) -> Page {
    page(&[(HERE, 8), (HERE, 4)], vec![end(HERE, Outcome::Ok, 2, false), end("work", outcome, 0, false)], true)
}

/// What `work` gives later, some of which is late.
fn caught_up() -> Vec<Page> {
    let mut late = page(&[("work", 9), ("work", 7), ("work", 6)], vec![end("work", Outcome::Ok, 3, true)], true);
    late.rows.iter_mut().for_each(|row| row.late = true);
    vec![late, page(&[("work", 2)], vec![end("work", Outcome::Ok, 1, false)], false)]
}

#[test]
fn a_gap_needs_harm_and_late_rows_their_flag() {
    for outcome in [Outcome::Timeout, Outcome::Offline, Outcome::Error] {
        let pages = [vec![gap(outcome)], caught_up()].concat();
        assert_eq!(complaint(&pages, &harmed()), None, "{outcome}");
        let found = complaint(&pages, &Circumstances::default()).expect("nothing was done to it");
        assert_eq!(found.is_late, outcome != Outcome::Error, "{outcome}");
    }
    for outcome in [Outcome::Denied, Outcome::Revoked, Outcome::RateLimited, Outcome::Partial] {
        assert!(complaint(&[gap(outcome)], &harmed()).is_some(), "no harm makes {outcome}");
    }
    let mut unflagged = caught_up();
    unflagged[0].rows[2].late = false;
    assert!(complaint(&[vec![gap(Outcome::Offline)], unflagged].concat(), &harmed()).is_some());
}

#[test]
fn a_gap_that_nobody_says_is_found() {
    let mut swallowed = gap(Outcome::Offline);
    swallowed.verdict = Verdict { complete: true, missing: None };
    assert!(complaint(&[swallowed], &harmed()).is_some());
    let mut ok = gap(Outcome::Ok);
    ok.next = None;
    assert!(complaint(&[ok], &harmed()).is_some(), "ok without its rows");
    let mut elsewhere = gap(Outcome::Offline);
    elsewhere.verdict.missing = Some("the rows of lab (offline) are missing".into());
    assert!(complaint(&[elsewhere], &harmed()).is_some());
}

#[test]
fn a_grant_that_has_ended_and_a_link_that_is_gone_give_no_row_whatever_was_done_to_them() {
    let gone = |set: fn(&mut Circumstances) -> &mut BTreeSet<String>| {
        let mut circumstances = harmed();
        set(&mut circumstances).insert("work".into());
        circumstances
    };
    let (revoked, removed) = (gone(|all| &mut all.revoked), gone(|all| &mut all.removed));
    let told = |outcome| Page { next: None, ..gap(outcome) };
    for circumstances in [&revoked, &removed] {
        assert_eq!(complaint(&[told(Outcome::Revoked)], circumstances), None);
        assert!(complaint(&[first(), last()], circumstances).is_some(), "it gave rows");
    }
    assert!(complaint(&[gap(Outcome::Offline)], &removed).is_some(), "whoever is removed is not asked");
}

#[test]
fn each_lie_of_a_stream_is_found() {
    let wanted = sources();
    let ends = [end(HERE, Outcome::Ok, 2, false), end("work", Outcome::Ok, 3, true)];
    let rows = [(HERE, 8), ("work", 9), (HERE, 4), ("work", 7), ("work", 6)];
    let rows = rows.map(|(source, at)| Step::Row(Box::new(row(source, at))));
    let steps: Vec<Step> =
        rows.into_iter().chain(ends.clone().map(Step::End)).chain([Step::Verdict(Verdict::of(&ends))]).collect();
    let judge = |steps: &[Step]| stream(&wanted, (3, false), steps, &Circumstances::default());
    assert_eq!(judge(&steps), Ok(()));
    for at in 0..steps.len() {
        let mut without = steps.clone();
        without.remove(at);
        assert!(judge(&without).is_err(), "without {:?}", steps[at]);
        let mut twice = steps.clone();
        twice.insert(at, steps[at].clone());
        assert!(judge(&twice).is_err(), "twice {:?}", steps[at]);
    }
    assert!(stream(&wanted, (4, false), &steps, &Circumstances::default()).is_err(), "the limit was not reached");
}

#[test]
fn each_lie_about_one_row_is_found() {
    let (wanted, id) = (sources(), known(7).position.id);
    let found = |rows| vec![end(HERE, Outcome::Ok, 0, false), end("work", Outcome::Ok, rows, false)];
    let answer = |row: Option<Row>, sources: Vec<SourceOutcome>| One {
        verdict: Verdict::of_one(row.is_some(), &sources),
        row,
        withheld: None,
        sources,
    };
    let judge = |answer: &One, circumstances: &Circumstances| one(&wanted, id, answer, circumstances);
    let untouched = Circumstances::default();
    assert_eq!(judge(&answer(Some(row("work", 7)), found(1)), &untouched), Ok(()));
    let none = answer(None, found(0));
    assert!(judge(&none, &untouched).is_err() && judge(&none, &harmed()).is_err(), "it is said not to be there");
    let away = answer(None, vec![end(HERE, Outcome::Ok, 0, false), end("work", Outcome::Offline, 0, false)]);
    assert!(judge(&away, &untouched).is_err_and(|complaint| complaint.is_late));
    assert_eq!(judge(&away, &harmed()), Ok(()));
    let mut whole = away.clone();
    whole.verdict = Verdict { complete: true, missing: None };
    assert!(judge(&whole, &harmed()).is_err(), "who was away may have it");
    for other in [row(HERE, 7), row("work", 6), row("lab", 7)] {
        assert!(judge(&answer(Some(other), found(1)), &untouched).is_err());
    }
}
