//! Keys that somebody else may have: refused for ever by those who manage every workspace, since a key may hold grants of any.

use super::{
    Asked,
    grants::{no_key, no_keys, report},
};
use crate::{Door, Problem, person::Person, problem::Kind, view};
use axum::{Json, extract::State};
use domain::{audit::Act, revoked::KeyReason};
use std::{collections::HashMap, sync::Arc};

/// Every key that is refused.
pub(super) async fn list(State(door): State<Arc<Door>>, person: Person) -> Result<Json<Vec<view::KeyEntry>>, Problem> {
    person.must_manage(&door, Act::KeyRevoke).await?;
    let kept = door.store.revoked_keys().await?;
    Ok(Json(kept.into_iter().map(Into::into).collect()))
}

/// Revokes one, and answers when what was open with it is gone.
pub(super) async fn revoke(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::KeyOrder>,
) -> Result<Json<view::KeyReport>, Problem> {
    let cause = "a revoked key is refused in every workspace; revoking it needs owner or admin in each of them";
    person.must_manage_everything(&door, Act::KeyRevoke, cause).await?;
    if let Some(whose) = no_keys(&door, &person).await?.get(&order.key.to_string()) {
        return Err(no_key(order.key, whose));
    }
    let reason: KeyReason = order.reason.parse().map_err(|cause: domain::revoked::BadReason| {
        Problem::invalid(cause.to_string()).next("say it shorter: --reason TEXT")
    })?;
    let (spoke, hub, by, who, key) =
        (Arc::clone(&door.spoke), Arc::clone(&door.hub), person.by(), person.user.name.clone(), order.key);
    // To its end, in a task of its own: a client who goes away must not leave half of it, which nobody could have done again. So it is
    // looked for here also where it was revoked before.
    let task = tokio::spawn(async move {
        let revoked = spoke.revoke_key(by, who, key, reason).await;
        let here = hub.let_go_of_key(key).await;
        (revoked, here)
    });
    let broke = |_| Problem::new(Kind::Internal, "revoking the key broke off").next("mosaic-fed key list");
    let (revoked, here) = task.await.map_err(broke)?;
    let (revoked, here) = (revoked?, here?);
    let mut views: HashMap<_, _> = door.store.grants().await?.into_iter().map(|view| (view.grant.id, view)).collect();
    let names = revoked.invites.iter().filter_map(|id| views.get(id).map(|view| view.grant.name.clone()));
    let invites = names.collect();
    let grants = revoked.grants.into_iter().filter_map(|one| Some(report(&door, views.remove(&one.grant.id)?, one)));
    Ok(Json(view::KeyReport {
        key: revoked.key.into(),
        grants: grants.collect(),
        invites,
        links: here.links.into_iter().map(|(owner, name)| view::KeyLink { name, owner }).collect(),
        forgotten: here.forgotten,
    }))
}
