//! Calls: whom the caller waits for, and grants whose invite is brought to the other side.

use super::{
    Asked,
    grants::{find, made, permitted},
    personal,
};
use crate::{Door, Problem, person::Person, problem::Kind, view};
use axum::{
    Json,
    extract::{Path, State},
};
use domain::{
    calling::Calling,
    id::{AwaitId, Name},
};
use spoke::{CallView, Created, Terms};
use std::sync::Arc;

type Answer<T> = Result<Json<T>, Problem>;

/// Waits to be called.
pub(super) async fn wait(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::AwaitOrder>,
) -> Answer<view::AwaitMade> {
    let made = door.hub.wait_for_call(&person.asker(), order.name, &order.addresses).await?;
    Ok(Json(made.into()))
}

/// What the caller waits for, and what came of it.
pub(super) async fn awaits(State(door): State<Arc<Door>>, person: Person) -> Answer<Vec<view::AwaitEntry>> {
    Ok(Json(door.hub.awaits(&person.asker()).await?.into_iter().map(Into::into).collect()))
}

/// Waits no longer; what is left is answered.
pub(super) async fn end(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(id): Path<String>,
) -> Answer<Vec<view::AwaitEntry>> {
    let all = door.hub.awaits(&person.asker()).await?;
    let meant: Vec<AwaitId> = super::by_id(&all, &id, |one| one.id.to_string()).iter().map(|one| one.id).collect();
    let [meant] = meant[..] else {
        let cause = format!("`{id}` is not the beginning of the id of one call that you wait for");
        return Err(Problem::missing(cause).next("mosaic-fed link await --list"));
    };
    door.hub.end_await(&person.asker(), meant).await?;
    Ok(Json(door.hub.awaits(&person.asker()).await?.into_iter().map(Into::into).collect()))
}

/// Makes a grant, and brings its invite to whoever waits for it.
pub(super) async fn create(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::CallOrder>,
) -> Answer<view::CallMade> {
    let view::CallOrder { invite, call } = order;
    if invite.key.is_some() {
        let cause = "an invite that is brought is bound to the key that the text of `link await` names";
        return Err(Problem::invalid(cause).next("leave out --key"));
    }
    is_for_another(&door, &call)?;
    let terms = Terms { key: None, confirm: invite.confirm };
    let order = permitted(&door, &person, invite).await?;
    let subject = order.subject.clone();
    let spoke = Arc::clone(&door.spoke);
    let by = person.by();
    // To its end, in a task of its own: a client who goes away must not leave a grant that nobody is called for.
    let task = tokio::spawn(async move { spoke.create_calling(by, order, terms, &call).await });
    Ok(Json(called(&door, ended(task.await)?, subject)))
}

/// Brings a fresh invite of a grant that has not ended to whoever waits for it.
pub(super) async fn again(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(grant): Path<String>,
    Asked(order): Asked<view::CallAgain>,
) -> Answer<view::CallMade> {
    let view = find(&door, &person, &grant).await?;
    personal::may_invite(&door, &person, &view).await?;
    view.trust_invite().map_err(spoke::AdminError::from)?;
    is_for_another(&door, &order.call)?;
    let confirm = order.confirm || view.invite.is_some_and(|last| last.confirm);
    let (spoke, by, id) = (Arc::clone(&door.spoke), person.by(), view.grant.id);
    let terms = Terms { key: None, confirm };
    let task = tokio::spawn(async move { spoke.invite_calling(by, id, terms, &order.call).await });
    Ok(Json(called(&door, ended(task.await)?, view.subject_name)))
}

/// Refuses a text that this very instance printed, before anything is done with it: its owner here waits on.
fn is_for_another(door: &Door, text: &str) -> Result<(), Problem> {
    let Ok(calling) = Calling::decode(text) else { return Ok(()) };
    if !door.hub.is_own_await(calling.id) {
        return Ok(());
    }
    let cause = "this text is of this instance itself: `link await` printed it here, and nothing was done with it";
    Err(Problem::new(Kind::Conflict, cause)
        .next("give it to the other instance's owner, who types `mosaic-fed invite NAME --for USER --share KINDS --call -` there"))
}

type Called = (Created, CallView);

fn ended(task: Result<Result<Called, spoke::AdminError>, tokio::task::JoinError>) -> Result<Called, Problem> {
    let broke = |_| Problem::new(Kind::Internal, "calling broke off").next("mosaic-fed grant list");
    Ok(task.map_err(broke)??)
}

fn called(door: &Door, (created, call): Called, subject: Name) -> view::CallMade {
    let (id, terms) = (created.grant.id, created.terms);
    let view::InviteMade { grant, rows, key, confirm, .. } =
        made(door, created, terms, (subject, &view::GrantNames::default()));
    // Meanwhile it may have been used.
    let state = door.spoke.call(id).unwrap_or(call);
    view::CallMade { grant, call: state.into(), key, confirm, rows }
}
