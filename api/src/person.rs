//! Who asks: the peer uid of the socket, mapped to a local user, or at the HTTP port the user of a token ([`crate::shown`]), and where
//! they act. Judged anew on every request.
//!
//! The daemon's own uid and root are the operator: they act as the user mapped to them, or as another by the header
//! [`AS`], and every such request is recorded as impersonation before it takes effect.

use crate::{Door, Problem, door::is_operator, shown, view};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use domain::{
    audit::{Act, Ending, Record, Stage},
    id::{Name, RequestId, UserId, WorkspaceId},
    rights::Role,
    say::named,
    scope,
    token::KeptToken,
    trace::{TRACEPARENT, TraceParent},
};
use std::{collections::BTreeSet, sync::Arc};
use store::User;

/// The header by which the operator acts as another local user.
pub const AS: &str = "x-mosaic-as";
/// The header that names the workspace a request is about, for users who are in several.
pub const WORKSPACE: &str = "x-mosaic-workspace";
/// The header by which a program at the socket says what it is: `cli`, `mcp`, `api` or `console`. Its word, which nobody can check; whoever
/// comes with a token is a program, whatever it says.
pub const DOOR: &str = "x-mosaic-door";

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An operating system user, as the kernel says (`SO_PEERCRED`, unix(7)).
    Uid(u32),
    /// Whoever shows this token, which is good for this request.
    Token(Arc<KeptToken>),
}

impl Peer {
    /// Whether it is whoever runs this daemon. No token makes anybody that.
    pub(crate) fn is_operator(&self) -> bool {
        matches!(self, Self::Uid(uid) if is_operator(*uid))
    }
}

/// A local user at the door, in one of their workspaces.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user who acts.
    pub user: User,
    /// This request, as the log names it.
    pub request: RequestId,
    /// Which trace it goes on in, if the caller named one.
    pub trace: Option<TraceParent>,
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
    /// The token that they showed, if they came by the HTTP port.
    pub token: Option<Name>,
    /// Which of the doors that a scope may name the request came by.
    pub door: scope::Door,
}

impl FromRequestParts<Arc<Door>> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().cloned();
        let peer =
            peer.ok_or_else(|| Problem::forbidden("the connection does not say whose it is").next("connect anew"))?;
        let (request, wanted) = (RequestId(door.world.uuid()), name_in(&parts.headers, AS)?);
        let (user, borrowed, token) = match &peer {
            Peer::Uid(uid) => {
                let (user, borrowed) = Caller { door, uid: *uid, request }.user(wanted).await?;
                (user, borrowed, None)
            }
            Peer::Token(token) => (shown::user(door, token, request, wanted).await?, false, Some(token.name.clone())),
        };
        let workspace = chosen(&user, name_in(&parts.headers, WORKSPACE)?)?;
        let role = user.roles.get(&workspace).copied().ok_or_else(|| not_there(&user, &workspace))?;
        let workspace_id = workspace_id(door, &workspace).await?;
        let operator = peer.is_operator();
        let said = said_door(&parts.headers)?;
        let door = match &peer {
            Peer::Uid(_) => said,
            Peer::Token(_) => scope::Door::Api,
        };
        let trace = trace_in(&parts.headers);
        Ok(Self { user, request, trace, workspace, workspace_id, role, operator, borrowed, token, door })
    }
}

struct Caller<'a> {
    door: &'a Door,
    uid: u32,
    request: RequestId,
}

impl Caller<'_> {
    /// The user who acts, and whether the operator borrowed them.
    async fn user(&self, wanted: Option<Name>) -> Result<(User, bool), Problem> {
        let own = self.door.store.user_of_uid(self.uid).await?;
        match (wanted, own) {
            (None, Some(own)) => Ok((own, false)),
            (None, None) => Err(self.unmapped().await?),
            (Some(wanted), Some(own)) if own.name == wanted => Ok((own, false)),
            (Some(wanted), own) if is_operator(self.uid) => self.borrow(&wanted, own).await,
            (Some(wanted), _) => Err(self.no_operator(&wanted).await?),
        }
    }

    async fn borrow(&self, wanted: &Name, own: Option<User>) -> Result<(User, bool), Problem> {
        let Some(user) = self.door.store.user(wanted).await? else { return Err(self.no_user(wanted).await?) };
        let by = own.map_or_else(|| "the operator".to_owned(), |own| own.name.to_string());
        let note = format!("{by} (uid {}) acts as {wanted}", self.uid);
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
        let uid = self.uid;
        self.refuse(Act::Handshake, None, &format!("uid {uid} acts as no user")).await?;
        let problem = Problem::forbidden(format!("no user of this instance is mapped to your uid {uid}"));
        Ok(if is_operator(uid) {
            problem.next("as the operator, say whom you act as: --as NAME")
        } else {
            problem.next(format!("ask its operator to run `mosaic-fed user add NAME --uid {uid}`"))
        })
    }

    async fn no_operator(&self, wanted: &Name) -> Result<Problem, Problem> {
        self.refuse(Act::Impersonate, None, &format!("uid {} asked to act as {wanted}", self.uid)).await?;
        let cause = "only the account that runs the daemon, and root, may act as another user";
        Ok(Problem::forbidden(cause).next("leave out --as"))
    }

    async fn refuse(&self, act: Act, user: Option<UserId>, note: &str) -> Result<(), Problem> {
        let record = refusal(self.door, act, user, self.request).noting(note);
        Ok(self.door.auditor.refuse(record).await?)
    }
}

async fn workspace_id(door: &Door, name: &Name) -> Result<WorkspaceId, Problem> {
    let all = door.store.workspaces().await?;
    let found = all.into_iter().find(|workspace| workspace.name == *name);
    let missing = || Problem::missing(format!("no such workspace `{name}`")).next("mosaic-fed workspace list");
    found.map(|workspace| workspace.id).ok_or_else(missing)
}

pub(crate) fn refusal(door: &Door, act: Act, user: Option<UserId>, request: RequestId) -> Record {
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

/// The door that a program at the socket names; the command line's where it names none.
fn said_door(headers: &HeaderMap) -> Result<scope::Door, Problem> {
    let Some(said) = headers.get(DOOR) else { return Ok(scope::Door::Cli) };
    let known = scope::Door::ALL.into_iter().find(|door| said.as_bytes() == door.word().as_bytes());
    let words = scope::Door::ALL.map(scope::Door::word);
    known.ok_or_else(|| {
        Problem::invalid(format!("{DOOR} names no door"))
            .next(format!("send one of {}, or leave the header out", words.join(", ")))
    })
}

/// A trace that is not named as it should be, or twice, is none: then a new one begins (W3C Trace Context, section 3.2.1).
fn trace_in(headers: &HeaderMap) -> Option<TraceParent> {
    let mut said = headers.get_all(TRACEPARENT).iter();
    let (only, None) = (said.next()?, said.next()) else { return None };
    TraceParent::parse(only.to_str().ok()?)
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

    /// Refuses with `cause`, and records the refusal, unless they are the operator as such or manage every workspace. A token is for one
    /// workspace, also where there is no other.
    pub async fn must_manage_everything(&self, door: &Door, act: Act, cause: &str) -> Result<(), Problem> {
        self.must_be_there(door, act, "what is every workspace's").await?;
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

    /// Refuses, and records the refusal, whoever came with a token: it makes no other way in, and does nothing of the operator's.
    pub async fn must_be_there(&self, door: &Door, act: Act, what: &str) -> Result<(), Problem> {
        let Some(token) = &self.token else { return Ok(()) };
        let problem = Problem::forbidden(format!("{what} is not for a token, and `{token}` is one"))
            .next("do it at the socket of this instance, as with `mosaic-fed`");
        Err(self.refused(door, act, problem).await)
    }

    /// Records that they were refused, and hands the refusal back.
    pub async fn refused(&self, door: &Door, act: Act, problem: Problem) -> Problem {
        let record = refusal(door, act, Some(self.user.id), self.request).noting(&problem.cause);
        match door.auditor.refuse(record).await {
            Ok(()) => Problem { request: Some(self.request), ..problem },
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
        let (user, workspace) = (self.user.id, self.workspace_id);
        hub::Asker { user, workspace, request: self.request, door: self.door, trace: self.trace }
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
            token: self.token.clone(),
        }
    }
}
