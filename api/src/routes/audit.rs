//! The log. Reading and exporting it is recorded in it; it covers every workspace, so it is for those who manage all of them.

use super::{Queried, grants};
use crate::{
    Door, Problem,
    accept::{self, Form},
    events,
    person::Person,
    problem::Kind,
    tree::{self, TreeError},
    view,
};
use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use domain::{
    audit::{Act, Entry, Head, chain::Line},
    id::{GrantId, Name, UserId},
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::{AuditQuery, StoreError};

/// Entries that are read from the database at once.
const PIECE: u32 = 1_000;
/// How often a followed log is looked at; an entry is to be seen within a second.
const PACE: Duration = Duration::from_millis(400);

/// In which forms entries come.
const FORMS: &[Form] = &[Form::Lines, Form::Events];

async fn must_read(door: &Door, person: &Person, act: Act) -> Result<(), Problem> {
    let cause = "the log covers every workspace; reading it needs owner or admin in each of them";
    person.must_manage_everything(door, act, cause).await
}

async fn asked(door: &Door, person: &Person, filter: &view::AuditFilter) -> Result<AuditQuery, Problem> {
    let grant = match &filter.grant {
        Some(text) => Some(named_grant(door, person, text).await?),
        None => None,
    };
    let limit = filter.limit.unwrap_or(PIECE);
    if !(1..=view::MAX_ENTRIES).contains(&limit) {
        return Err(Problem::invalid(format!("limit is {limit}")).next(format!("say 1 to {}", view::MAX_ENTRIES)));
    }
    let view::AuditFilter { after, last, ending, since, .. } = *filter;
    Ok(AuditQuery { after: after.unwrap_or(0), limit, last, grant, ending, since })
}

/// A grant's or a link's id: both are in the log.
async fn named_grant(door: &Door, person: &Person, text: &str) -> Result<GrantId, Problem> {
    let missing = match grants::find_ever(door, person, text).await {
        Ok(view) => return Ok(view.grant.id),
        Err(problem) => problem,
    };
    let links = door.store.links(person.user.id).await?;
    let link = links.iter().find(|link| link.name.as_str() == text);
    link.map(|link| link.id).or_else(|| text.parse().ok()).ok_or(missing)
}

/// Entries of the log.
pub(super) async fn query(
    State(door): State<Arc<Door>>,
    person: Person,
    Queried(filter): Queried<view::AuditFilter>,
) -> Result<Json<Vec<view::AuditEntry>>, Problem> {
    must_read(&door, &person, Act::AuditRead).await?;
    let query = asked(&door, &person, &filter).await?;
    door.auditor.record(person.act(&door, Act::AuditRead)).await?;
    let entries = door.store.entries(&query).await?;
    let names = Names::read(&door).await?;
    Ok(Json(entries.into_iter().map(|entry| names.put_on(entry)).collect()))
}

/// Entries after one, as they come, one a line, until the reader goes away.
pub(super) async fn follow(
    State(door): State<Arc<Door>>,
    person: Person,
    headers: HeaderMap,
    Queried(filter): Queried<view::AuditFilter>,
) -> Result<Response, Problem> {
    let form = accept::chosen(&headers, FORMS)?;
    must_read(&door, &person, Act::AuditRead).await?;
    let query = AuditQuery { last: false, ..asked(&door, &person, &filter).await? };
    // A reader of events who was cut off says which it had last.
    let query = AuditQuery { after: last_event(&headers).unwrap_or(query.after), ..query };
    door.auditor.record(person.act(&door, Act::AuditRead).noting("followed")).await?;
    let closing = door.closing.clone();
    let pieces = stream::try_unfold((door, query), following);
    let entries = pieces.map_ok(|piece| stream::iter(piece.into_iter().map(Ok::<_, Problem>))).try_flatten();
    Ok(events::streamed(form, entries.take_until(closing.cancelled_owned())))
}

/// The last event that a reader had (WHATWG HTML section 9.2.4).
fn last_event(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

type Followed = (Vec<view::AuditEntry>, (Arc<Door>, AuditQuery));

async fn following((door, mut query): (Arc<Door>, AuditQuery)) -> Result<Option<Followed>, Problem> {
    let mut entries = door.store.entries(&query).await?;
    while entries.is_empty() {
        tokio::time::sleep(PACE).await;
        entries = door.store.entries(&query).await?;
    }
    query.after = entries.last().map_or(query.after, |entry| entry.sequence);
    let names = Names::read(&door).await?;
    Ok(Some((entries.into_iter().map(|entry| names.put_on(entry)).collect(), (door, query))))
}

/// The whole log, or its end after one entry, with the signed head it reaches.
pub(super) async fn export(
    State(door): State<Arc<Door>>,
    person: Person,
    headers: HeaderMap,
    Queried(filter): Queried<view::ExportFilter>,
) -> Result<Response, Problem> {
    let form = accept::chosen(&headers, FORMS)?;
    must_read(&door, &person, Act::AuditExport).await?;
    door.auditor.record(person.act(&door, Act::AuditExport)).await?;
    let head = door.store.head().await?;
    if let Some(after) = filter.after.filter(|after| *after >= head.sequence) {
        let cause = format!("there is nothing after entry {after}: the log ends at entry {}", head.sequence);
        return Err(Problem::invalid(cause).next("mosaic-fed audit tail"));
    }
    let signed = door.audit_key.sign(head, door.about.instance, door.about.name.clone());
    let entries = up_to(door, filter.after.unwrap_or(0), head);
    let lines = entries.map_ok(|entry| Line::Entry(Box::new(entry)));
    Ok(events::streamed(form, lines.chain(stream::iter([Ok(Line::Head(signed))]))))
}

fn up_to(door: Arc<Door>, after: u64, head: Head) -> impl Stream<Item = Result<Entry, StoreError>> {
    let pieces = stream::try_unfold((door, after), move |(door, after)| async move {
        if after >= head.sequence {
            return Ok(None);
        }
        let query = AuditQuery { after, limit: PIECE, ..AuditQuery::default() };
        let mut entries = door.store.entries(&query).await?;
        entries.retain(|entry| entry.sequence <= head.sequence);
        let last = entries.last().map_or(head.sequence, |entry| entry.sequence);
        Ok::<_, StoreError>(Some((entries, (door, last))))
    });
    pieces.map_ok(|piece| stream::iter(piece.into_iter().map(Ok))).try_flatten()
}

/// A proof of one entry.
pub(super) async fn prove(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(sequence): Path<String>,
) -> Result<Json<view::AuditProof>, Problem> {
    must_read(&door, &person, Act::AuditRead).await?;
    let asked = sequence.parse().ok().filter(|asked| u64::to_string(asked) == sequence);
    let asked = asked.ok_or_else(|| Problem::invalid(format!("`{sequence}` is no entry's number")).next(TAIL))?;
    let record = person.act(&door, Act::AuditRead).noting(&format!("proof of entry {asked}"));
    door.auditor.record(record).await?;
    let proof = door.tree.prove(asked).await?;
    let size = proof.check().map_err(|error| Problem::new(Kind::Internal, error.to_string()).next(ALTERED))?.size;
    Ok(Json(view::AuditProof { sequence: asked, size, proof: proof.to_string() }))
}

const TAIL: &str = "mosaic-fed audit tail";
const ALTERED: &str = "the log was changed in its database: `mosaic-fed audit export --output FILE`, then `mosaic-fed audit verify FILE` says where";

impl From<TreeError> for Problem {
    fn from(error: TreeError) -> Self {
        let cause = error.to_string();
        match error {
            TreeError::Store(error) => error.into(),
            TreeError::NoEntry { .. } => Self::missing(cause).next(TAIL),
            TreeError::Refused => Self::new(Kind::Conflict, cause).next("mosaic-fed status"),
            TreeError::Tile(_) => {
                Self::new(Kind::Internal, cause).next("ask for it again: it is made anew from the log")
            }
            TreeError::File(_) => {
                Self::new(Kind::Internal, cause).next(format!("see to {} in the data directory", tree::FILE))
            }
        }
    }
}

/// What ids are called today.
struct Names {
    grants: HashMap<GrantId, Name>,
    users: HashMap<UserId, Name>,
    peers: HashMap<GrantId, Name>,
}

impl Names {
    async fn read(door: &Door) -> Result<Self, StoreError> {
        let links = door.store.link_directory().await?;
        let mut grants: HashMap<_, _> = links.into_iter().map(|link| (link.id, link.name)).collect();
        let (mut peers, mut users) = (HashMap::new(), HashMap::new());
        for view in door.store.grants().await? {
            peers.extend(view.peer_name.map(|name| (view.grant.id, name)));
            users.insert(view.grant.subject, view.subject_name);
            grants.insert(view.grant.id, view.grant.name);
        }
        // Who is no user any more still has a name as the subject of a grant.
        users.extend(door.store.users().await?.into_iter().map(|user| (user.id, user.name)));
        Ok(Self { grants, users, peers })
    }

    fn put_on(&self, entry: Entry) -> view::AuditEntry {
        view::AuditEntry {
            grant_name: entry.grant.and_then(|id| self.grants.get(&id).cloned()),
            subject_name: entry.subject.and_then(|id| self.users.get(&id).cloned()),
            peer_name: entry.grant.and_then(|id| self.peers.get(&id).cloned()),
            entry,
        }
    }
}
