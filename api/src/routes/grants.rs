//! Grants and invites: of everybody for those who manage the workspace, else of oneself.

use super::{Asked, by_id, personal, resource};
use crate::{
    Door, Problem,
    person::Person,
    problem::Kind,
    tags::{self, Tagged},
    view,
};
use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
};
use domain::{
    audit::{Act, Ending},
    grant::{EndedBy, State as GrantState},
    id::{Name, Spki},
    invite::fingerprint,
    rights::Role,
    say::existing,
};
use spoke::{AdminError, CallState, Edit, GrantOrder, Terms};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use store::{AuditQuery, GrantView, LastInvite};

type Answer<T> = Result<Json<T>, Problem>;
type Seen<T> = Result<Tagged<T>, Problem>;

/// The grants that the caller may know of, newest first. Whose a doubtful one is, and where, may be somebody else's word: the operator
/// sees them all.
async fn visible(door: &Door, person: &Person) -> Result<Vec<GrantView>, Problem> {
    let managed = person.managed();
    let mut all = door.store.grants().await?;
    all.retain(|view| {
        let place = view.grant.scope.workspace();
        let managed = managed.contains(place);
        // A token is for one workspace, also as to what its user gave of another.
        if person.token.is_some() && *place != person.workspace {
            return false;
        }
        view.grant.subject == person.user.id || managed || (view.doubt.is_some() && person.operator)
    });
    Ok(all)
}

/// What the grants are called that the caller may know of.
pub(super) async fn names(door: &Door, person: &Person) -> Result<view::GrantNames, Problem> {
    Ok(visible(door, person).await?.into_iter().map(|view| (view.grant.id, view.grant.name)).collect())
}

/// What a person has to look after.
#[derive(Default)]
pub(super) struct Open {
    /// Grants that nobody has used the invite of.
    pub(super) pending: u64,
    /// Those whose holder waits to be let in.
    pub(super) waiting: Vec<view::WaitingGrant>,
    /// Those whose holder this instance calls, and does not reach.
    pub(super) failing: Vec<view::FailingCall>,
}

pub(super) async fn open(door: &Door, person: &Person) -> Result<Open, Problem> {
    let now = door.world.now();
    let stands = |view: &GrantView, state: GrantState| view.standing(now) == state.word();
    let mut open = Open::default();
    for view in visible(door, person).await? {
        let (pending, active) = (stands(&view, GrantState::Pending), stands(&view, GrantState::Active));
        let name = &view.grant.name;
        if let Some(CallState::Failing(reason)) = door.spoke.call(view.grant.id).map(|call| call.state)
            && (pending || active)
        {
            open.failing.push(view::FailingCall { grant: name.clone(), reason });
        }
        if (pending || active) && view.grant.waits() {
            open.waiting.push(view::WaitingGrant { grant: name.clone(), holder: view.peer_name });
        } else if pending {
            open.pending += 1;
        }
    }
    Ok(open)
}

/// The grant with this name (one that has not ended before one that has, one that is believed before one that is not), or whose id
/// begins so.
pub(super) async fn find(door: &Door, person: &Person, text: &str) -> Result<GrantView, Problem> {
    let all = visible(door, person).await?;
    let named = || all.iter().filter(|view| view.grant.name.as_str() == text);
    let believed = |view: &&GrantView| view.doubt.is_none() && view.grant.state != GrantState::Revoked;
    if let Some(found) = named().find(believed) {
        return Ok(found.clone());
    }
    if let [doubtful] = named().filter(|view| view.doubt.is_some()).collect::<Vec<_>>()[..] {
        return Ok(doubtful.clone());
    }
    match named().collect::<Vec<_>>()[..] {
        [] => {}
        [one] => return Ok(one.clone()),
        [..] => return Err(namesakes(named(), text)),
    }
    match by_id(&all, text, |view| view.grant.id.to_string())[..] {
        [one] => Ok(one.clone()),
        [] => Err(no_grant(door, person, &all, text).await?),
        [..] => {
            Err(Problem::new(Kind::Conflict, format!("several grants' ids begin with `{text}`"))
                .next("type more of it"))
        }
    }
}

/// The only grant that ever had this name, for what looks back at what was; else as [`find`].
pub(super) async fn find_ever(door: &Door, person: &Person, text: &str) -> Result<GrantView, Problem> {
    let all = visible(door, person).await?;
    let named = || all.iter().filter(|view| view.grant.name.as_str() == text);
    if named().count() > 1 { Err(namesakes(named(), text)) } else { find(door, person, text).await }
}

fn namesakes<'a>(same: impl Iterator<Item = &'a GrantView>, text: &str) -> Problem {
    let ids: Vec<_> = same.map(|view| view.grant.id.to_string().chars().take(8).collect::<String>()).collect();
    let cause = format!("several grants were called `{text}`, one after the other: {}", ids.join(", "));
    Problem::new(Kind::Conflict, cause).next("name one by its id; see `mosaic-fed grant list`")
}

/// A link's name is none of a grant: it is the other end that people mix up with this one.
async fn no_grant(door: &Door, person: &Person, all: &[GrantView], text: &str) -> Result<Problem, Problem> {
    let links = door.store.links(person.user.id).await?;
    let mut same = links.iter().filter(|link| link.name.as_str() == text || link.id.to_string() == text);
    if let Some(link) = same.next() {
        let cause = format!("no such grant `{text}`: that is a link of yours, which another instance shares with you");
        return Ok(Problem::missing(cause).next(format!("mosaic-fed ping {}", link.name)));
    }
    let named: BTreeSet<_> = all.iter().map(|view| view.grant.name.as_str()).collect();
    let known = existing(named, "there is none");
    Ok(Problem::missing(format!("no such grant `{text}`: {known}")).next("mosaic-fed grant list"))
}

/// Every grant that the caller may know of.
pub(super) async fn list(State(door): State<Arc<Door>>, person: Person) -> Seen<Vec<view::GrantEntry>> {
    let now = door.world.now();
    let all = visible(&door, &person).await?;
    let entry = |view: &GrantView| {
        let call = door.spoke.call(view.grant.id).map(Into::into);
        let denied_by_list = door.spoke.is_denied_by_list(&view.grant);
        view::GrantEntry { denied_by_list, call, ..view::GrantEntry::named(view, now) }
    };
    Ok(Tagged::whole(all.iter().map(entry).collect()))
}

/// One grant.
pub(super) async fn show(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(grant): Path<String>,
) -> Seen<view::GrantEntry> {
    let view = find(&door, &person, &grant).await?;
    let kept = kept_of(&door, &view).await?;
    let session = door.spoke.session(view.grant.id).map(Into::into);
    let call = door.spoke.call(view.grant.id).map(Into::into);
    let denied_by_list = door.spoke.is_denied_by_list(&view.grant);
    Ok(Tagged::but_for_the_moment(view::GrantEntry { denied_by_list, session, call, ..kept.clone() }, &kept))
}

/// A grant as it is shown, without its session, how it is called and whether a list denies it, which are of the moment.
async fn kept_of(door: &Door, view: &GrantView) -> Result<view::GrantEntry, Problem> {
    Ok(view::GrantEntry { ended: ended(door, view).await?, ..entry(door, view) })
}

/// How many entries of the log about a grant are looked through for its end, which hardly anything follows.
const LAST_ENTRIES: u32 = 50;

/// How a grant ended, if it has: the log knows who did it and when.
async fn ended(door: &Door, view: &GrantView) -> Result<Option<view::GrantEnd>, Problem> {
    if view.grant.state != GrantState::Revoked {
        let expired = view.doubt.is_none() && view.grant.has_expired(door.world.now());
        let (at, why) = (Some(view.grant.scope.not_after()), "it came to its end by itself".to_owned());
        return Ok(expired.then(|| view::GrantEnd { at, how: "expired".to_owned(), why }));
    }
    let (grant, ending) = (Some(view.grant.id), Some(Ending::Done));
    let query = AuditQuery { grant, ending, last: true, limit: LAST_ENTRIES, ..AuditQuery::default() };
    let entries = door.store.entries(&query).await?;
    let Some(entry) = entries.iter().rev().find(|entry| entry.about == Act::GrantRevoke.word()) else {
        let why = "it was revoked, and the log does not say by whom".to_owned();
        return Ok(Some(view::GrantEnd { at: None, how: EndedBy::Owner.word().to_owned(), why }));
    };
    let (way, end) = (EndedBy::of_note(&entry.note), view.grant.scope.not_after());
    if entry.time >= end {
        let why = "it came to its end by itself, and was revoked after that".to_owned();
        return Ok(Some(view::GrantEnd { at: Some(end), how: "expired".to_owned(), why }));
    }
    let why = match way {
        EndedBy::Owner | EndedBy::Key => {
            let users = door.store.users().await?;
            let who = users.into_iter().find(|user| Some(user.id) == entry.subject).map(|user| user.name.to_string());
            let what = if way == EndedBy::Key { "its holder's key" } else { "it" };
            format!("{} revoked {what}", who.unwrap_or_else(|| "a user who is gone".to_owned()))
        }
        EndedBy::Words => way.note().to_owned(),
        EndedBy::Holder => {
            format!("its holder {} unlinked it", view.peer_name.as_ref().map_or("", |name| name.as_str()))
        }
        EndedBy::Removal => format!("its user {} was removed", view.subject_name),
    };
    Ok(Some(view::GrantEnd { at: Some(entry.time), how: way.word().to_owned(), why }))
}

/// With the words of its holder, to be compared, but while it waits for these to be typed: then they are the other side's to say.
fn entry(door: &Door, view: &GrantView) -> view::GrantEntry {
    let words = door.spoke.words(view).filter(|_| !view.grant.waits()).map(|words| words.to_string());
    view::GrantEntry { words, ..view::GrantEntry::named(view, door.world.now()) }
}

/// Lets in the holder of a grant that waits, by the words that they see.
pub(super) async fn confirm(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(grant): Path<String>,
    Asked(order): Asked<view::ConfirmOrder>,
) -> Answer<view::GrantEntry> {
    let view = find(&door, &person, &grant).await?;
    personal::may_invite(&door, &person, &view).await?;
    let grant = door.spoke.confirm(person.by(), view.grant.id, &order.words).await?;
    Ok(Json(entry(&door, &GrantView { grant, ..view })))
}

/// How many rows a grant would show, without making it.
pub(super) async fn preview(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::InviteOrder>,
) -> Answer<view::Counted> {
    let order = permitted(&door, &person, order).await?;
    Ok(Json(door.spoke.preview(&order).await?.rows))
}

/// Makes a grant and its invite.
pub(super) async fn create(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::InviteOrder>,
) -> Answer<view::InviteMade> {
    let terms = Terms { key: order.key, confirm: order.confirm };
    let order = permitted(&door, &person, order).await?;
    let subject = order.subject.clone();
    // Before the invite is made: what fails afterwards would take it along.
    let names = names(&door, &person).await?;
    let created = door.spoke.create_on(person.by(), order, terms).await?;
    Ok(Json(made(&door, created, terms, (subject, &names))))
}

/// A fresh invite for a grant that has not ended.
pub(super) async fn invite(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(grant): Path<String>,
    Asked(order): Asked<view::FreshInvite>,
) -> Answer<view::InviteMade> {
    let view = find(&door, &person, &grant).await?;
    personal::may_invite(&door, &person, &view).await?;
    is_a_key(&door, &person, order.key).await?;
    view.trust_invite().map_err(AdminError::from)?;
    let terms = kept(view.invite, order);
    let names = names(&door, &person).await?;
    let created = door.spoke.invite_on(person.by(), view.grant.id, terms).await?;
    let made = made(&door, created, terms, (view.subject_name, &names));
    let grant = view::GrantEntry { peer_name: view.peer_name, ..made.grant };
    Ok(Json(view::InviteMade { grant, ..made }))
}

/// Who may use a further invite: what was said, else whoever might have used the one before it. A key that was used is good for no other.
fn kept(last: Option<LastInvite>, order: view::FreshInvite) -> Terms {
    let unused = last.filter(|last| !last.used && !order.no_key).and_then(|last| last.key);
    Terms { key: order.key.or(unused), confirm: order.confirm || last.is_some_and(|last| last.confirm) }
}

/// Refuses what looks like the fingerprint of a key and is one of an instance, as `id` and `link` show it: nobody could use that invite.
async fn is_a_key(door: &Door, person: &Person, key: Option<Spki>) -> Result<(), Problem> {
    let Some(key) = key else { return Ok(()) };
    no_keys(door, person).await?.remove(&key.to_string()).map_or(Ok(()), |whose| Err(no_key(key, &whose)))
}

/// The fingerprints of instances that the caller may have seen, with whose each is.
pub(super) async fn no_keys(door: &Door, person: &Person) -> Result<HashMap<String, String>, Problem> {
    let links = door.store.links(person.user.id).await?;
    let peers = links.iter().map(|link| (fingerprint(&link.root), format!("that of the instance {}", link.peer_name)));
    Ok(peers.chain([(door.about.fingerprint.clone(), "this instance's own".to_owned())]).collect())
}

/// That this is the fingerprint of an instance.
pub(super) fn no_key(key: Spki, whose: &str) -> Problem {
    let cause = format!("the fingerprint {key} is {whose}, and no key's");
    Problem::invalid(cause)
        .next("have whoever is to link make a key, and give what `mosaic-fed link --prepare` printed there")
}

/// Puts another scope in force.
pub(super) async fn edit(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(grant): Path<String>,
    headers: HeaderMap,
    Asked(order): Asked<view::EditOrder>,
) -> Answer<view::GrantEntry> {
    let view = find(&door, &person, &grant).await?;
    let what = format!("grant {}", view.grant.name);
    tags::must_match(&headers, &what, &kept_of(&door, &view).await?, &format!("/v1/grants/{}", view.grant.id))?;
    // What the person saw is what is judged here, and the store sees to it that it is what is changed.
    if order.generation != view.grant.generation {
        let name = &view.grant.name;
        let cause = format!("grant {name} was changed by somebody else meanwhile");
        return Err(Problem::told(
            Kind::Conflict,
            &format!("{cause}; look at it and edit it again: `mosaic-fed grant show {name}`"),
        ));
    }
    personal::may_edit(&door, &person, &view, &order).await?;
    let edit = Edit { spec: order.scope, sensitive: order.sensitive, narrow: order.narrow };
    let (grant, lost) = door.spoke.edit(person.by(), &view.grant, edit).await?;
    let entry = view::GrantEntry::named(&GrantView { grant, ..view }, door.world.now());
    Ok(Json(view::GrantEntry { narrowed: view::differences(lost), ..entry }))
}

/// Ends a grant, and answers when its connections and calls are gone.
pub(super) async fn revoke(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(grant): Path<String>,
) -> Answer<view::RevokeReport> {
    let view = find(&door, &person, &grant).await?;
    let revoked = door.spoke.revoke(person.by(), view.grant.id).await?;
    Ok(Json(report(&door, view, revoked)))
}

/// What ending a grant did; `view` is the grant before or after it.
pub(super) fn report(door: &Door, view: GrantView, revoked: spoke::Revoked) -> view::RevokeReport {
    let view = GrantView { grant: revoked.grant, doubt: None, ..view };
    view::RevokeReport {
        grant: view::GrantEntry::named(&view, door.world.now()),
        at: revoked.at,
        took_us: u64::try_from(revoked.took.as_micros()).unwrap_or(u64::MAX),
        drained: revoked.drained,
        connections: revoked.connections as u64,
        calls: revoked.calls as u64,
        receipt: revoked.receipt.into(),
    }
}

/// What a grant may do, as the decision itself says.
pub(super) async fn can(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(grant): Path<String>,
    Asked(question): Asked<view::CanQuestion>,
) -> Answer<view::VerdictView> {
    // "no" to a kind that does not exist would say that the scope withholds it.
    let kind = resource(&question.resource)?;
    let view = find(&door, &person, &grant).await?;
    let verdict = door.spoke.can(view.grant.id, question.verb, &kind).await?;
    Ok(Json(view::VerdictView { allowed: verdict.allowed, why: verdict.why, rows: verdict.rows }))
}

/// The order, if the caller may give it.
pub(super) async fn permitted(door: &Door, person: &Person, order: view::InviteOrder) -> Result<GrantOrder, Problem> {
    personal::may_create(door, person, &order).await?;
    is_a_key(door, person, order.key).await?;
    let view::InviteOrder { name, subject, scope, sensitive, narrow, .. } = order;
    let personal_default = subject == person.user.name;
    Ok(GrantOrder { name, subject, spec: scope, personal_default, sensitive, narrow })
}

/// What somebody sees is shared by themselves, as a member at least, or by one who manages the workspace: `own` says whether it is the
/// caller's, by id where there is one, since a name is only what people are called. Ending a grant takes nothing but being its subject.
pub(super) async fn may_share(
    door: &Door,
    person: &Person,
    (subject, own): (&Name, bool),
    workspace: &Name,
    act: Act,
) -> Result<(), Problem> {
    match not_enough(person, (subject, own), workspace) {
        None => Ok(()),
        Some(problem) => Err(person.refused(door, act, problem).await),
    }
}

/// Why they may not, as [`may_share`] says; none where they may.
pub(super) fn not_enough(person: &Person, (subject, own): (&Name, bool), workspace: &Name) -> Option<Problem> {
    let role = person.user.roles.get(workspace).copied();
    let enough = if own { role > Some(Role::Guest) } else { role.is_some_and(Role::manages) };
    let who = &person.user.name;
    (!enough).then(|| {
        if own {
            let next = format!("ask an owner or admin of `{workspace}` to run `mosaic-fed user role {who} member`");
            let cause = format!("user `{who}` is no member of `{workspace}` and cannot share its rows");
            Problem::forbidden(cause).next(next)
        } else {
            let cause = format!("sharing the view that `{subject}` has of `{workspace}` needs owner or admin there");
            Problem::forbidden(cause).next(format!("invite for yourself: --for {who}"))
        }
    })
}

pub(super) fn made(
    door: &Door,
    created: spoke::Created,
    terms: Terms,
    (subject, names): (Name, &view::GrantNames),
) -> view::InviteMade {
    let spoke::Created { grant, invite, expires_at, addresses, rows, lost, reach, .. } = created;
    let entry = view::GrantEntry::new(&grant, door.world.now());
    let grant = view::GrantEntry { subject: Some(subject), narrowed: view::differences(lost), ..entry };
    let (invite, Terms { key, confirm }) = (invite.expose().clone(), terms);
    let reach = view::Reach::told(reach, names);
    view::InviteMade { grant, invite, expires_at, key, confirm, addresses, reach, rows }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let kind = match error {
            AdminError::Store(error) => return error.into(),
            AdminError::Missing(_) => Kind::Missing,
            AdminError::Conflict(_) => Kind::Conflict,
            AdminError::Invalid(_) => Kind::Invalid,
            AdminError::Listener(_) => Kind::Unavailable,
        };
        Self::told(kind, &error.to_string())
    }
}
