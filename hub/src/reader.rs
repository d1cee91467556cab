//! One source of an answer, read batch by batch: this instance's own rows, or a link's.

use crate::{
    Asker, Hub,
    cache::{Keeping, Manner, Turn},
    call::{Call, Facts},
    deadlines::message_bytes,
    flight::Aboard,
    judge::{Hold, Parts},
    outcome::Failure,
    peer::{Batch, Check},
};
use domain::{
    id::{QueryHash, Resource},
    operation::{List, Operation, Progress},
    page::{PageToken, Position},
};
use proto::v1::{self, query_service_client::QueryServiceClient};
use std::time::Duration;
use store::Access;
use tokio::time::{Instant, timeout_at};

/// How long to wait, after the last rows, for the other side's word that the call is over: leaving at once would look like
/// an abandoned call in its log.
const FAREWELL: Duration = Duration::from_millis(250);

/// Rows of one source, in order.
pub(crate) enum Reader<'a> {
    Here(Box<Here<'a>>),
    Link(Box<Link<'a>>),
}

impl Reader<'_> {
    /// The next rows, waiting no longer than `deadline`; the last ones say so in [`Batch::end`].
    pub(crate) async fn next(&mut self, deadline: Instant) -> Result<Batch, Failure> {
        let started = Instant::now();
        match self {
            Self::Here(here) => {
                let batch = timeout_at(deadline, here.next()).await;
                batch.unwrap_or_else(|_| Err(Failure::silent(started.elapsed())))
            }
            Self::Link(link) => link.next(deadline).await,
        }
    }

    /// How the source learns that its grant has ended; none for this instance's own rows.
    pub(crate) fn place(&self) -> Option<Aboard> {
        match self {
            Self::Here(_) => None,
            Self::Link(link) => Some(link.call.place()),
        }
    }

    /// What lets its rows leave; nothing holds those of this instance.
    pub(crate) fn hold(&self) -> Option<Hold> {
        match self {
            Self::Here(_) => None,
            Self::Link(link) => Some(match &link.from {
                From::Kept { hold, .. } => hold.clone(),
                From::Unknown | From::There { .. } => link.call.hold(None),
            }),
        }
    }

    /// What the other side told beside its rows.
    pub(crate) fn facts(&self) -> Facts {
        match self {
            Self::Here(_) => Facts::default(),
            Self::Link(link) => link.call.facts(&link.resource),
        }
    }

    /// Notes how the source ended.
    pub(crate) fn end(&mut self, failure: Option<&Failure>) {
        if let Self::Link(link) = self {
            link.end(failure);
        }
    }
}

/// This instance's own rows, under the asker's native rights.
pub(crate) struct Here<'a> {
    hub: &'a Hub,
    asker: Asker,
    list: List,
    left: u32,
}

impl<'a> Here<'a> {
    pub(crate) fn new(hub: &'a Hub, asker: Asker, list: List, after: Option<Position>) -> Self {
        let left = list.limit.unwrap_or(0);
        let progress = after.map(|after| Progress { after, rows: 0 });
        Self { hub, asker, list: List { progress, ..list }, left }
    }

    async fn next(&mut self) -> Result<Batch, Failure> {
        let Asker { workspace, user, .. } = self.asker;
        let access = Access::Native { workspace, user, operation: &self.list };
        let mut chunk = self.hub.store.list(access).await.map_err(Failure::own)?;
        let more = chunk.more || chunk.items.len() > self.left as usize;
        chunk.items.truncate(self.left as usize);
        let given = u32::try_from(chunk.items.len()).unwrap_or(u32::MAX);
        self.left -= given.min(self.left);
        if let Some(last) = chunk.items.last() {
            let rows = self.list.progress.map_or(0, |progress| progress.rows) + given;
            self.list.progress = Some(Progress { after: last.position(), rows });
        }
        let over = !more || self.left == 0 || given == 0;
        Ok(Batch {
            items: chunk.items,
            as_of: chunk.as_of,
            bytes: 0,
            cached: false,
            end: over.then_some(more && given > 0),
        })
    }
}

/// Another instance's rows.
pub(crate) struct Link<'a> {
    // Let go of before the place, which the call has.
    from: From,
    call: Call<'a>,
    wire: v1::ListRequest,
    query: QueryHash,
    manner: Manner,
    resource: Resource,
    check: Check,
    rows: usize,
}

/// Where a link's rows come from.
enum From {
    /// That is to be seen.
    Unknown,
    /// The other side, now.
    There { parts: Box<Parts<v1::ListResponse>>, keeping: Keeping },
    /// An earlier answer, of which so many messages were read.
    Kept { hold: Hold, read: usize },
}

impl<'a> Link<'a> {
    /// Asks what `list` says, which goes on after `after` by its own page token.
    pub(crate) fn new(call: Call<'a>, list: &List, after: Option<Position>, manner: Manner) -> Self {
        let limit = list.limit.unwrap_or(0);
        let wire = v1::ListRequest {
            resource: list.resource.to_string(),
            limit,
            page_token: list.page.as_ref().map(PageToken::encode).unwrap_or_default(),
            include_body: list.include_body,
        };
        let check = Check::new(list.resource.clone(), list.include_body, limit, after);
        let (query, resource) = (list.query_hash(), list.resource.clone());
        Self { from: From::Unknown, call, wire, query, manner, resource, check, rows: 0 }
    }

    async fn next(&mut self, deadline: Instant) -> Result<Batch, Failure> {
        if matches!(self.from, From::Unknown) {
            self.from = self.begin(deadline).await?;
        }
        // A stream that is always ready meets no deadline by waiting, and lets nobody else run.
        tokio::task::consume_budget().await;
        if Instant::now() >= deadline {
            return Err(self.call.late());
        }
        let (message, cached) = self.message(deadline).await?;
        let batch = self.check.chunk(message)?;
        let bytes = if cached { 0 } else { batch.bytes };
        let batch = Batch { bytes, cached, ..batch };
        self.call.answered();
        self.rows += batch.items.len();
        match batch.end {
            Some(true) if self.rows == 0 => Err(Failure::lie("the other side holds rows back without sending any")),
            Some(_) => {
                self.ended(deadline).await;
                Ok(batch)
            }
            None if batch.items.is_empty() => Err(Failure::lie("the other side sends neither rows nor an end")),
            None => Ok(batch),
        }
    }

    async fn begin(&mut self, deadline: Instant) -> Result<From, Failure> {
        let ticket = match self.call.turn(self.query, self.manner, deadline).await? {
            Turn::Kept(answer) => return Ok(From::Kept { hold: self.call.hold(Some(answer)), read: 0 }),
            Turn::Failed(failure) => return Err(failure),
            Turn::Ask(ticket) => ticket,
        };
        let mut keeping = Keeping::new(ticket);
        let answer = self.call.fetch(&self.wire, |channel, request| async move {
            let mut client = QueryServiceClient::new(channel).max_decoding_message_size(message_bytes());
            Parts::begin(client.list(request).await?).await
        });
        match answer.await {
            Ok(came) => Ok(From::There { parts: Box::new(came.parts()), keeping }),
            Err(failure) => {
                keeping.failed(&failure);
                Err(failure)
            }
        }
    }

    /// The next message, and whether it is of an earlier answer.
    async fn message(&mut self, deadline: Instant) -> Result<(v1::ListResponse, bool), Failure> {
        match &mut self.from {
            From::Kept { hold, read } => {
                let at = *read;
                *read += 1;
                Ok((hold.message(at)?, true))
            }
            From::There { parts, keeping } => {
                let message = parts.next(&self.call, deadline).await?.ok_or_else(Failure::unfinished)?;
                keeping.add(&message);
                Ok((message, false))
            }
            From::Unknown => Err(Failure::unfinished()),
        }
    }

    /// After the last rows, which were as they should be.
    async fn ended(&mut self, deadline: Instant) {
        if let From::There { parts, keeping } = &mut self.from {
            keeping.whole();
            parts.farewell(deadline.min(Instant::now() + FAREWELL)).await;
        }
    }

    fn end(&mut self, failure: Option<&Failure>) {
        match (&mut self.from, failure) {
            (From::There { keeping, .. }, Some(failure)) => keeping.failed(failure),
            // No call was made, so nothing is known of the link.
            (From::Kept { .. }, _) => return,
            _ => {}
        }
        self.call.end(failure);
    }
}
