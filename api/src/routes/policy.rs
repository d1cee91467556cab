//! What this instance allows at all: for everybody to read, for those to set who manage every workspace.

use super::Asked;
use crate::{
    Door, Problem,
    person::Person,
    tags::{self, Tagged},
    view,
};
use axum::{Json, extract::State, http::HeaderMap};
use domain::{audit::Act, scope::ceiling::Ceiling};
use std::sync::Arc;
use store::GrantView;

/// What is in force.
pub(super) async fn show(State(door): State<Arc<Door>>, _: Person) -> Result<Tagged<view::Policy>, Problem> {
    Ok(Tagged::whole(door.spoke.ceiling().await?.into()))
}

/// Puts a ceiling in force.
pub(super) async fn set(
    State(door): State<Arc<Door>>,
    person: Person,
    headers: HeaderMap,
    Asked(order): Asked<view::PolicyOrder>,
) -> Result<Json<view::PolicyReport>, Problem> {
    change(&door, &person, &headers, (Some(order.ceiling), order.narrow)).await
}

/// Takes the ceiling away.
pub(super) async fn clear(
    State(door): State<Arc<Door>>,
    person: Person,
    headers: HeaderMap,
) -> Result<Json<view::PolicyReport>, Problem> {
    change(&door, &person, &headers, (None, false)).await
}

async fn change(
    door: &Door,
    person: &Person,
    headers: &HeaderMap,
    (ceiling, narrow): (Option<Ceiling>, bool),
) -> Result<Json<view::PolicyReport>, Problem> {
    let cause = "what is allowed holds for every workspace; setting it needs owner or admin in each of them";
    person.must_manage_everything(door, Act::PolicySet, cause).await?;
    // Until it is changed nobody else changes it: every edit comes by this door.
    let _edit = door.edits.lock().await;
    let now: view::Policy = door.spoke.ceiling().await?.into();
    tags::must_match(headers, "the policy", &now, "/v1/policy")?;
    let narrowed = door.spoke.set_ceiling(person.by(), person.user.name.clone(), ceiling, narrow).await?;
    let (grants, now) = (door.store.grants().await?, door.world.now());
    let entry = |one: spoke::NarrowedGrant| {
        let known = grants.iter().find(|view| view.grant.id == one.grant.id);
        let entry = known.map_or_else(
            || view::GrantEntry::new(&one.grant, now),
            |view| view::GrantEntry::named(&GrantView { grant: one.grant.clone(), ..view.clone() }, now),
        );
        view::GrantEntry { narrowed: view::differences(one.lost), ..entry }
    };
    let narrowed = narrowed.into_iter().map(entry).collect();
    Ok(Json(view::PolicyReport { policy: door.spoke.ceiling().await?.into(), narrowed }))
}
