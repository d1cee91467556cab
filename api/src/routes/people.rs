//! Users, workspaces and teams: managed by owners and admins of the workspace.

use super::{Asked, name};
use crate::{
    Door, Problem,
    door::is_operator,
    person::Person,
    tags::{self, Tagged},
    view,
};
use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
};
use domain::{
    audit::Act,
    id::{Name, UserId, WorkspaceId},
    rights::Role,
    say::existing,
};
use std::{collections::BTreeSet, sync::Arc};
use store::{GrantView, User};

type Answer<T> = Result<Json<T>, Problem>;
type Seen<T> = Result<Tagged<T>, Problem>;

/// Everybody in the workspaces that the caller manages, and themselves.
pub(super) async fn users(State(door): State<Arc<Door>>, person: Person) -> Seen<Vec<view::UserEntry>> {
    let managed = person.managed();
    let seen = seen(&door, &person).await?.into_iter();
    Ok(Tagged::whole(seen.map(|user| trimmed(user, &managed, person.user.id)).collect()))
}

/// One of them.
pub(super) async fn user(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(user): Path<String>,
) -> Seen<view::UserEntry> {
    let (user, managed) = (name(&user)?, person.managed());
    match seen(&door, &person).await?.into_iter().find(|seen| seen.name == user) {
        Some(user) => Ok(Tagged::whole(trimmed(user, &managed, person.user.id))),
        None => Err(no_user(&door, &person, &user).await?),
    }
}

async fn seen(door: &Door, person: &Person) -> Result<Vec<User>, Problem> {
    let managed = person.managed();
    let mut all = door.store.users().await?;
    all.retain(|user| user.id == person.user.id || user.roles.keys().any(|name| managed.contains(name)));
    Ok(all)
}

/// What the caller may know of a user: their place in the workspaces that the caller manages.
fn trimmed(mut user: User, managed: &BTreeSet<Name>, own: UserId) -> view::UserEntry {
    if user.id != own {
        user.roles.retain(|name, _| managed.contains(name));
        user.teams.retain(|name, _| managed.contains(name));
    }
    user.into()
}

/// Adds a user to the request's workspace.
pub(super) async fn add_user(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::UserOrder>,
) -> Answer<view::UserEntry> {
    let view::UserOrder { name, uid, role } = order;
    person.must_manage(&door, Act::UserAdd).await?;
    owner_gives_ownership(&door, &person, Act::UserAdd, role == Role::Owner).await?;
    if uid.is_some_and(is_operator) && !person.operator {
        let problem = Problem::forbidden("only the operator may give the daemon's own uid, or root's, to a user");
        return Err(person.refused(&door, Act::UserAdd, problem).await);
    }
    if uid.is_some() {
        person.must_be_there(&door, Act::UserAdd, "saying which account acts as a user").await?;
    }
    let note = format!(
        "{name} as {role} of {}{}",
        person.workspace,
        uid.map_or_else(String::new, |uid| format!(", uid {uid}"))
    );
    let record = person.act(&door, Act::UserAdd).noting(&note);
    let id = UserId(door.world.uuid());
    let user = door.store.add_user(id, &name, uid, &person.workspace, role, record).await?;
    let notice = if uid.is_some() { shared_socket(&door).await } else { None };
    Ok(Json(view::UserEntry { notice, ..user.into() }))
}

/// Opens the second socket where a second uid needs it; what stands in the way is the caller's to know.
async fn shared_socket(door: &Arc<Door>) -> Option<String> {
    door.open_to_others().await.unwrap_or_else(|error| Some(error.to_string()))
}

/// Gives a user a role in the request's workspace, or takes them out of it.
pub(super) async fn set_role(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(user): Path<String>,
    headers: HeaderMap,
    Asked(view::RoleOrder { role }): Asked<view::RoleOrder>,
) -> Answer<view::UserEntry> {
    person.must_manage(&door, Act::UserEdit).await?;
    let _edit = door.edits.lock().await;
    let user = known(&door, &person, &name(&user)?).await?;
    let (now, what) = (trimmed(user.clone(), &person.managed(), person.user.id), format!("user {}", user.name));
    tags::must_match(&headers, &what, &now, &format!("/v1/users/{}", user.name))?;
    let held = user.roles.get(&person.workspace).copied();
    let touches_owner = role == Some(Role::Owner) || held == Some(Role::Owner);
    owner_gives_ownership(&door, &person, Act::UserEdit, touches_owner).await?;
    let as_what = role.map_or("out of", Role::word);
    let record = person.act(&door, Act::UserEdit).noting(&format!("{} {as_what} {}", user.name, person.workspace));
    let user = door.store.set_role(&user.name, &person.workspace, role, record).await?;
    Ok(Json(trimmed(user, &person.managed(), person.user.id)))
}

/// Removes a user with their personal rows, links and grants.
pub(super) async fn remove_user(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(user): Path<String>,
) -> Answer<view::Removed> {
    let user = removable(&door, &person, &user).await?;
    let record = person.act(&door, Act::UserRemove).noting(user.name.as_str());
    let audience = door.spoke.audience(|grant| grant.subject == user.id);
    let revoked = door.store.remove_user(&user.name, record).await?;
    // Their grants are revoked by now; what is open under them ends before this is answered.
    let ended = door.spoke.ended(person.by(), &revoked, audience).await;
    door.hub.forget_user(user.id);
    if let Err(cause) = door.learn_uids().await {
        tracing::warn!(%cause, "the removed user's uid keeps its places at the socket until the next change");
    }
    let receipts = revoked.iter().filter_map(|grant| {
        let receipt = *ended.receipts.get(&grant.id)?;
        Some((grant.name.clone(), receipt.into()))
    });
    let receipts = receipts.collect();
    let revoked_grants = revoked.into_iter().map(|grant| grant.name).collect();
    Ok(Json(view::Removed { name: user.name, revoked_grants, receipts }))
}

/// What would go with a user, for those who may remove them.
pub(super) async fn belongings(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(user): Path<String>,
) -> Answer<view::Belongings> {
    let user = removable(&door, &person, &user).await?;
    let store::Belongings { rows, links } = door.store.belongings(&user.name).await?;
    let (now, all) = (door.world.now(), door.store.grants().await?);
    let open = |view: &GrantView| !["revoked", "expired"].contains(&view.standing(now));
    let theirs = all.into_iter().filter(|view| view.grant.subject == user.id && open(view));
    Ok(Json(view::Belongings { name: user.name, rows, links, grants: theirs.map(|view| view.grant.name).collect() }))
}

/// The user of this name, if the caller may remove them.
async fn removable(door: &Door, person: &Person, user: &str) -> Result<User, Problem> {
    person.must_manage(door, Act::UserRemove).await?;
    let user = known(door, person, &name(user)?).await?;
    let managed = person.managed();
    if let Some(foreign) = user.roles.keys().find(|name| !managed.contains(*name)) {
        let cause =
            format!("user `{}` is also in `{foreign}`, which `{}` does not manage", user.name, person.user.name);
        let next = format!("take them out of this workspace alone: `mosaic-fed user role {} none`", user.name);
        let problem = Problem::forbidden(cause).next(next);
        return Err(person.refused(door, Act::UserRemove, problem).await);
    }
    for (workspace, _) in user.roles.iter().filter(|(_, role)| **role == Role::Owner) {
        let owner = person.user.roles.get(workspace) == Some(&Role::Owner);
        owner_gives_ownership(door, person, Act::UserRemove, !owner).await?;
    }
    Ok(user)
}

async fn known(door: &Door, person: &Person, name: &Name) -> Result<User, Problem> {
    match door.store.user(name).await? {
        Some(user) => Ok(user),
        None => Err(no_user(door, person, name).await?),
    }
}

/// Whom there is instead, as far as the caller may know: a name like one of theirs is a misspelt one.
async fn no_user(door: &Door, person: &Person, name: &Name) -> Result<Problem, Problem> {
    let seen = seen(door, person).await?;
    let known = existing(seen.iter().map(|user| user.name.as_str()), "nobody exists");
    Ok(Problem::missing(format!("there is no user `{name}`: {known}")).next("see `mosaic-fed user list`"))
}

/// Only an owner makes, unmakes or removes owners.
async fn owner_gives_ownership(door: &Door, person: &Person, act: Act, touched: bool) -> Result<(), Problem> {
    if !touched || person.role == Role::Owner {
        return Ok(());
    }
    let problem = Problem::forbidden(format!("only an owner of `{}` may do this to an owner", person.workspace))
        .next(format!("ask an owner of `{}` to do it", person.workspace));
    Err(person.refused(door, act, problem).await)
}

/// The workspaces that the caller is in.
pub(super) async fn workspaces(State(door): State<Arc<Door>>, person: Person) -> Answer<Vec<view::WorkspaceEntry>> {
    let all = door.store.workspaces().await?.into_iter();
    let seen = all.filter_map(|workspace| {
        let role = person.user.roles.get(&workspace.name).copied()?;
        let store::Workspace { id, name, members } = workspace;
        Some(view::WorkspaceEntry { id, name, members, role: Some(role) })
    });
    Ok(Json(seen.collect()))
}

/// Adds a workspace; the user whom the operator is, or acts as, becomes its owner. Only the operator may: whoever is in a workspace
/// that nobody else manages can be removed by nobody else, and keeps the log from all who manage the others.
pub(super) async fn add_workspace(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::WorkspaceOrder>,
) -> Answer<view::WorkspaceEntry> {
    if !person.operator {
        let problem = Problem::forbidden("only the operator, who runs the daemon, may add a workspace")
            .next(format!("ask the operator to run `mosaic-fed workspace add {}`", order.name));
        return Err(person.refused(&door, Act::WorkspaceAdd, problem).await);
    }
    let record = person.act(&door, Act::WorkspaceAdd).noting(order.name.as_str());
    let id = WorkspaceId(door.world.uuid());
    let workspace = door.store.add_workspace(id, &order.name, person.user.id, record).await?;
    let store::Workspace { id, name, members } = workspace;
    Ok(Json(view::WorkspaceEntry { id, name, members, role: Some(Role::Owner) }))
}

/// The teams of the request's workspace: all for those who manage it, else the caller's own.
pub(super) async fn teams(State(door): State<Arc<Door>>, person: Person) -> Seen<Vec<view::TeamEntry>> {
    let all = door.store.teams(&person.workspace).await?.into_iter();
    let seen = all.filter(|team| person.manages() || team.members.contains_key(&person.user.name));
    Ok(Tagged::whole(seen.map(Into::into).collect()))
}

/// Adds a team to the request's workspace.
pub(super) async fn add_team(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::TeamOrder>,
) -> Answer<view::TeamEntry> {
    person.must_manage(&door, Act::TeamEdit).await?;
    let record = person.act(&door, Act::TeamEdit).noting(&format!("new team {}", order.team));
    Ok(Json(door.store.add_team(&person.workspace, &order.team, record).await?.into()))
}

/// Puts a user into a team, or takes them out. Those who lead the team may, and everybody may leave.
pub(super) async fn set_member(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::MemberOrder>,
) -> Answer<view::TeamEntry> {
    let view::MemberOrder { team, user, role } = order;
    let leaves = role.is_none() && user == person.user.name;
    if !leaves && !leads(&door, &person, &team).await? {
        person.must_manage(&door, Act::TeamEdit).await?;
    }
    let joining = known(&door, &person, &user).await?;
    if role.is_some() && !joining.roles.contains_key(&person.workspace) {
        return Err(not_here(&person, &user));
    }
    let as_what = role.map_or("out of", Role::word);
    let record = person.act(&door, Act::TeamEdit).noting(&format!("{user} {as_what} team {team}"));
    Ok(Json(door.store.set_member(&person.workspace, &team, &user, role, record).await?.into()))
}

/// Only somebody of the workspace joins a team of it; who leads a team may not give them a role there.
fn not_here(person: &Person, user: &Name) -> Problem {
    let place = &person.workspace;
    let step = format!("mosaic-fed --workspace {place} user role {user} member");
    let next = if person.manages() { step } else { format!("ask an owner or admin of `{place}` to run `{step}`") };
    Problem::missing(format!("user `{user}` is not in workspace {place}")).next(next)
}

async fn leads(door: &Door, person: &Person, team: &domain::id::TeamId) -> Result<bool, Problem> {
    let all = door.store.teams(&person.workspace).await?;
    let place = all.iter().find(|one| one.id == *team).and_then(|team| team.members.get(&person.user.name));
    Ok(place.is_some_and(|role| role.manages()))
}
