//! Who asks: the peer uid of the socket, mapped to a local user, and where they act. Judged anew on every request.
//!
//! The daemon's own uid and root are the operator: they act as the user mapped to them, or as another by the header
//! [`AS`], and every such request is recorded as impersonation before it takes effect.

use crate::{Door, Problem, door::is_operator, view};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use domain::{
    audit::{Act, Ending, Record, Stage},
    id::{Name, RequestId, UserId, WorkspaceId},
    rights::Role,
    say::named,
};
use std::{collections::BTreeSet, sync::Arc};
use store::User;

/// The header by which the operator acts as another local user.
pub const AS: &str = "x-mosaic-as";
/// The header that names the workspace a request is about, for users who are in several.
pub const WORKSPACE: &str = "x-mosaic-workspace";

/// The operating system user at the other end of a connection, as the kernel says (`SO_PEERCRED`, unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Their uid.
    pub uid: u32,
}

/// A local user at the door, in one of their workspaces.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user who acts.
    pub user: User,
    /// This request, as the log names it.
    pub request: RequestId,
    /// The workspace it is about.
    pub workspace: Name,
    /// The same, by id.
    pub workspace_id: WorkspaceId,
    /// The user's role there.
    pub role: Role,
    /// Whether the caller runs this daemon.
    pub operator: bool,
    /// Whether the operator acts as somebody else.
    pub borrowed: bool,
}

impl FromRequestParts<Arc<Door>> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().copied();
        let peer =
            peer.ok_or_else(|| Problem::forbidden("the connection does not say whose it is").next("connect anew"))?;
        let caller = Caller { door, peer, request: RequestId(door.world.uuid()) };
        let (user, borrowed) = caller.user(name_in(&parts.headers, AS)?).await?;
        let workspace = name_in(&parts.headers, WORKSPACE)?;
        let workspace = chosen(&user, workspace)?;
        let role = user.roles.get(&workspace).copied().ok_or_else(|| not_there(&user, &workspace))?;
        let workspace_id = caller.workspace(&workspace).await?;
        let operator = is_operator(peer.uid);
        Ok(Self { user, request: caller.request, workspace, workspace_id, role, operator, borrowed })
    }
}

struct Caller<'a> {
    door: &'a Door,
    peer: Peer,
    request: RequestId,
}

impl Caller<'_> {
    /// The user who acts, and whether the operator borrowed them.
    async fn user(&self, wanted: Option<Name>) -> Result<(User, bool), Problem> {
        let own = self.door.store.user_of_uid(self.peer.uid).await?;
        match (wanted, own) {
            (None, Some(own)) => Ok((own, false)),
            (None, None) => Err(self.unmapped().await?),
            (Some(wanted), Some(own)) if own.name == wanted => Ok((own, false)),
            (Some(wanted), own) if is_operator(self.peer.uid) => self.borrow(&wanted, own).await,
            (Some(wanted), _) => Err(self.no_operator(&wanted).await?),
        }
    }

    async fn borrow(&self, wanted: &Name, own: Option<User>) -> Result<(User, bool), Problem> {
        let Some(user) = self.door.store.user(wanted).await? else { return Err(self.no_user(wanted).await?) };
        let by = own.map_or_else(|| "the operator".to_owned(), |own| own.name.to_string());
        let note = format!("{by} (uid {}) acts as {wanted}", self.peer.uid);
        let record = Record::act(self.door.world.now(), Act::Impersonate, user.id, self.request).noting(&note);
        self.door.auditor.record(record).await?;
        Ok((user, true))
    }

    /// A command as the next step would act as nobody again: the operator is told whom there is to act as.
    async fn no_user(&self, wanted: &Name) -> Result<Problem, Problem> {
        let users = self.door.store.users().await?;
        let known = named(users.iter().map(|user| user.name.as_str()));
        let next = format!("leave out --as, or act as somebody who exists: {known}");
        Ok(Problem::missing(format!("there is no user `{wanted}`")).next(next))
    }

    async fn unmapped(&self) -> Result<Problem, Problem> {
        let uid = self.peer.uid;
        self.refuse(Act::Handshake, None, &format!("uid {uid} acts as no user")).await?;
        let problem = Problem::forbidden(format!("no user of this instance is mapped to your uid {uid}"));
        Ok(if is_operator(uid) {
            problem.next("as the operator, say whom you act as: --as NAME")
        } else {
            problem.next(format!("ask its operator to run `mosaic-fed user add NAME --uid {uid}`"))
        })
    }

    async fn no_operator(&self, wanted: &Name) -> Result<Problem, Problem> {
        self.refuse(Act::Impersonate, None, &format!("uid {} asked to act as {wanted}", self.peer.uid)).await?;
        let cause = "only the account that runs the daemon, and root, may act as another user";
        Ok(Problem::forbidden(cause).next("leave out --as"))
    }

    async fn refuse(&self, act: Act, user: Option<UserId>, note: &str) -> Result<(), Problem> {
        let record = refusal(self.door, act, user, self.request).noting(note);
        Ok(self.door.auditor.refuse(record).await?)
    }

    async fn workspace(&self, name: &Name) -> Result<WorkspaceId, Problem> {
        let all = self.door.store.workspaces().await?;
        let found = all.into_iter().find(|workspace| workspace.name == *name);
        found
            .map(|workspace| workspace.id)
            .ok_or_else(|| Problem::missing(format!("no such workspace `{name}`")).next("mosaic-fed workspace list"))
    }
}

fn refusal(door: &Door, act: Act, user: Option<UserId>, request: RequestId) -> Record {
    let about = domain::audit::Subject::Act(act);
    let record = Record::new(door.world.now(), Stage::Admin, Ending::Refused, about, request);
    Record { subject: user, reason: Some(domain::Reason::NotPermitted), ..record }
}

fn name_in(headers: &HeaderMap, header: &str) -> Result<Option<Name>, Problem> {
    let Some(value) = headers.get(header) else { return Ok(None) };
    let wrong = |cause: String| Problem::invalid(cause).next("send a name, or leave the header out");
    let text = value.to_str().map_err(|_| wrong(format!("{header} is no name")))?;
    text.parse().map(Some).map_err(|cause| wrong(format!("{header}: {cause}")))
}

/// The workspace that was named, else the only one, else `main`.
fn chosen(user: &User, wanted: Option<Name>) -> Result<Name, Problem> {
    let mut names = user.roles.keys();
    match (wanted, names.next(), names.next()) {
        (_, None, _) => Err(Problem::forbidden(format!("user `{}` is in no workspace", user.name))
            .next(format!("ask an admin of a workspace to run `mosaic-fed user role {} member`", user.name))),
        (Some(wanted), _, _) => Ok(wanted),
        (None, Some(only), None) => Ok(only.clone()),
        (None, Some(_), Some(_)) => {
            let main = user.roles.keys().find(|name| name.as_str() == "main");
            main.cloned().ok_or_else(|| {
                Problem::invalid(format!("user `{}` is in several workspaces", user.name))
                    .next(format!("say which: --workspace with one of {}", listed(user)))
            })
        }
    }
}

/// The same words whether the workspace exists or not.
fn not_there(user: &User, workspace: &Name) -> Problem {
    Problem::missing(format!("no such workspace `{workspace}`")).next(format!(
        "say one that user `{}` is in: --workspace with one of {}",
        user.name,
        listed(user)
    ))
}

fn listed(user: &User) -> String {
    named(user.roles.keys().map(Name::as_str))
}

impl Person {
    /// Whether they manage people and grants of the request's workspace.
    pub fn manages(&self) -> bool {
        self.role.manages()
    }

    /// Refuses, and records the refusal, unless they manage the request's workspace.
    pub async fn must_manage(&self, door: &Door, act: Act) -> Result<(), Problem> {
        if self.manages() {
            return Ok(());
        }
        let cause =
            format!("user `{}` is {} in `{}`; this needs owner or admin", self.user.name, self.role, self.workspace);
        let problem = Problem::forbidden(cause).next(format!("ask an owner or admin of `{}` to do it", self.workspace));
        Err(self.refused(door, act, problem).await)
    }

    /// Refuses with `cause`, and records the refusal, unless they are the operator as such or manage every workspace.
    pub async fn must_manage_everything(&self, door: &Door, act: Act, cause: &str) -> Result<(), Problem> {
        if self.operator && !self.borrowed {
            return Ok(());
        }
        let managed = self.managed();
        let all = door.store.workspaces().await?;
        if all.iter().all(|workspace| managed.contains(&workspace.name)) {
            return Ok(());
        }
        let problem =
            Problem::forbidden(cause).next("ask the operator, or somebody who is owner or admin everywhere, to do it");
        Err(self.refused(door, act, problem).await)
    }

    /// Records that they were refused, and hands the refusal back.
    pub async fn refused(&self, door: &Door, act: Act, problem: Problem) -> Problem {
        let record = refusal(door, act, Some(self.user.id), self.request).noting(&problem.cause);
        match door.auditor.refuse(record).await {
            Ok(()) => problem,
            Err(error) => error.into(),
        }
    }

    /// The workspaces they manage.
    pub fn managed(&self) -> BTreeSet<Name> {
        let managed = self.user.roles.iter().filter(|(_, role)| role.manages());
        managed.map(|(name, _)| name.clone()).collect()
    }

    /// The record of something they do in this request.
    pub fn act(&self, door: &Door, act: Act) -> Record {
        Record::act(door.world.now(), act, self.user.id, self.request)
    }

    /// They, as the asking side knows them.
    pub fn asker(&self) -> hub::Asker {
        hub::Asker { user: self.user.id, workspace: self.workspace_id, request: self.request }
    }

    /// They, as the sharing side's records name them.
    pub fn by(&self) -> spoke::By {
        spoke::By { user: self.user.id, request: self.request }
    }

    /// They, as they are told.
    pub fn view(&self) -> view::Person {
        view::Person {
            user: self.user.name.clone(),
            workspace: self.workspace.clone(),
            role: self.role,
            operator: self.operator,
        }
    }
}
