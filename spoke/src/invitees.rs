//! Many invites at once: a whole list is judged before anything of it is made, and what an earlier run of the same list made is told
//! from what stands in its way.

use crate::{
    Spoke,
    grants::{AdminError, is_in, nobody},
};
use domain::{
    Time,
    grant::State,
    id::{Name, Spki, UserId},
    scope::{Scope, Spec},
};
use std::{collections::HashMap, time::Duration};
use store::{GrantView, User};

/// Two runs of one list ask for an end so many days from each of them, and take a while: grants that live as long but for this are
/// meant to live as long. A day is the least by which people tell lives apart.
const ABOUT: Duration = Duration::from_hours(1);

/// What is the same for everybody on a list.
#[derive(Clone, Debug)]
pub struct OneForAll {
    /// What each grant permits.
    pub spec: Spec,
    /// The local user who asks: their own personal rows are shared where `spec` does not say.
    pub own: Name,
    /// As in [`crate::GrantOrder`].
    pub sensitive: bool,
    /// As in [`crate::GrantOrder`].
    pub narrow: bool,
    /// As in [`crate::Terms`].
    pub confirm: bool,
}

/// Somebody on a list.
#[derive(Clone, Debug)]
pub struct Invitee {
    /// What the grant is to be called.
    pub name: Name,
    /// On whose behalf rows are read.
    pub subject: Name,
    /// The only key that may use the invite.
    pub key: Option<Spki>,
}

/// What would become of an invite.
#[derive(Clone, Debug)]
pub enum Judged {
    /// Nothing stands in its way.
    Good,
    /// Its grant is there already, for the same user and on the same terms.
    There(Box<GrantView>),
}

/// What a list is judged by, at one moment.
struct Bench<'a> {
    users: Vec<User>,
    taken: HashMap<Name, GrantView>,
    own: Scope,
    others: Scope,
    terms: &'a OneForAll,
    now: Time,
}

impl Spoke {
    /// Judges everybody on a list, in its order, and makes nothing. What is wrong for all of them is the error.
    ///
    /// # Errors
    /// The terms themselves are not to be had, or the database is away.
    pub async fn judge(
        &self,
        terms: &OneForAll,
        list: &[Invitee],
    ) -> Result<Vec<Result<Judged, AdminError>>, AdminError> {
        self.clock.check()?;
        let workspace = self.workspace(&terms.spec.workspace).await?;
        let is_own = |invitee: &Invitee| invitee.subject == terms.own;
        // A scope that nobody on the list would be given is no reason to refuse them all.
        let (any_own, any_other) = (list.iter().any(is_own), !list.iter().all(is_own));
        let scope = |personal| self.closed(&terms.spec, personal, terms.sensitive, terms.narrow);
        let ((own, _), (others, _)) = (scope(any_own).await?, scope(!any_other).await?);
        let now = self.parts.world.now();
        let standing = |view: &GrantView| view.grant.state != State::Revoked && !view.grant.has_expired(now);
        let grants = self.parts.store.grants().await?.into_iter().filter(standing);
        let taken = grants.map(|view| (view.grant.name.clone(), view)).collect();
        let fits = |invitee: &Invitee| self.is_no_revoked(invitee.key);
        let bench = Bench { users: self.parts.store.users().await?, taken, own, others, terms, now };
        Ok(list.iter().map(|one| fits(one).and_then(|()| bench.judge(one, &workspace.name))).collect())
    }
}

impl Bench<'_> {
    fn judge(&self, invitee: &Invitee, place: &Name) -> Result<Judged, AdminError> {
        let user = self.users.iter().find(|user| user.name == invitee.subject);
        let user = user.ok_or_else(|| nobody(&self.users, &invitee.subject, place))?;
        is_in(user, place)?;
        match self.taken.get(&invitee.name) {
            None => Ok(Judged::Good),
            Some(view) => self.is_theirs(view, invitee, user.id).map(|()| Judged::There(Box::new(view.clone()))),
        }
    }

    /// Whether a grant that has the name is what would be made.
    fn is_theirs(&self, view: &GrantView, invitee: &Invitee, subject: UserId) -> Result<(), AdminError> {
        let (name, grant) = (&invitee.name, &view.grant);
        let scope = if invitee.subject == self.terms.own { &self.own } else { &self.others };
        let why = if grant.scope.workspace() != scope.workspace() {
            // Whose it is there is not told to whoever may not know of it.
            "in another workspace"
        } else if view.doubt.is_some() {
            "and it is not to be believed"
        } else if grant.subject != subject {
            "for another user"
        } else if !self.same(view, scope) {
            "on other terms"
        } else {
            return self.same_invite(view, invitee);
        };
        let cause = format!("there is a grant {name} already, {why}");
        Err(AdminError::Conflict(format!(
            "{cause}; give this line another name, or look at that one: `mosaic-fed grant show {name}`"
        )))
    }

    /// Whether it permits the same and lives as long, or to the same end.
    fn same(&self, view: &GrantView, wanted: &Scope) -> bool {
        let bare = |scope: &Scope| Spec { not_after: None, ..scope.to_spec() };
        let there = &view.grant.scope;
        let (life, wish) = (there.not_after().since(view.created_at), wanted.not_after().since(self.now));
        let same_end = there.not_after() == wanted.not_after() || life.abs_diff(wish) < ABOUT;
        same_end && bare(there) == bare(wanted)
    }

    /// Whether its open invite, if it has one, is for whom and as it would be made. Once a grant is held, how it was handed over is past.
    fn same_invite(&self, view: &GrantView, invitee: &Invitee) -> Result<(), AdminError> {
        let Some(last) = view.invite.filter(|last| !last.used && view.grant.peer.is_none()) else { return Ok(()) };
        let name = &invitee.name;
        if last.key != invitee.key {
            let meant = |key: Option<Spki>| key.map_or_else(|| "no key".to_owned(), |key| format!("the key {key}"));
            let flag = invitee.key.map_or_else(|| "--no-key".to_owned(), |key| format!("--key {key}"));
            return Err(AdminError::Conflict(format!(
                "there is a grant {name} already, with an invite for {} and not for {}; `mosaic-fed grant invite {name} {flag}`",
                meant(last.key),
                meant(invitee.key)
            )));
        }
        if last.confirm == self.terms.confirm {
            return Ok(());
        }
        let (there, next) = if last.confirm {
            ("asks for words", "add --confirm".to_owned())
        } else {
            let again = format!("leave out --confirm, or type `mosaic-fed grant invite {name} --confirm`");
            ("asks for no words", again)
        };
        Err(AdminError::Conflict(format!("there is a grant {name} already, with an invite that {there}; {next}")))
    }
}
