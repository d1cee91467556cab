//! Links: the caller's own. Nobody else's exist here, but for administrators as bare facts.

use super::{Asked, by_id};
use crate::{
    Door, Problem,
    held::{self, Connection},
    person::Person,
    problem::Kind,
    tags::Tagged,
    view,
};
use axum::{
    Extension, Json,
    extract::{Path, State},
    response::Response,
};
use domain::{
    answer::{Outcome, Page},
    audit::Act,
    id::{Name, Resource},
};
use hub::{Held, HubError, Question, Sources};
use std::{collections::BTreeSet, sync::Arc};

type Answer<T> = Result<Json<T>, Problem>;

/// Rows in the first answer of a new link.
const FIRST: u32 = 5;
/// So many kinds are asked for at most until one has rows.
const KINDS: usize = 4;

/// The caller's link with this name, or whose id begins so. Somebody else's is no such link (invariant 13).
async fn find(door: &Door, person: &Person, text: &str) -> Result<Name, Problem> {
    let own = door.store.links(person.user.id).await?;
    if let Some(link) = own.iter().find(|link| link.name.as_str() == text) {
        return Ok(link.name.clone());
    }
    match by_id(&own, text, |link| link.id.to_string())[..] {
        [one] => Ok(one.name.clone()),
        [] => Err(Problem::missing(format!("no such link `{text}`")).next("mosaic-fed links")),
        [..] => {
            Err(Problem::new(Kind::Conflict, format!("several links' ids begin with `{text}`")).next("type more of it"))
        }
    }
}

/// The caller's links.
pub(super) async fn entries(door: &Door, person: &Person) -> Result<Vec<view::LinkEntry>, Problem> {
    let links = door.hub.links(&person.asker()).await?;
    let now = door.world.now();
    Ok(links.into_iter().map(|link| view::LinkEntry::new(link, now)).collect())
}

/// The caller's links.
pub(super) async fn list(
    State(door): State<Arc<Door>>,
    person: Person,
) -> Result<Tagged<Vec<view::LinkEntry>>, Problem> {
    let all = entries(&door, &person).await?;
    let kept: Vec<_> = all.iter().cloned().map(|link| view::LinkEntry { session: None, ..link }).collect();
    Ok(Tagged::but_for_the_moment(all, &kept))
}

/// What an invite offered when it was made; nothing is sent anywhere.
pub(super) async fn offer(
    State(door): State<Arc<Door>>,
    _: Person,
    Asked(text): Asked<view::InviteText>,
) -> Answer<view::OfferView> {
    Ok(Json((&door.hub.offer(&text.invite)?).into()))
}

/// Makes a key for an invite that is to be bound to it.
pub(super) async fn prepare(State(door): State<Arc<Door>>, person: Person) -> Answer<view::PreparedKey> {
    let hub::Prepared { key, not_after } = door.hub.prepare(&person.asker()).await?;
    Ok(Json(view::PreparedKey { key, not_after }))
}

/// Makes a link of an invite, asks one question over it, and answers with what came.
pub(super) async fn create(
    State(door): State<Arc<Door>>,
    person: Person,
    Extension(connection): Extension<Connection>,
    Asked(order): Asked<view::LinkOrder>,
) -> Result<Response, Problem> {
    is_bound_to_a_key(&door, &order.invite)?;
    let linked = linked(&door, person.asker(), order).await?;
    let ping: view::PingReport = linked.first.into();
    let (asked, first) = first_rows(&door, &person, &linked.link.name, &ping.resources).await?;
    let link = view::LinkEntry::new(linked.link, door.world.now());
    let hub::Linked { replaced, already, words, .. } = linked;
    let made = |first| view::LinkMade { link, replaced, already, words, ping, asked, first };
    held::json(first.map(made), &connection)
}

/// Refuses an invite that is bound to what this instance shows as its own fingerprint, which is no key and can never be used.
fn is_bound_to_a_key(door: &Door, invite: &str) -> Result<(), Problem> {
    let invite = door.hub.offer(invite)?;
    if invite.key.is_none_or(|key| key.to_string() != door.about.fingerprint) {
        return Ok(());
    }
    let cause = "this invite is bound to the fingerprint of this instance, which is no key: nobody can use it";
    let (owner, grant) = (&invite.instance_name, &invite.offer.grant_name);
    Err(Problem::new(Kind::Conflict, cause).next(format!(
        "type `mosaic-fed link --prepare` and send the fingerprint that it prints to the owner of {owner}, who types `mosaic-fed grant \
         invite {grant} --key FINGERPRINT` there and sends back what that prints, then type `mosaic-fed link`, which asks for it"
    )))
}

/// To its end, in a task of its own: a client who goes away meanwhile must not lose a certificate that was issued already.
async fn linked(door: &Arc<Door>, asker: hub::Asker, order: view::LinkOrder) -> Result<hub::Linked, Problem> {
    let hub = Arc::clone(&door.hub);
    let task = tokio::spawn(async move { hub.link(&asker, &order.invite, order.name).await });
    let ended = task.await.map_err(|_| Problem::new(Kind::Internal, "linking broke off").next("try again"))?;
    Ok(ended?)
}

/// The newest rows of the first of these kinds that has any, and which kinds were asked for: each is a call of the grant's limit.
async fn first_rows(
    door: &Door,
    person: &Person,
    link: &Name,
    kinds: &[Resource],
) -> Result<(Vec<Resource>, Held<Option<Page>>), Problem> {
    let mut first = Held::none(None);
    for (at, resource) in kinds.iter().take(KINDS).enumerate() {
        let (from, resource) = (Sources::Some(vec![link.to_string()]), resource.clone());
        let question =
            Question { from, resource, limit: FIRST, include_body: false, cursor: None, strict: false, fresh: true };
        let page = door.hub.page(&person.asker(), question).await?;
        let is_over = !page.rows.is_empty() || !page.verdict.complete;
        first = page.map(Some);
        if is_over {
            return Ok((kinds[..=at].to_vec(), first));
        }
    }
    Ok((kinds.iter().take(KINDS).cloned().collect(), first))
}

/// Whether a link answers, and what its grant may do.
pub(super) async fn ping(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(link): Path<String>,
) -> Answer<view::PingReport> {
    let link = find(&door, &person, &link).await?;
    Ok(Json(door.hub.ping(&person.asker(), &link).await?.into()))
}

/// Which links that are offline a session has not been told of.
pub(super) async fn offline(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::OfflineOrder>,
) -> Answer<view::OfflineReport> {
    let anew = door.hub.offline_anew(&person.asker(), &order.session, &order.links).await?;
    Ok(Json(view::OfflineReport { anew }))
}

/// Gives a link its next certificate now, to its end, in a task of its own: a client who goes away meanwhile must not leave it
/// between two.
pub(super) async fn renew(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(link): Path<String>,
) -> Answer<view::LinkEntry> {
    let link = find(&door, &person, &link).await?;
    let (hub, asker) = (Arc::clone(&door.hub), person.asker());
    let task = tokio::spawn(async move { hub.renew(&asker, &link).await });
    let ended = task.await.map_err(|_| Problem::new(Kind::Internal, "renewing broke off").next("try again"))?;
    Ok(Json(view::LinkEntry::new(ended?, door.world.now())))
}

/// Ends a link.
pub(super) async fn unlink(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(link): Path<String>,
    Asked(order): Asked<view::UnlinkOrder>,
) -> Answer<view::UnlinkReport> {
    let link = find(&door, &person, &link).await?;
    let ended = door.hub.unlink(&person.asker(), &link, order.now).await?;
    let hub::Unlinked { name: link, told, ended_before, never_let_in, reason, .. } = ended;
    Ok(Json(view::UnlinkReport { link, told, ended_before, never_let_in, reason }))
}

/// Everybody's links, as bare facts, for those who manage the workspace.
pub(super) async fn directory(State(door): State<Arc<Door>>, person: Person) -> Answer<Vec<view::DirectoryEntry>> {
    Ok(Json(known(&door, &person).await?.into_iter().map(Into::into).collect()))
}

/// The links of the users in workspaces that the caller manages.
async fn known(door: &Door, person: &Person) -> Result<Vec<store::LinkEntry>, Problem> {
    person.must_manage(door, Act::LinkRemove).await?;
    let managed = person.managed();
    let users = door.store.users().await?.into_iter();
    let theirs = users.filter(|user| user.roles.keys().any(|workspace| managed.contains(workspace)));
    let theirs: BTreeSet<_> = theirs.map(|user| user.name).collect();
    let all = door.store.link_directory().await?.into_iter();
    Ok(all.filter(|entry| theirs.contains(&entry.owner)).collect())
}

/// Removes somebody's link, for those who manage the workspace; found by the beginning of its id.
pub(super) async fn forget(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(link): Path<String>,
) -> Answer<Vec<view::DirectoryEntry>> {
    let all = known(&door, &person).await?;
    let meant: Vec<_> = by_id(&all, &link, |entry| entry.id.to_string()).into_iter().cloned().collect();
    let ids: BTreeSet<_> = meant.iter().map(|entry| entry.id).collect();
    if ids.len() != 1 {
        let cause = format!("`{link}` is not the beginning of one link's id");
        return Err(Problem::missing(cause).next("mosaic-fed links --all"));
    }
    Ok(Json(door.hub.forget(&person.asker(), meant).await?.into_iter().map(Into::into).collect()))
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Self {
        let kind = match error {
            HubError::Store(error) => return error.into(),
            HubError::Incomplete(ref sources) => {
                let problem = Self::new(Kind::Incomplete, error.to_string());
                let answered = sources.iter().any(|source| source.outcome.is_answer());
                return if answered {
                    problem.next("leave out `strict` to have the rows of those that answered")
                } else {
                    problem
                };
            }
            HubError::NoSuchLink(_) => Kind::Missing,
            HubError::Name(_)
            | HubError::OtherLink(_)
            | HubError::PreparedKey(_)
            | HubError::Waiting(_)
            | HubError::Refused { .. }
            | HubError::Renewal { outcome: Outcome::Revoked | Outcome::RateLimited, .. } => Kind::Conflict,
            HubError::Invite(_) | HubError::Cursor | HubError::Question(_) => Kind::Invalid,
            HubError::Enrolment(_) | HubError::Listener(_) | HubError::Renewal { .. } => Kind::Unavailable,
            HubError::Key(_) => Kind::Internal,
        };
        Self::told(kind, &error.to_string())
    }
}
