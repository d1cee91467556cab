//! Tokens of programs: the caller's own, looked after at the socket alone, so that whoever took one makes no more of them.

use super::{Asked, name};
use crate::{Door, Problem, person::Person, view};
use axum::{
    Json,
    extract::{Path, State},
};
use domain::{
    audit::Act,
    say::existing,
    token::{KeptToken, Lifetime, MOST_DAYS, ProgramToken},
};
use std::sync::Arc;

type Answer<T> = Result<Json<T>, Problem>;

const LOOKED_AFTER: &str = "looking after tokens";

/// The caller's, by name.
pub(super) async fn list(State(door): State<Arc<Door>>, person: Person) -> Answer<Vec<view::TokenEntry>> {
    person.must_be_there(&door, Act::TokenUse, LOOKED_AFTER).await?;
    Ok(Json(entries(&door, &person).await?))
}

async fn entries(door: &Door, person: &Person) -> Result<Vec<view::TokenEntry>, Problem> {
    let (all, places, now) =
        (door.store.tokens(person.user.id).await?, door.store.workspaces().await?, door.world.now());
    let entry = |token: KeptToken| {
        let place = places.iter().find(|place| place.id == token.workspace)?;
        Some(view::TokenEntry::new(token, place.name.clone(), now))
    };
    Ok(all.into_iter().filter_map(entry).collect())
}

/// Makes one, for the workspace that the request is about.
pub(super) async fn add(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::TokenOrder>,
) -> Answer<view::TokenMade> {
    person.must_be_there(&door, Act::TokenAdd, LOOKED_AFTER).await?;
    let life = Lifetime::days(door.world.now(), order.days).ok_or_else(|| {
        Problem::invalid(format!("a token cannot live for {} days", order.days))
            .next(format!("say 1 to {MOST_DAYS}: --days"))
    })?;
    let token = ProgramToken::generate(&door.world);
    let kept = KeptToken::of(&token, (person.user.id, person.workspace_id), order.name.clone(), life);
    let note = format!("{} in {}, until {}", order.name, person.workspace, kept.not_after);
    door.store.add_token(&kept, person.act(&door, Act::TokenAdd).noting(&note)).await?;
    door.learn_token(kept.id);
    Ok(Json(view::TokenMade {
        name: order.name,
        token: token.encode().expose().clone(),
        user: person.user.name,
        workspace: person.workspace,
        not_after: kept.not_after,
        http: door.http_at().map(|at| at.to_string()),
    }))
}

/// Ends one.
pub(super) async fn remove(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(token): Path<String>,
) -> Answer<Vec<view::TokenEntry>> {
    person.must_be_there(&door, Act::TokenRemove, LOOKED_AFTER).await?;
    let token = name(&token)?;
    let record = person.act(&door, Act::TokenRemove).noting(token.as_str());
    let Some(gone) = door.store.remove_token(person.user.id, &token, record).await? else {
        let own = door.store.tokens(person.user.id).await?;
        let known = existing(own.iter().map(|token| token.name.as_str()), "you have none");
        return Err(Problem::missing(format!("you have no token `{token}`: {known}")).next("mosaic-fed token list"));
    };
    door.forget_token(gone);
    Ok(Json(entries(&door, &person).await?))
}
