//! Whom a token speaks for: its own user, in its own workspace alone, as they are there at this moment.

use crate::{Door, Problem, person::refusal, problem::Kind};
use domain::{
    audit::Act,
    id::{Name, RequestId},
    token::KeptToken,
};
use store::User;

/// The token's user, without their places in other workspaces.
pub(crate) async fn user(
    door: &Door,
    token: &KeptToken,
    request: RequestId,
    wanted: Option<Name>,
) -> Result<User, Problem> {
    if wanted.is_some() {
        let record = refusal(door, Act::Impersonate, Some(token.owner), request);
        door.auditor.refuse(record.noting(&format!("token {} asked to act as another", token.name))).await?;
        return Err(
            Problem::forbidden("a token acts as its own user, and never as another").next("leave x-mosaic-as out")
        );
    }
    // Since the head of the request came its body did, and the token may have been taken away meanwhile.
    let is_good = |kept: &KeptToken| !kept.has_expired(door.world.now());
    if !door.store.token(token.id).await?.is_some_and(|kept| is_good(&kept)) {
        let problem = Problem::new(Kind::Unauthorized, "the token was taken away while the request came in");
        return Err(problem.next("make another one: mosaic-fed token add NAME"));
    }
    let (user, all) = (door.store.user_of_id(token.owner).await?, door.store.workspaces().await?);
    let gone = || Problem::forbidden("the user of this token is gone").next("make one for another user");
    let mut user = user.ok_or_else(gone)?;
    let place = all.into_iter().find(|workspace| workspace.id == token.workspace).map(|workspace| workspace.name);
    user.roles.retain(|name, _| place.as_ref() == Some(name));
    user.teams.retain(|name, _| place.as_ref() == Some(name));
    Ok(user)
}
