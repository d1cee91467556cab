//! Many invites at once: the list is judged here, and each invite is made like any other.

use super::{
    Asked,
    grants::{no_key, no_keys},
    personal,
};
use crate::{
    Door, Problem,
    person::Person,
    problem::Kind,
    view::{self, InviteeVerdict, MOST_INVITEES},
};
use axum::{Json, extract::State};
use domain::audit::Act;
use spoke::{AdminError, Invitee, Judged, OneForAll};
use std::{collections::HashMap, sync::Arc};

/// Bytes of all kinds that are named, with a comma each.
const MOST_KINDS: usize = 4_096;

/// One verdict for each of a list, in its order.
pub(super) async fn judge(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::InviteesOrder>,
) -> Result<Json<Vec<InviteeVerdict>>, Problem> {
    if order.people.len() > MOST_INVITEES {
        let cause = format!("{} are to be invited at once, and {MOST_INVITEES} can be", order.people.len());
        return Err(Problem::new(Kind::TooLarge, cause).next("send them in several requests"));
    }
    if order.people.is_empty() {
        return Err(Problem::invalid("nobody is to be invited").next("name somebody"));
    }
    // What is wrong with each line says which command would do: with more of it than there are kinds it says nothing.
    if order.scope.resources.iter().map(|kind| kind.len() + 1).sum::<usize>() > MOST_KINDS {
        return Err(Problem::invalid("more kinds are named than there are").next("name each once: --share tasks,notes"));
    }
    let unlawful = not_theirs_to_make(&door, &person, &order).await?;
    let no_keys = no_keys(&door, &person).await?;
    let view::InviteesOrder { people, scope: spec, sensitive, narrow, confirm, .. } = order;
    let terms = OneForAll { spec, own: person.user.name.clone(), sensitive, narrow, confirm };
    let list: Vec<Invitee> = people.into_iter().map(Into::into).collect();
    // Nothing is looked up for who may not invite: what there is in a workspace is not theirs to know.
    let lawful = list.iter().zip(&unlawful).filter(|(_, unlawful)| unlawful.is_none());
    let lawful: Vec<Invitee> = lawful.map(|(invitee, _)| invitee.clone()).collect();
    let judged = if lawful.is_empty() { Vec::new() } else { door.spoke.judge(&terms, &lawful).await? };
    let mut judged = lawful.iter().zip(judged);
    let each = unlawful.into_iter().filter_map(|unlawful| match unlawful {
        Some(problem) => Some(refused(problem)),
        None => judged.next().map(|(invitee, judged)| verdict(invitee, judged, &no_keys)),
    });
    Ok(Json(each.collect()))
}

/// Why the caller may not make each of them, as a single one is refused. That they were refused is recorded once.
async fn not_theirs_to_make(
    door: &Door,
    person: &Person,
    order: &view::InviteesOrder,
) -> Result<Vec<Option<Problem>>, Problem> {
    let each = order.people.iter();
    let each = each.map(|one| personal::unlawful(person, &one.name, &one.subject, &order.scope, order.personal));
    let each: Vec<_> = each.collect();
    if let Some(problem) = each.iter().flatten().next() {
        let told = person.refused(door, Act::GrantCreate, problem.clone()).await;
        // Another one is that it could not be recorded.
        if (told.kind, &told.cause) != (problem.kind, &problem.cause) {
            return Err(told);
        }
    }
    Ok(each)
}

fn refused(problem: Problem) -> InviteeVerdict {
    InviteeVerdict::Refused { cause: problem.cause, next: problem.next }
}

fn verdict(invitee: &Invitee, judged: Result<Judged, AdminError>, no_keys: &HashMap<String, String>) -> InviteeVerdict {
    let no_key = invitee.key.and_then(|key| Some(no_key(key, no_keys.get(&key.to_string())?)));
    match (no_key, judged.map_err(Problem::from)) {
        (Some(problem), _) | (None, Err(problem)) => refused(problem),
        (None, Ok(Judged::Good)) => InviteeVerdict::Good,
        (None, Ok(Judged::There(there))) => InviteeVerdict::There {
            held: there.grant.peer.is_some(),
            holder: there.peer_name,
            expires_at: there.invite.map(|invite| invite.expires_at),
        },
    }
}
