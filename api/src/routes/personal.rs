//! Personal rows are shared by the one whose they are. Who manages a workspace sees nobody's natively, and would through a grant
//! on somebody else's behalf whose invite they use themselves (docs/adr/0005-personal-rows-are-shared-by-their-owner.md).

use super::grants::{may_share, not_enough};
use crate::{Door, Problem, person::Person, view};
use domain::{
    Time,
    audit::Act,
    grant::State,
    id::Name,
    kind::Kinds,
    scope::{Context, Scope, ScopeError, Spec},
};
use spoke::AdminError;
use store::GrantView;

/// Refuses a grant that is not to be made by this caller.
pub(super) async fn may_create(door: &Door, person: &Person, order: &view::InviteOrder) -> Result<(), Problem> {
    match unlawful(person, &order.name, &order.subject, &order.scope, order.personal) {
        None => Ok(()),
        Some(problem) => Err(person.refused(door, Act::GrantCreate, problem).await),
    }
}

/// Why a grant is not to be made by this caller; none where it may be.
pub(super) fn unlawful(person: &Person, name: &Name, subject: &Name, scope: &Spec, personal: bool) -> Option<Problem> {
    let own = *subject == person.user.name;
    if let Some(problem) = not_enough(person, (subject, own), &scope.workspace) {
        return Some(problem);
    }
    let named = scope.filters.values().any(|filter| filter.include_personal == Some(true));
    (!own && (personal || named)).then(|| {
        let command = format!("invite {name} --share {} --personal", scope.resources.join(","));
        not_theirs(subject, "sharing", &command)
    })
}

/// Refuses another invite of a grant: it hands all that the grant shows to whoever uses it.
pub(super) async fn may_invite(door: &Door, person: &Person, view: &GrantView) -> Result<(), Problem> {
    may_share(door, person, whose(person, view), view.grant.scope.workspace(), Act::InviteCreate).await?;
    let personal = view.grant.scope.resources().any(|(_, filter)| filter.personal);
    // What has ended for ever is refused as that by the one who would do it.
    if view.grant.subject == person.user.id || !personal || view.grant.state == State::Revoked {
        return Ok(());
    }
    let (subject, command) = (&view.subject_name, format!("grant invite {}", view.grant.name));
    Err(person.refused(door, Act::InviteCreate, not_theirs(subject, "handing on", &command)).await)
}

/// Refuses a scope that is not to be put in force by this caller. Others may narrow what a grant shows of personal rows.
pub(super) async fn may_edit(
    door: &Door,
    person: &Person,
    view: &GrantView,
    order: &view::EditOrder,
) -> Result<(), Problem> {
    may_share(door, person, whose(person, view), view.grant.scope.workspace(), Act::GrantEdit).await?;
    if view.grant.subject == person.user.id || view.grant.state == State::Revoked {
        return Ok(());
    }
    let now = door.world.now();
    let wanted = order.scope.close(context(now, order.sensitive)).map_err(AdminError::from)?;
    if !widens(&view.grant.scope, &wanted, now).map_err(AdminError::from)? {
        return Ok(());
    }
    // All that they may want of it is said by a scope; the one flag that says nothing else is named.
    let none = !view.grant.scope.resources().any(|(_, filter)| filter.personal);
    let how = if none { "--personal" } else { "--scope FILE" };
    let (subject, command) = (&view.subject_name, format!("grant edit {} {how}", view.grant.name));
    Err(person.refused(door, Act::GrantEdit, not_theirs(subject, "showing more of", &command)).await)
}

/// The name that a grant's row says is sealed by nobody; the subject's id is.
fn whose<'a>(person: &Person, view: &'a GrantView) -> (&'a Name, bool) {
    (&view.subject_name, view.grant.subject == person.user.id)
}

fn not_theirs(subject: &Name, what: &str, command: &str) -> Problem {
    let cause = format!("{what} the personal rows of `{subject}` is theirs alone to do, whoever manages the workspace");
    let next = format!("ask `{subject}` to run `mosaic-fed {command}`; the operator may act as them: --as {subject}");
    Problem::forbidden(cause).next(next)
}

/// Whether `wanted` shows personal rows, or fields of them, or at times, that `held` does not.
fn widens(held: &Scope, wanted: &Scope, now: Time) -> Result<bool, ScopeError> {
    Ok(match (personal_part(held, now)?, personal_part(wanted, now)?) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(held), Some(wanted)) => !held.contains(&wanted),
    })
}

/// What a scope shows of personal rows, as a scope; none where that is nothing. How many at once and how often is left out: it
/// shows no other row.
fn personal_part(scope: &Scope, now: Time) -> Result<Option<Scope>, ScopeError> {
    let mut spec = scope.to_spec();
    spec.filters.retain(|_, filter| filter.include_personal == Some(true));
    spec.filters.values_mut().for_each(|filter| filter.include_teams = Some(Vec::new()));
    spec.fields.retain(|kind, _| spec.filters.contains_key(kind));
    spec.resources = spec.filters.keys().cloned().collect();
    (spec.max_rows_per_query, spec.rate) = (None, None);
    if spec.resources.is_empty() {
        return Ok(None);
    }
    spec.read(context(now, true)).map(Some)
}

fn context(now: Time, sensitive: bool) -> Context<'static> {
    Context { kinds: Kinds::builtin(), now, personal: false, sensitive }
}
