//! What people are told of sources that did not simply answer or hold rows back, and what to do about the first of them.

use super::{counted, joined, minute};
use crate::{config::shell_word, out::Out, variables};
use api::{client::Client, view};
use domain::{
    answer::{HERE, Outcome as Ended, Page, Row, SourceOutcome, Verdict},
    id::{Name, Resource},
    kind::Kinds,
    scope::{Door, spec::MAX_ROWS},
};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the links among which one refused: which of them are called, which only need a fresh invite, which are no more, and which
/// may not be shown on the command line.
#[derive(Default)]
pub struct Known {
    calling: BTreeSet<String>,
    expired: BTreeSet<String>,
    /// Where the daemon said which links there are.
    linked: Option<BTreeSet<String>>,
    elsewhere: BTreeSet<String>,
}

impl Known {
    /// Where none of these refused nothing is asked.
    pub async fn of(sources: &[SourceOutcome], client: &Client) -> Self {
        let refused = sources.iter().any(|source| matches!(source.outcome, Ended::Revoked | Ended::Denied));
        if refused { Self::ask(client).await } else { Self::default() }
    }

    /// Where the daemon does not say, they are told of like the others.
    pub async fn ask(client: &Client) -> Self {
        let asked: Result<Vec<view::LinkEntry>, _> = client.get("/v1/links").await;
        let Ok(links) = asked else { return Self::default() };
        let all = |is: fn(&view::LinkEntry) -> bool| {
            links.iter().filter(|link| is(link)).map(|link| link.name.to_string()).collect::<BTreeSet<_>>()
        };
        Self {
            calling: all(|link| link.calls),
            expired: all(has_expired),
            linked: Some(all(|_| true)),
            elsewhere: all(is_elsewhere),
        }
    }

    /// Whether it is the other side that calls.
    pub fn is_calling(&self, link: &str) -> bool {
        self.calling.contains(link)
    }

    /// Whether the link's certificate has ended, and its grant as far as is known has not.
    pub fn is_expired(&self, link: &str) -> bool {
        self.expired.contains(link)
    }

    /// Whether the link was removed here, so that there is nothing to remove.
    fn is_gone(&self, link: &str) -> bool {
        self.linked.as_ref().is_some_and(|linked| !linked.contains(link))
    }

    /// Whether nothing of a source is shown, since its owner wants its rows shown elsewhere: its reason says whether it was asked.
    fn is_kept_elsewhere(&self, source: &SourceOutcome) -> bool {
        source.outcome == Ended::Denied && self.elsewhere.contains(&source.source)
    }
}

/// Whether its grant, as far as is known, does not let its rows be shown on the command line.
pub fn is_elsewhere(link: &view::LinkEntry) -> bool {
    link.terms.as_ref().is_some_and(|terms| !terms.doors.contains(&Door::Cli))
}

/// Whether its certificate has ended, and its grant as far as is known has not.
pub fn has_expired(link: &view::LinkEntry) -> bool {
    link.state == hub::LinkState::Expired.word()
}

/// Every source that did not simply answer, with its reason, beside the rows.
pub async fn tell(sources: &[SourceOutcome], known: &Known, client: &Client, out: &Out) {
    let heard = heard(sources, client).await;
    for source in failed(sources).filter(|source| !heard.contains(&source.source)) {
        if source.outcome == Ended::Offline {
            out.remark(&format!("federation offline: {}", source.source));
        }
        if source.words.is_some() {
            out.remark(&format!("{}: {}", source.source, source.why()));
            continue;
        }
        let expired = known.is_expired(&source.source);
        let word = if expired { hub::LinkState::Expired.word().to_owned() } else { source.outcome.to_string() };
        out.remark(&format!("{}: {word} ({})", source.source, source.why()));
        refused(source, known, out);
    }
    let few = sources.iter().filter_map(|source| Some((source, source.calls_left.filter(|left| *left <= FEW)?)));
    for (source, left) in few.filter(|(source, _)| !out.json && source.outcome != Ended::RateLimited) {
        out.remark(&format!(
            "{}: {} left of what its grant allows a minute",
            source.source,
            counted(left.into(), "call")
        ));
    }
}

/// What to do about a refusal, besides what its reason says: that of an expired link says what brings it back, and one that was removed here
/// cannot be removed.
fn refused(source: &SourceOutcome, known: &Known, out: &Out) {
    let link = &source.source;
    match source.outcome {
        Ended::Revoked if !known.is_expired(link) && !known.is_gone(link) => relink(link, known.is_calling(link), out),
        Ended::Denied if known.is_kept_elsewhere(source) => {
            out.remark(&format!(
                "{link}: a door is added through a file: its owner puts `scope` of what `mosaic-fed grant show GRANT --json` prints \
                 there into one, adds the door to `doors`, and types `mosaic-fed grant edit GRANT --scope FILE`"
            ));
        }
        Ended::Denied => out.remark(&format!(
            "{link}: only the owner of that instance can share more: `mosaic-fed grant edit GRANT --share KINDS` there"
        )),
        _ => {}
    }
}

/// The links that are offline and of which the session of this command, where it is of one, has heard. What an older daemon does not remember is told
/// again.
async fn heard(sources: &[SourceOutcome], client: &Client) -> BTreeSet<String> {
    let offline = sources.iter().filter(|source| source.outcome == Ended::Offline);
    let links: Vec<Name> = offline.filter_map(|source| source.source.parse().ok()).collect();
    let session = variables::session().ok().flatten().filter(|_| !links.is_empty());
    let Some(session) = session else { return BTreeSet::new() };
    let order = view::OfflineOrder { session, links: links.clone() };
    let report: Result<view::OfflineReport, _> = client.post("/v1/links/offline", &order).await;
    let Ok(report) = report else { return BTreeSet::new() };
    links.iter().filter(|link| !report.anew.contains(link)).map(ToString::to_string).collect()
}

/// Calls left of a link's limit from which on that is said.
const FEW: u32 = 5;

/// What is missing of an answer, as one sentence beneath all that was said of each source.
pub fn judge(verdict: &Verdict, out: &Out) {
    if let Some(missing) = verdict.missing.as_ref().filter(|_| !out.json) {
        out.remark(&format!("this answer is not complete: {missing}"));
    }
}

/// Links none of whose rows has a title, or a body where it was asked for: their grants may keep it back, and such a row looks empty.
pub fn tell_bare(rows: &[Row], kind: &Resource, body: bool, out: &Out) {
    let body = body && Kinds::builtin().get(kind).is_some_and(|kind| kind.has("body"));
    let links = rows.iter().filter(|row| row.source != HERE).map(|row| &row.source).collect::<BTreeSet<_>>();
    for link in links {
        let all = |is_bare: fn(&Row) -> bool| rows.iter().filter(|row| row.source == *link).all(is_bare);
        let bare =
            [(all(|row| row.item.title.is_none()), "title"), (body && all(|row| row.item.body.is_none()), "body")];
        let bare =
            bare.into_iter().filter_map(|(is_bare, name)| is_bare.then_some(name)).collect::<Vec<_>>().join(" or ");
        if !bare.is_empty() {
            let get = out.reach.command(&format!("get {kind} ID --from {link}"));
            out.remark(&format!("{link}: no row came with a {bare}; `{get}` says whether its grant keeps that back"));
        }
    }
}

/// Links whose rows are of an answer that they gave a moment ago.
pub fn tell_cached(rows: &[Row], out: &Out) {
    let links = rows.iter().filter(|row| row.cached).map(|row| (&row.source, row.as_of)).collect::<BTreeMap<_, _>>();
    for (link, as_of) in links {
        out.remark(&format!("{link}: read there at {as_of} and kept since; with --fresh it is asked again"));
    }
}

/// How a link that has ended is made anew: nothing else brings its rows back. An invite alone would be of no use here where the other side
/// `calls`, because it cannot be reached.
pub fn relink(link: &str, calls: bool, out: &Out) {
    let again = if calls { format!("link await --name {link}") } else { format!("link --name {link}") };
    let (unlink, again) = (out.reach.command(&unlink(link)), out.reach.command(&again));
    if calls {
        out.remark(&format!(
            "{link}: type `{unlink}`, then `{again}`, and give what that prints to its owner, who types \
             `mosaic-fed invite NAME --share KINDS --call -` there, or `mosaic-fed grant invite NAME --call -` where the grant still stands"
        ));
        return;
    }
    out.remark(&format!(
        "{link}: with a new invite from its owner, type `{unlink}`, then `{again}`, which asks for it"
    ));
}

/// What is known of a link that does not answer, and what each side can do: asking it again changes nothing by itself.
pub fn silent(link: &view::LinkEntry, out: &Out) {
    let (name, at) = (&link.name, joined(&link.addresses));
    let last = match link.last_success {
        Some(time) => format!("a question was answered last {} UTC", minute(time)),
        None => "it has answered no question since this daemon was started".to_owned(),
    };
    out.remark(&if link.calls {
        format!(
            "{name}: {last}; it is the other side that opens its connections, to this instance's call listener at {at}"
        )
    } else {
        format!("{name}: {last}; it is looked for at {at}")
    });
    let state = [hub::LinkState::Offline, hub::LinkState::Timeout].map(hub::LinkState::word);
    let who = &link.peer_name;
    let unheard = state.contains(&link.state.as_str());
    out.remark(&if let Some(proxy) = &link.proxy {
        format!(
            "{name}: it is the proxy {proxy} that is between: whoever runs that sees there why it gives no connection to {at}; where it reaches \
             nobody there, ask whoever runs {who} whether `mosaic-fed serve` runs there"
        )
    } else if unheard && link.calls {
        format!(
            "{name}: ask whoever runs {who} whether `mosaic-fed serve` runs there, and what `mosaic-fed grant show` there says about calls"
        )
    } else if unheard {
        format!(
            "{name}: ask whoever runs {who} whether `mosaic-fed serve` runs there and `mosaic-fed status` there says that links are \
             served at that address; if so, a firewall or another network is between: `nc -vz {}` tries the port from here",
            tried(link)
        )
    } else {
        format!("{name}: what `mosaic-fed serve` prints has more of it, here and with whoever runs {who}")
    });
    out.remark(&format!("{name}: once that is mended, `{}` says so", out.reach.command(&format!("ping {name}"))));
}

/// The first address of a link as two words, host and port.
fn tried(link: &view::LinkEntry) -> String {
    let first = link.addresses.first().map_or("HOST:PORT", |address| address);
    first.rsplit_once(':').map_or_else(
        || first.to_owned(),
        |(host, port)| format!("{} {port}", shell_word(host.trim_matches(['[', ']']))),
    )
}

/// The command that takes a fresh invite for a grant that is linked: it is asked for, or brought where the other side `calls`.
pub fn afresh(calls: bool) -> String {
    if calls { "link await" } else { "link" }.to_owned()
}

/// The command that ends a link.
pub fn unlink(link: &str) -> String {
    format!("unlink {link}")
}

/// The command for the first source that did not answer and of which a command tells more, where any did not answer.
pub fn next(sources: &[SourceOutcome], known: &Known) -> Option<String> {
    let all_is_said = |source: &SourceOutcome| {
        known.is_kept_elsewhere(source) || source.outcome == Ended::Revoked && known.is_gone(&source.source)
    };
    failed(sources).next()?;
    let Some(first) = failed(sources).find(|source| !all_is_said(source)) else { return Some("links".to_owned()) };
    Some(match (first.source.as_str(), first.outcome) {
        (HERE, _) => "status".to_owned(),
        (link, Ended::Revoked) if known.is_expired(link) => afresh(known.is_calling(link)),
        (link, Ended::Revoked) => unlink(link),
        // A ping is a call as well.
        (_, Ended::RateLimited) => "links".to_owned(),
        // What it does share.
        (link, _) => format!("ping {link}"),
    })
}

/// The command for links that answered without a row: whether their grants share this kind at all.
pub fn what_it_shares(sources: &[SourceOutcome]) -> String {
    sources.first().map_or_else(|| "links".to_owned(), |link| format!("ping {}", link.source))
}

/// What is said in place of a table without rows: nobody's silence is taken for an answer.
pub fn no_rows(sources: &[SourceOutcome], known: &Known) -> &'static str {
    let elsewhere = sources.iter().filter(|source| known.is_kept_elsewhere(source)).count();
    let denied = sources.iter().filter(|source| source.outcome == Ended::Denied && source.words.is_none()).count();
    match failed(sources).count() {
        0 => "no rows",
        all if all == sources.len() && elsewhere == all => "no source lets its rows be shown on the command line",
        all if all == sources.len() && denied == all => "no source that was asked shares this",
        all if all == sources.len() => "no source answered",
        _ => "no rows from the sources that answered",
    }
}

/// That a row was not found where it was looked for, or that nobody could say: who did not answer may have it.
pub fn not_found(kind: &Resource, id: &str, sources: &[SourceOutcome], known: &Known) -> Option<String> {
    let (silent, answered): (Vec<_>, Vec<_>) = sources.iter().partition(|source| source.outcome != Ended::Ok);
    if silent.is_empty() {
        return None;
    }
    let how = |source: &&SourceOutcome| match source.words {
        Some(_) => format!("{} waits to be let in", source.source),
        None if known.is_kept_elsewhere(source) => {
            format!("{} does not let its rows be shown on the command line", source.source)
        }
        None => format!("{} did not answer ({})", source.source, source.outcome),
    };
    let (why, they) = (joined(silent.iter().map(how)), if silent.len() == 1 { "it" } else { "one of them" });
    Some(if answered.is_empty() {
        format!("nobody answered, so whether there is a row {id} in {kind} is not known: {why}")
    } else {
        let without = joined(answered.iter().map(|source| &source.source));
        format!("there is no row {id} in {kind} of {without}; {why}, and {they} may have that row")
    })
}

/// Whether there is an answer at all, be it in part.
pub fn anybody_answered(sources: &[SourceOutcome]) -> bool {
    sources.iter().any(|source| source.outcome.is_answer())
}

/// Whether rows follow this page of at most `limit`, and how to get at them; a source that did not answer has rows that
/// nobody knows of.
pub fn more(page: &Page, limit: u32) -> Option<String> {
    page.next.as_ref()?;
    if page.sources.iter().any(|source| source.truncated) {
        return Some(format!("more rows follow: {}", onward(page, limit)));
    }
    let all = joined(failed(&page.sources).map(|source| &source.source));
    // Who refused for good says the same again.
    let passing = |source: &&SourceOutcome| !matches!(source.outcome, Ended::Revoked | Ended::Denied);
    let silent: Vec<_> = failed(&page.sources).filter(passing).map(|source| &source.source).collect();
    let (who, answers) = match silent.len() {
        0 => return None,
        1 if all == *silent[0] => ("it".to_owned(), "answers"),
        1 => (silent[0].clone(), "answers"),
        _ => (joined(silent), "answer"),
    };
    Some(format!("these are all rows but those of {all}: ask again once {who} {answers}"))
}

fn onward(page: &Page, limit: u32) -> String {
    let cursor = "the next page";
    // A page that is not full ends with the last row of the source that held the next one back.
    let last = page.rows.last().filter(|_| (page.rows.len() as u64) < u64::from(limit));
    match last.and_then(|row| page.sources.iter().find(|source| source.source == row.source)) {
        Some(source) => format!("{}; {cursor} goes on", at_once(source)),
        None if limit < MAX_ROWS => format!("a higher --limit, or {cursor}"),
        None => format!("{cursor} goes on"),
    }
}

/// What is said of each source of a stream that has more than the `limit` rows it was asked for, or than it gives at once:
/// a stream cannot be gone on with.
pub fn cut(sources: &[SourceOutcome], limit: u32) -> Vec<String> {
    let pages = "`list` without --stream, whose pages --cursor goes on with";
    let how = |source: &SourceOutcome| match limit {
        _ if source.rows < u64::from(limit) => format!("{}; {pages}", at_once(source)),
        ..MAX_ROWS => format!("a higher --limit, or {pages}"),
        _ => pages.to_owned(),
    };
    let cut = sources.iter().filter(|source| source.truncated);
    cut.map(|source| format!("{}: more rows follow: {}", source.source, how(source))).collect()
}

fn at_once(source: &SourceOutcome) -> String {
    format!("{} gives at most {} at once, whatever --limit says", source.source, counted(source.rows, "row"))
}

fn failed(sources: &[SourceOutcome]) -> impl Iterator<Item = &SourceOutcome> {
    sources.iter().filter(|source| source.outcome != Ended::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ended(source: &str, outcome: Ended, truncated: bool) -> SourceOutcome {
        SourceOutcome { truncated, ..SourceOutcome::empty(source, outcome, "why", Duration::ZERO) }
    }

    #[test]
    fn more_rows_are_promised_only_where_an_answer_was_cut() {
        let said = |cut| {
            let sources = vec![ended("here", Ended::Ok, cut), ended("work", Ended::Offline, false)];
            let verdict = Verdict::of(&sources);
            more(&Page { rows: Vec::new(), sources, next: Some("cursor".to_owned()), verdict }, 50).unwrap()
        };
        assert!(said(true).starts_with("more rows follow"));
        assert!(said(false).starts_with("these are all rows but those of work"), "{}", said(false));
        let again = |sources: Vec<SourceOutcome>| {
            let verdict = Verdict::of(&sources);
            more(&Page { rows: Vec::new(), sources, next: Some("cursor".to_owned()), verdict }, 50)
        };
        let (work, lab) = (ended("work", Ended::Offline, false), ended("lab", Ended::Timeout, false));
        let over = [ended("old", Ended::Revoked, false), ended("closed", Ended::Denied, false)];
        assert!(again(vec![work.clone()]).unwrap().ends_with("those of work: ask again once it answers"));
        let two = again(vec![work.clone(), lab]).unwrap();
        assert!(two.ends_with("those of work, lab: ask again once work, lab answer"), "{two}");
        let mixed = again(vec![over[0].clone(), work, over[1].clone()]).unwrap();
        assert!(mixed.ends_with("those of old, work, closed: ask again once work answers"), "{mixed}");
        assert_eq!(again(over.to_vec()), None, "they have refused for good");
        let verdict = Verdict::of(&[]);
        assert_eq!(more(&Page { rows: Vec::new(), sources: Vec::new(), next: None, verdict }, 50), None);
    }

    #[test]
    fn a_higher_limit_is_named_only_where_it_can_bring_more() {
        let gave = |rows| vec![SourceOutcome { rows, ..ended("work", Ended::Ok, true) }];
        let said = |rows, limit| cut(&gave(rows), limit).concat();
        assert!(said(50, 50).starts_with("work: more rows follow: a higher --limit, or `list` without --stream"));
        assert!(said(10, 50).contains("work gives at most 10 rows at once"), "{}", said(10, 50));
        for (rows, limit) in [(10, 50), (u64::from(MAX_ROWS), MAX_ROWS)] {
            assert!(!said(rows, limit).contains("a higher --limit"), "{}", said(rows, limit));
        }
        assert!(cut(&[ended("here", Ended::Ok, false)], 50).is_empty());
    }

    #[test]
    fn a_source_that_did_not_answer_is_not_taken_for_an_empty_one() {
        let (here, work) = (ended("here", Ended::Ok, false), ended("work", Ended::Offline, false));
        let none = |sources: &[SourceOutcome]| no_rows(sources, &Known::default());
        assert_eq!(none(std::slice::from_ref(&here)), "no rows");
        assert_eq!(none(&[here.clone(), work.clone()]), "no rows from the sources that answered");
        assert_eq!(none(std::slice::from_ref(&work)), "no source answered");
        assert_eq!(none(&[ended("lab", Ended::Denied, false)]), "no source that was asked shares this");
        assert_eq!(none(&[ended("lab", Ended::Denied, false), work.clone()]), "no source answered");
        let waits = SourceOutcome { words: Some("a b c d".to_owned()), ..ended("lab", Ended::Denied, false) };
        assert_eq!(none(std::slice::from_ref(&waits)), "no source answered", "it may share this once it is let in");
        let kind = "tasks".parse().unwrap();
        assert_eq!(not_found(&kind, "12ab", std::slice::from_ref(&here), &Known::default()), None);
        assert_eq!(
            not_found(&kind, "12ab", &[here.clone(), work.clone()], &Known::default()).unwrap(),
            "there is no row 12ab in tasks of here; work did not answer (offline), and it may have that row"
        );
        assert_eq!(
            not_found(&kind, "12ab", &[waits, work.clone()], &Known::default()).unwrap(),
            "nobody answered, so whether there is a row 12ab in tasks is not known: lab waits to be let in, work did not answer (offline)"
        );
        let next = |sources: &[SourceOutcome], expired: &[&str]| {
            let expired = expired.iter().map(ToString::to_string).collect();
            super::next(sources, &Known { expired, ..Known::default() })
        };
        assert_eq!(next(&[here.clone(), work], &[]), Some("ping work".to_owned()));
        let lab = ended("lab", Ended::Revoked, false);
        assert_eq!(next(std::slice::from_ref(&lab), &["work"]), Some("unlink lab".to_owned()));
        assert_eq!(next(&[lab], &["lab"]), Some("link".to_owned()), "a fresh invite brings it back");
        assert_eq!(next(&[here], &[]), None);
    }

    #[test]
    fn a_link_that_is_shown_elsewhere_or_was_removed_is_not_led_to_commands_that_change_nothing() {
        let (lab, gone) = (ended("lab", Ended::Denied, false), ended("gone", Ended::Revoked, false));
        let named = |name: &str| BTreeSet::from([name.to_owned()]);
        let known = Known { linked: Some(named("lab")), elsewhere: named("lab"), ..Known::default() };
        assert_eq!(no_rows(std::slice::from_ref(&lab), &known), "no source lets its rows be shown on the command line");
        let shares_none = ended("work", Ended::Denied, false);
        assert_eq!(no_rows(&[lab.clone(), shares_none.clone()], &known), "no source that was asked shares this");
        let kind = "tasks".parse().unwrap();
        let missing = not_found(&kind, "12ab", std::slice::from_ref(&lab), &known).unwrap();
        assert!(missing.ends_with("lab does not let its rows be shown on the command line"), "{missing}");
        assert_eq!(next(&[lab.clone(), gone.clone()], &known), Some("links".to_owned()));
        assert_eq!(next(&[lab, shares_none], &known), Some("ping work".to_owned()));
        assert_eq!(next(&[gone], &Known::default()), Some("unlink gone".to_owned()), "nobody said that it is no more");
    }
}
