//! What a local person asks, and of whom. Links are found by name among the asker's own and nobody else's.

use crate::{
    Hub, HubError,
    cache::Manner,
    cursor::{Bound, Cursor, SourceId},
};
use domain::{
    answer::HERE,
    id::{Name, RequestId, Resource, UserId, WorkspaceId},
    operation::List,
    scope::{Door, spec::MAX_ROWS},
    trace::TraceParent,
};
use std::{collections::BTreeSet, sync::Arc};
use store::LinkRecord;

/// A local person who asks, for one question. Links are theirs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Who.
    pub user: UserId,
    /// Whose rows `here` means.
    pub workspace: WorkspaceId,
    /// Which question: every record of it, and every call to another instance, has this id. Nothing that outlives the
    /// question is kept by it.
    pub request: RequestId,
    /// Through which of this instance's doors they ask.
    pub door: Door,
    /// Which trace it goes on in, if whoever asks named one.
    pub trace: Option<TraceParent>,
}

impl Asker {
    /// Whoever asks at the command line, or the daemon by itself, in no trace of somebody else's.
    pub const fn new(user: UserId, workspace: WorkspaceId, request: RequestId) -> Self {
        Self { user, workspace, request, door: Door::Cli, trace: None }
    }
}

/// Which sources to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// This instance and every link of the asker.
    All,
    /// `here` and links by name.
    Some(Vec<String>),
}

/// Which rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Of whom.
    pub from: Sources,
    /// Of which kind.
    pub resource: Resource,
    /// Rows of the page; of each source in a stream. 1 to 10,000.
    pub limit: u32,
    /// Whether rows carry their body.
    pub include_body: bool,
    /// Goes on after an earlier page. Streams have none.
    pub cursor: Option<String>,
    /// Whether a page is refused as a whole unless every source that was asked ends `ok`. Who reads a stream sees its
    /// outcomes only after its rows, and judges them there.
    pub strict: bool,
    /// Whether links are asked also where what they answered a moment ago is kept.
    pub fresh: bool,
}

impl Question {
    /// The same as an operation, going on nowhere.
    pub(crate) fn list(&self) -> List {
        List { limit: Some(self.limit), include_body: self.include_body, ..List::first(self.resource.clone()) }
    }

    pub(crate) const fn manner(&self) -> Manner {
        if self.fresh { Manner::Fresh } else { Manner::Shared }
    }

    pub(crate) fn check(&self) -> Result<(), HubError> {
        if (1..=MAX_ROWS).contains(&self.limit) {
            Ok(())
        } else {
            Err(HubError::Question(format!("the limit is a number from 1 to {MAX_ROWS}, not {}", self.limit)))
        }
    }
}

/// One source to ask.
#[derive(Clone)]
pub(crate) enum Source {
    Here,
    Link(Arc<LinkRecord>),
}

impl Source {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Here => HERE,
            Self::Link(link) => link.name.as_str(),
        }
    }

    pub(crate) fn id(&self) -> SourceId {
        match self {
            Self::Here => None,
            Self::Link(link) => Some((link.id, link.name.clone())),
        }
    }
}

/// Who is asked for a page, in the order of its cursor; none stands for a link that was removed since the answer began.
pub(crate) struct Lanes {
    pub(crate) sources: Vec<Option<Source>>,
    pub(crate) cursor: Cursor,
}

impl Hub {
    /// The sources that are meant: `here` first, then links by name, each once.
    pub(crate) async fn sources(&self, asker: &Asker, from: &Sources) -> Result<Vec<Source>, HubError> {
        let wanted = match from {
            Sources::Some(names) if names.is_empty() => {
                return Err(HubError::Question("name at least one source, or ask all of them".into()));
            }
            Sources::Some(names) if names.iter().all(|name| name == HERE) => return Ok(vec![Source::Here]),
            Sources::Some(names) => Some(names.iter().map(String::as_str).collect::<BTreeSet<_>>()),
            Sources::All => None,
        };
        let links = self.store.links(asker.user).await?;
        let Some(wanted) = wanted else {
            return Ok(std::iter::once(Source::Here).chain(links.into_iter().map(link)).collect());
        };
        let known = |name: &str| name == HERE || links.iter().any(|link| link.name.as_str() == name);
        if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
            return Err(no_such_link(unknown, &links));
        }
        let here = wanted.contains(HERE).then_some(Source::Here);
        let named = links.into_iter().filter(|link| wanted.contains(link.name.as_str())).map(link);
        Ok(here.into_iter().chain(named).collect())
    }

    /// The sources of a page: those that the question means, or on a later page those that the first one had.
    pub(crate) async fn lanes(&self, asker: &Asker, question: &Question, bound: &Bound) -> Result<Lanes, HubError> {
        if let Some(text) = &question.cursor {
            return self.lanes_of(asker, &question.from, Cursor::decode(text, bound)?).await;
        }
        self.first_lanes(asker, &question.from).await
    }

    /// Those of an answer that begins.
    pub(crate) async fn first_lanes(&self, asker: &Asker, from: &Sources) -> Result<Lanes, HubError> {
        let sources = self.sources(asker, from).await?;
        let cursor = Cursor::start(*from == Sources::All, sources.iter().map(Source::id));
        Ok(Lanes { sources: sources.into_iter().map(Some).collect(), cursor })
    }

    /// Links that were added since are not of this answer; one that was removed is missing from it.
    pub(crate) async fn lanes_of(&self, asker: &Asker, from: &Sources, cursor: Cursor) -> Result<Lanes, HubError> {
        let mut links = self.store.links(asker.user).await?;
        let mut present = |id: &SourceId| match id {
            None => Some(Source::Here),
            Some((grant, _)) => links.iter().position(|own| own.id == *grant).map(|at| link(links.swap_remove(at))),
        };
        let sources: Vec<_> = cursor.sources.iter().map(|(id, _)| present(id)).collect();
        let is_meant = match from {
            Sources::All => cursor.all,
            Sources::Some(names) => {
                let of = |(source, (id, _)): (&Option<Source>, &(SourceId, _))| match (source, id) {
                    (Some(source), _) => source.name().to_owned(),
                    (None, gone) => gone.as_ref().map_or(HERE, |(_, name)| name.as_str()).to_owned(),
                };
                let known: BTreeSet<String> = sources.iter().zip(&cursor.sources).map(of).collect();
                !cursor.all && known == names.iter().cloned().collect()
            }
        };
        if !is_meant {
            // That there is no such link is said before that the cursor is another question's.
            self.sources(asker, from).await?;
            return Err(HubError::Cursor);
        }
        Ok(Lanes { sources, cursor })
    }

    /// The asker's own link of this name.
    pub(crate) async fn own_link(&self, asker: &Asker, name: &Name) -> Result<Arc<LinkRecord>, HubError> {
        let mut links = self.store.links(asker.user).await?;
        match links.iter().position(|link| link.name == *name) {
            Some(at) => Ok(Arc::new(links.swap_remove(at))),
            None => Err(no_such_link(name.as_str(), &links)),
        }
    }
}

fn link(record: LinkRecord) -> Source {
    Source::Link(Arc::new(record))
}

/// The same words whether nobody or another user has a link of this name.
fn no_such_link(name: &str, own: &[LinkRecord]) -> HubError {
    let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    let own: Vec<_> = own.iter().map(|link| link.name.as_str()).collect();
    let next = if own.is_empty() {
        "you have none yet: `mosaic-fed link` makes one of the invite that the other side's owner made".to_owned()
    } else {
        format!("name one of {}, as `mosaic-fed links` shows them", own.join(", "))
    };
    HubError::NoSuchLink(format!("no such link `{name}`; {next}"))
}
