//! What people are told when something named does not exist or cannot be, the same words from every store.

use crate::{Enrolment, StoreError, User};
use domain::{
    Time,
    audit::{Act, Record, Subject},
    grant::{EndedBy, Grant, IllegalMove, Leaf, State},
    id::{GrantId, InstanceId, InviteId, Name, Serial, Spki, TeamId, UserId, WorkspaceId},
    invite::{Invited, KeptInvite},
    renewal::Successor,
    revoked::RevokedKey,
    rights::Role,
    say::existing,
    scope::{Scope, ceiling::Excess},
    seal::Doubt,
};

/// What to do about a grant that has ended.
const NEW_GRANT: &str = "see `mosaic-fed grant list`, or make a new one: `mosaic-fed invite NAME --share KINDS`";

pub(crate) fn no_workspace<'a>(name: &Name, known: impl Iterator<Item = &'a str>) -> StoreError {
    let known = existing(known, "there is none");
    StoreError::Missing(format!("there is no workspace `{name}`: {known}; see `mosaic-fed workspace list`"))
}

pub(crate) fn no_workspace_id(id: WorkspaceId) -> StoreError {
    StoreError::Missing(format!("there is no workspace {id}; see `mosaic-fed workspace list`"))
}

pub(crate) fn no_user(name: &Name) -> StoreError {
    StoreError::Missing(format!("there is no user `{name}`; see `mosaic-fed user list`"))
}

pub(crate) fn no_user_id(id: UserId) -> StoreError {
    StoreError::Missing(format!("there is no user {id}; see `mosaic-fed user list`"))
}

pub(crate) fn no_team<'a>(team: &TeamId, workspace: &Name, known: impl Iterator<Item = &'a TeamId>) -> StoreError {
    let known = existing(known.map(TeamId::as_str), "it has none");
    StoreError::Missing(format!("there is no team `{team}` in {workspace}: {known}; see `mosaic-fed team list`"))
}

/// Nobody is in a team of a workspace that they are not in.
pub(crate) fn not_in_workspace(user: &Name, workspace: &Name, joining: bool) -> StoreError {
    let next = if joining {
        format!("`mosaic-fed --workspace {workspace} user role {user} member`")
    } else {
        "see `mosaic-fed team list`".to_owned()
    };
    StoreError::Missing(format!("`{user}` is not in workspace {workspace}; {next}"))
}

/// Why a user could not be added to `workspace` as `role`: whoever has the name, and whoever acts for the uid.
pub(crate) fn user_taken(
    namesake: Option<&User>,
    uid: Option<(u32, &Name)>,
    workspace: &Name,
    role: Role,
) -> StoreError {
    let uid = uid.filter(|(_, holder)| namesake.is_none_or(|user| user.name != **holder));
    let uid = uid.map(|(uid, holder)| format!("uid {uid} acts as user `{holder}` already"));
    let name = namesake.map(|user| match user.roles.get(workspace) {
        Some(held) => format!("there is a user `{}` already, {held} of {workspace}", user.name),
        None => format!("there is a user `{}` already, who is not in {workspace}", user.name),
    });
    let next = match namesake {
        Some(user) if !user.roles.contains_key(workspace) => {
            format!("`mosaic-fed --workspace {workspace} user role {} {role}`", user.name)
        }
        Some(_) => "choose another name, or see `mosaic-fed user list`".to_owned(),
        None => "leave --uid out or choose another, and see `mosaic-fed user list`".to_owned(),
    };
    let cause = name.into_iter().chain(uid).collect::<Vec<_>>().join(", and ");
    StoreError::Conflict(format!("{cause}; {next}"))
}

pub(crate) fn token_taken(name: &Name) -> StoreError {
    StoreError::Conflict(format!(
        "you have a token `{name}` already; choose another name, or take that one away first: `mosaic-fed token remove {name}`"
    ))
}

pub(crate) fn too_many_tokens() -> StoreError {
    let most = domain::token::MOST;
    StoreError::Conflict(format!(
        "you have {most} tokens, as many as one may have; take one away: see `mosaic-fed token list`"
    ))
}

pub(crate) fn user_id_taken(id: UserId) -> StoreError {
    StoreError::Conflict(format!("there is a user with the id {id} already; try again"))
}

pub(crate) fn workspace_taken(name: &Name) -> StoreError {
    StoreError::Conflict(format!(
        "there is a workspace `{name}` already; choose another name, or see `mosaic-fed workspace list`"
    ))
}

pub(crate) fn team_taken(team: &TeamId, workspace: &Name) -> StoreError {
    StoreError::Conflict(format!(
        "there is a team `{team}` in {workspace} already; choose another name, or see `mosaic-fed team list`"
    ))
}

pub(crate) fn last_owner(workspace: &Name) -> StoreError {
    StoreError::Conflict(format!(
        "{workspace} would have no owner left; make somebody else its owner first: \
         `mosaic-fed --workspace {workspace} user role NAME owner`"
    ))
}

/// Refuses a role that a team does not have.
pub(crate) fn team_role(role: Option<Role>) -> Result<(), StoreError> {
    if role == Some(Role::Guest) {
        return Err(StoreError::Conflict("a team has no guests; choose owner, admin or member".into()));
    }
    Ok(())
}

pub(crate) fn grant_name_taken(name: &Name) -> StoreError {
    StoreError::Conflict(format!(
        "a grant `{name}` exists and has not ended; choose another name, or see `mosaic-fed grant list`"
    ))
}

pub(crate) fn grant_id_taken(id: GrantId) -> StoreError {
    StoreError::Conflict(format!("there is a grant {id} already; make a new one"))
}

pub(crate) fn no_grant(id: GrantId) -> StoreError {
    StoreError::Missing(format!("there is no grant {id}; see `mosaic-fed grant list`"))
}

pub(crate) fn doubtful(grant: &Grant, doubt: Doubt) -> StoreError {
    let Grant { name, id, .. } = grant;
    // Its name may be anybody's word too.
    StoreError::Conflict(format!(
        "grant {name} permits nothing: {doubt}; end it with `mosaic-fed grant revoke {id}` and make a new one"
    ))
}

pub(crate) fn invite_tampered(grant: &Grant) -> StoreError {
    StoreError::Conflict(format!(
        "an invite to grant {} is not as this instance wrote it: somebody has changed the database, and it is of use to nobody; end \
         the grant with `mosaic-fed grant revoke {}` and make a new one",
        grant.name, grant.name
    ))
}

pub(crate) fn illegal_move(grant: &Grant, cause: IllegalMove) -> StoreError {
    StoreError::Conflict(format!("grant {}: {cause}; {NEW_GRANT}", grant.name))
}

pub(crate) fn no_subject(id: UserId) -> StoreError {
    StoreError::Missing(format!("there is no user {id} to read on behalf of; see `mosaic-fed user list`"))
}

/// The grant in the hands of `peer`. It never moves to another instance.
pub(crate) fn activated(grant: &Grant, peer: InstanceId, leaf: &Leaf) -> Result<Grant, StoreError> {
    grant.activate(peer, leaf.clone()).map_err(|cause| match grant.peer {
        Some(holder) if holder != peer && grant.state.may_become(State::Active) => StoreError::Conflict(format!(
            "grant {} is held by instance {holder}, not {peer}; make a new grant for that one",
            grant.name
        )),
        _ => illegal_move(grant, cause),
    })
}

/// The grant in the hands of whoever claimed its invite; none where the claim was answered already, and stays so.
pub(crate) fn enrolled(invited: &Invited, enrolment: &Enrolment<'_>, now: Time) -> Result<Option<Grant>, StoreError> {
    let conflict = |cause: &str| Err(StoreError::Conflict(format!("invite {}: {cause}; make a new one", invited.id)));
    match &invited.claim {
        Some(claim) if claim.key == enrolment.leaf.spki => match &claim.given {
            Some(given) if invited.grant.is_handed(&given.serial) => Ok(None),
            Some(_) => conflict("another certificate took the place of the one that it gave"),
            // A newer one may have taken its place since the claim.
            None if now >= invited.expires_at => conflict("it is of use no longer"),
            None => {
                let active = activated(&invited.grant, enrolment.peer, enrolment.leaf)?;
                let held = invited.grant.hold(enrolment.peer, enrolment.leaf.clone(), now);
                Ok(Some(held.ok().filter(|_| invited.confirm).unwrap_or(active)))
            }
        },
        _ => conflict("it was not claimed for the key of this certificate"),
    }
}

/// The grant let in, if it is this key that holds it and waits; both the grant and what it was handed over with say which key that is.
pub(crate) fn let_in(grant: &Grant, handed: Option<&KeptInvite>, key: Spki) -> Result<Grant, StoreError> {
    let claimed = handed.and_then(|handed| handed.claim.as_ref()).is_some_and(|claim| claim.key == key);
    let held = grant.waiting().is_none_or(|leaf| leaf.spki == key);
    if !claimed || !held {
        let cause = format!("grant {} was enrolled anew meanwhile", grant.name);
        return Err(StoreError::Conflict(format!("{cause}; ask the other side for the words it shows now")));
    }
    grant.let_in().map_err(|_| does_not_wait(grant))
}

/// The certificates that `after` accounts for no longer.
pub(crate) fn over<'a>(before: &'a Grant, after: &'a Grant) -> impl Iterator<Item = &'a Leaf> {
    before.leaves().filter(|old| after.leaf_with(&old.serial).is_none())
}

pub(crate) fn does_not_wait(grant: &Grant) -> StoreError {
    let name = &grant.name;
    StoreError::Conflict(format!("grant {name} does not wait to be confirmed; see `mosaic-fed grant show {name}`"))
}

pub(crate) fn no_invite(id: InviteId) -> StoreError {
    StoreError::Missing(format!("no such invite ({id}); make a new one: `mosaic-fed grant invite NAME`"))
}

/// The grant with a further certificate, if none was quicker.
pub(crate) fn renewed(grant: &Grant, serial: &Serial, successor: &Successor) -> Result<Grant, StoreError> {
    let renewed = grant.renew(serial, successor.clone());
    renewed.map_err(|cause| StoreError::Conflict(format!("grant {}: {cause}", grant.name)))
}

/// The grant after the first use of its successor, if this still is one and the grant stands.
pub(crate) fn confirmed(grant: &Grant, serial: &Serial, now: Time) -> Option<Grant> {
    if grant.state == State::Active { grant.confirm(serial, now) } else { None }
}

/// The grant with another scope, if it is still the one that the edit was judged on. One that has ended stays so, also by time.
pub(crate) fn edited(grant: &Grant, generation: u64, scope: &Scope, now: Time) -> Result<Grant, StoreError> {
    has_not_ended(grant, now)?;
    let edited = grant.edit(scope.clone()).map_err(|cause| illegal_move(grant, cause))?;
    if grant.generation == generation {
        return Ok(edited);
    }
    let cause = format!("grant {} was changed by somebody else meanwhile", grant.name);
    Err(StoreError::Conflict(format!("{cause}; look at it and edit it again: `mosaic-fed grant show {}`", grant.name)))
}

/// What of a scope is more than this instance allows at all.
pub(crate) fn beyond_ceiling(grant: &Name, excess: &Excess) -> StoreError {
    let differing: Vec<_> = excess.differing.iter().map(ToString::to_string).collect();
    StoreError::Conflict(format!(
        "grant {grant} would be beyond what this instance allows: {}; add --narrow to keep what it allows, or see \
         `mosaic-fed policy show`",
        differing.join("; ")
    ))
}

/// Refuses what would make anything of a grant that has ended.
pub(crate) fn has_not_ended(grant: &Grant, now: Time) -> Result<(), StoreError> {
    match grant.standing(now) {
        ended @ ("revoked" | "expired") => {
            Err(StoreError::Conflict(format!("grant {} is {ended}; {NEW_GRANT}", grant.name)))
        }
        _ => Ok(()),
    }
}

pub(crate) fn invite_taken() -> StoreError {
    StoreError::Conflict("this invite exists already; make a new one".into())
}

pub(crate) fn link_taken(name: &Name, id: GrantId) -> StoreError {
    StoreError::Conflict(format!("you have a link `{name}` or link {id} already; choose another name or unlink it"))
}

pub(crate) fn link_key_taken() -> StoreError {
    StoreError::Conflict("this invite is being used already; wait for that to end, then try again".into())
}

pub(crate) fn no_link(id: GrantId) -> StoreError {
    StoreError::Missing(format!("no such link ({id}); see `mosaic-fed links`"))
}

pub(crate) fn instance_taken() -> StoreError {
    StoreError::Conflict("this database belongs to an instance already; choose another directory or database".into())
}

/// That a key was revoked, to whoever would make anything of it.
pub fn key_revoked(key: Spki) -> StoreError {
    StoreError::Conflict(format!(
        "the key {key} was revoked here, which is for ever; have a new one made with `mosaic-fed link --prepare` there, and give its \
         fingerprint"
    ))
}

pub(crate) fn key_revoked_already(key: &RevokedKey) -> StoreError {
    let RevokedKey { key, at, by, .. } = key;
    StoreError::Conflict(format!("the key {key} was revoked by {by} at {at}, and stays so; see `mosaic-fed key list`"))
}

/// The record of a key's revocation, then one for each grant that it ended.
pub(crate) fn key_ends(record: &Record, revoked: &[Grant]) -> Vec<Record> {
    with_grants(record, revoked, EndedBy::Key)
}

/// The record of a user's removal, then one for each grant that it revoked.
pub(crate) fn removal(record: &Record, revoked: &[Grant]) -> Vec<Record> {
    with_grants(record, revoked, EndedBy::Removal)
}

fn with_grants(record: &Record, revoked: &[Grant], why: EndedBy) -> Vec<Record> {
    let grant = |grant: &Grant| Record {
        about: Subject::Act(Act::GrantRevoke),
        grant: Some(grant.id),
        peer: grant.peer,
        ..record.clone().noting(why.note())
    };
    std::iter::once(record.clone()).chain(revoked.iter().map(grant)).collect()
}
