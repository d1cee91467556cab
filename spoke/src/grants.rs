//! What an owner does with grants: make one with its invite, look at what it shows, change it.

use crate::{Spoke, invites::Terms, reach::Reach};
use domain::{
    Time,
    audit::{Act, Record, scope_note},
    decide::Ground,
    grant::{Grant, State},
    id::{GrantId, InviteId, Name, RequestId, Resource, Spki, UserId},
    kind::Kinds,
    operation::Method,
    say::existing,
    scope::{Context, Scope, ScopeError, Spec, Verb, ceiling::Difference},
    secret::Secret,
};
use std::collections::BTreeMap;
use store::{GrantView, StoreError, User, Workspace};

/// Who does it, and in which request: every record of the request carries its id.
#[derive(Clone, Copy, Debug)]
pub struct By {
    /// The acting local user.
    pub user: UserId,
    /// The request.
    pub request: RequestId,
}

/// A grant to be made.
#[derive(Clone, Debug)]
pub struct GrantOrder {
    /// What people call it; unique among unended grants.
    pub name: Name,
    /// The local user on whose behalf rows are read.
    pub subject: Name,
    /// What it permits.
    pub spec: Spec,
    /// Whether personal rows are shared where `spec` does not say.
    pub personal_default: bool,
    /// Whether the owner confirmed sensitive kinds.
    pub sensitive: bool,
    /// Whether what is beyond the instance's ceiling is left out rather than refused.
    pub narrow: bool,
}

/// Another scope for a grant.
#[derive(Clone, Debug)]
pub struct Edit {
    /// What it permits.
    pub spec: Spec,
    /// As in [`GrantOrder`].
    pub sensitive: bool,
    /// As in [`GrantOrder`].
    pub narrow: bool,
}

impl Edit {
    /// Exactly this, which is refused if anything stands in its way.
    pub fn to(spec: Spec) -> Self {
        Self { spec, sensitive: false, narrow: false }
    }
}

/// What a grant would show.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The scope with nothing left to defaults.
    pub scope: Scope,
    /// Rows of each resource it would show now.
    pub rows: BTreeMap<Resource, u64>,
    /// What it would lose to the instance's ceiling.
    pub lost: Vec<Difference>,
}

/// A grant with a fresh invite.
pub struct Created {
    /// The grant.
    pub grant: Grant,
    /// Which invite.
    pub id: InviteId,
    /// The invite string: a secret, to be shown once.
    pub invite: Secret<String>,
    /// Who may use it, and how.
    pub terms: Terms,
    /// When the invite stops working.
    pub expires_at: Time,
    /// The addresses the invite names.
    pub addresses: Vec<String>,
    /// Rows of each resource the grant shows now.
    pub rows: BTreeMap<Resource, u64>,
    /// What was left out of what was asked for.
    pub lost: Vec<Difference>,
    /// Whether others can reach this instance at the addresses of the invite, as far as it is known.
    pub reach: Reach,
}

/// Whether a grant may do something, and why.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether a call would be answered now.
    pub allowed: bool,
    /// Why, in words.
    pub why: String,
    /// Rows it shows of the resource now.
    pub rows: Option<u64>,
}

/// Why an administrative act did not happen. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Something named does not exist.
    #[error("{0}")]
    Missing(String),
    /// It is not possible from where things stand.
    #[error("{0}")]
    Conflict(String),
    /// What was asked for is not well formed.
    #[error("{0}")]
    Invalid(String),
    /// A listener cannot be opened.
    #[error("{0}")]
    Listener(String),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(text) => Self::Missing(text),
            StoreError::Conflict(text) => Self::Conflict(text),
            StoreError::Denied(text) => Self::Invalid(text),
            other => Self::Store(other),
        }
    }
}

impl From<ScopeError> for AdminError {
    fn from(error: ScopeError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Spoke {
    /// What a grant would permit and show, without making it.
    pub async fn preview(&self, order: &GrantOrder) -> Result<Preview, AdminError> {
        let (grant, lost) = self.draft(order).await?;
        let rows = self.parts.store.count(&grant).await?;
        Ok(Preview { scope: grant.scope, rows, lost })
    }

    /// Makes a grant and an invite that anybody may use once.
    pub async fn create(&self, by: By, order: GrantOrder) -> Result<Created, AdminError> {
        self.create_on(by, order, Terms::default()).await
    }

    /// Makes a grant and its invite.
    pub async fn create_on(&self, by: By, order: GrantOrder, terms: Terms) -> Result<Created, AdminError> {
        self.clock.check()?;
        self.is_no_revoked(terms.key)?;
        let (grant, lost) = self.draft(&order).await?;
        // A listener that cannot be opened is found before anything is written; and who breaks off while others try it leaves no grant.
        let addresses = self.listeners.open_for_invite().await?;
        self.reach_at(&addresses).await;
        let record = self.act(Act::GrantCreate, by, grant.id).noting(&scope_note(&grant.scope));
        self.parts.store.create_grant(&grant, record).await?;
        self.snapshots.refresh_after_change().await;
        Ok(Created { lost, ..self.invite_on(by, grant.id, terms).await? })
    }

    /// Puts another scope in force; the next call, and the next chunk of a running one, is judged by it.
    pub async fn edit(&self, by: By, before: &Grant, order: Edit) -> Result<(Grant, Vec<Difference>), AdminError> {
        let scope = self.filled(order.spec).await?.close(self.context(false, order.sensitive))?;
        if scope.workspace() != before.scope.workspace() {
            return Err(AdminError::Invalid(format!(
                "a grant stays in its workspace ({}); make another grant for {}",
                before.scope.workspace(),
                scope.workspace()
            )));
        }
        self.teams_exist(&scope).await?;
        let (scope, lost) = self.within(scope, order.narrow).await?;
        if scope.not_after() > before.scope.not_after() {
            self.clock.check()?;
        }
        let record = self.act(Act::GrantEdit, by, before.id).noting(&scope_note(&scope));
        let grant = self.parts.store.edit_grant(before.id, before.generation, &scope, record).await?;
        self.snapshots.refresh_after_change().await;
        Ok((grant, lost))
    }

    /// Refuses to bind anything to a key that was revoked.
    pub(crate) fn is_no_revoked(&self, key: Option<Spki>) -> Result<(), AdminError> {
        let revoked = key.filter(|key| self.snapshots.is_revoked(*key));
        revoked.map_or(Ok(()), |key| Err(store::key_revoked(key).into()))
    }

    /// Whether the grant may do `verb` on `resource`, by the rule that decides calls.
    pub async fn can(&self, id: GrantId, verb: Verb, resource: &Resource) -> Result<Verdict, AdminError> {
        let view = self.view(id).await?;
        if let Some(doubt) = view.doubt {
            let why = format!("grant {} permits nothing: {doubt}", view.grant.name);
            return Ok(Verdict { allowed: false, why, rows: None });
        }
        let grant = view.grant;
        let standing = grant.standing(self.parts.world.now());
        let Some(method) = Method::ALL.into_iter().find(|method| method.verb() == Some(verb)) else {
            let why = format!("no call of this version does {verb} yet");
            return Ok(Verdict { allowed: false, why, rows: None });
        };
        let about = (verb != Verb::Capabilities).then_some(resource);
        if let Err(refusal) = grant.allows(method, about) {
            return Ok(Verdict { allowed: false, why: refusal.public_text().to_owned(), rows: None });
        }
        let rows = self.parts.store.count(&grant).await?.get(resource).copied();
        let allowed = standing == State::Active.word();
        let why = if allowed {
            format!("grant {} is active and allows {verb} on {resource}", grant.name)
        } else {
            let unused = match standing == State::Pending.word() {
                true if grant.waits() => ": its owner has not confirmed the holder yet",
                true => ": nobody has used its invite yet",
                false => "",
            };
            format!(
                "the scope of grant {} allows {verb} on {resource}, but the grant is {standing}{unused}",
                grant.name
            )
        };
        Ok(Verdict { allowed, why, rows })
    }

    pub(crate) async fn draft(&self, order: &GrantOrder) -> Result<(Grant, Vec<Difference>), AdminError> {
        let workspace = self.workspace(&order.spec.workspace).await?;
        let subject = self.subject(&order.subject, &workspace).await?;
        let (scope, lost) = self.closed(&order.spec, order.personal_default, order.sensitive, order.narrow).await?;
        let grant = Grant {
            id: GrantId(self.parts.world.uuid()),
            name: order.name.clone(),
            workspace: workspace.id,
            subject: subject.id,
            peer: None,
            scope,
            state: State::Pending,
            generation: 1,
            renewals: 0,
            leaf: None,
            successor: None,
            former: None,
        };
        Ok((grant, lost))
    }

    /// The scope that a grant of this spec is given, and what it lost to the ceiling.
    pub(crate) async fn closed(
        &self,
        spec: &Spec,
        personal_default: bool,
        sensitive: bool,
        narrow: bool,
    ) -> Result<(Scope, Vec<Difference>), AdminError> {
        let spec = self.filled(spec.clone()).await?;
        let scope = spec.close(self.context(personal_default, sensitive))?;
        self.teams_exist(&scope).await?;
        self.within(scope, narrow).await
    }

    pub(crate) async fn workspace(&self, name: &Name) -> Result<Workspace, AdminError> {
        let all = self.parts.store.workspaces().await?;
        let known = existing(all.iter().map(|one| one.name.as_str()), "there is none");
        let missing = || format!("there is no workspace `{name}`: {known}; see `mosaic-fed workspace list`");
        all.into_iter().find(|one| one.name == *name).ok_or_else(|| AdminError::Missing(missing()))
    }

    /// A team that does not exist is a misspelt one: its grant would show nothing, and nobody would know why.
    async fn teams_exist(&self, scope: &Scope) -> Result<(), AdminError> {
        let teams = self.parts.store.teams(scope.workspace()).await?;
        let mut named = scope.resources().filter_map(|(_, filter)| filter.teams.as_ref()).flatten();
        let Some(missing) = named.find(|named| teams.iter().all(|team| team.id != **named)) else { return Ok(()) };
        let (workspace, known) =
            (scope.workspace(), existing(teams.iter().map(|team| team.id.as_str()), "it has none"));
        Err(AdminError::Missing(format!(
            "there is no team `{missing}` in workspace {workspace}: {known}; \
             see `mosaic-fed --workspace {workspace} team list`"
        )))
    }

    async fn subject(&self, name: &Name, workspace: &Workspace) -> Result<User, AdminError> {
        let Some(user) = self.parts.store.user(name).await? else {
            return Err(nobody(&self.parts.store.users().await?, name, &workspace.name));
        };
        is_in(&user, &workspace.name)?;
        Ok(user)
    }

    pub(crate) async fn view(&self, id: GrantId) -> Result<GrantView, AdminError> {
        let all = self.parts.store.grants().await?;
        let found = all.into_iter().find(|view| view.grant.id == id);
        found.ok_or_else(|| AdminError::Missing(format!("there is no grant {id}; see `mosaic-fed grant list`")))
    }

    fn context(&self, personal: bool, sensitive: bool) -> Context<'static> {
        Context { kinds: Kinds::builtin(), now: self.parts.world.now(), personal, sensitive }
    }

    pub(crate) fn act(&self, act: Act, by: By, grant: GrantId) -> Record {
        let record = Record::act(self.parts.world.now(), act, by.user, by.request);
        Record { grant: Some(grant), ..record }
    }
}

/// That there is no such user, and who there is.
pub(crate) fn nobody(users: &[User], name: &Name, place: &Name) -> AdminError {
    let here = users.iter().filter(|user| user.roles.contains_key(place)).map(|user| user.name.as_str());
    let known = existing(here, "nobody is in it");
    AdminError::Missing(format!(
        "there is no user `{name}` in workspace {place}: {known}; see `mosaic-fed --workspace {place} user list`"
    ))
}

/// Refuses a user whose view of a workspace is to be shared in which they are not.
pub(crate) fn is_in(user: &User, place: &Name) -> Result<(), AdminError> {
    if user.roles.contains_key(place) {
        return Ok(());
    }
    let name = &user.name;
    Err(AdminError::Invalid(format!(
        "user `{name}` is not in workspace {place}; `mosaic-fed --workspace {place} user role {name} member`"
    )))
}
