//! One source of one question, from the first byte to the recorded end.

use crate::{
    Asker, Hub,
    cache::Manner,
    call::{Call, Facts},
    cursor::Progress,
    deadlines::Until,
    flight::Aboard,
    judge::Hold,
    outcome::Failure,
    peer::Batch,
    question::Source,
    reader::{Here, Link, Reader},
    record::{Asking, Sum},
};
use domain::{
    operation::{List, Method, Operation},
    page::PageToken,
};
use tokio::time::Instant;

/// A source that is being asked.
pub(crate) struct Ask<'a> {
    reader: Reader<'a>,
    asking: Option<Asking>,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
}

impl<'a> Ask<'a> {
    /// Prepares the question `list` for `source`; nothing is sent yet.
    pub(crate) fn new(
        hub: &'a Hub,
        asker: &Asker,
        source: &'a Source,
        (list, manner): (List, Manner),
        (before, until): (Progress, Until),
    ) -> Self {
        let started = Instant::now();
        let deadline = hub.deadlines.of_source(until);
        let after = before.after();
        let (reader, asking) = match source {
            Source::Here => (Reader::Here(Box::new(Here::new(hub, *asker, list, after))), None),
            Source::Link(link) => {
                // The sharing side binds its tokens to the grant, which is the link; so a page can go on in the middle of
                // what one call answered.
                let page = after.map(|after| PageToken::new(list.binding(&link.id.to_string()), after));
                let list = List { page, ..list };
                let asking = Asking::new(hub, asker, link, Method::List).about(&list.resource, list.query_hash());
                let call = Call::question(hub, link, (asker.door, asking.trail()), deadline);
                (Reader::Link(Box::new(Link::new(call, &list, after, manner))), Some(asking))
            }
        };
        Self { reader, asking, started, deadline }
    }

    /// The next rows. They may be shown only after [`Ask::record`].
    pub(crate) async fn next(&mut self) -> Result<Batch, Failure> {
        self.reader.next(self.deadline).await
    }

    /// Makes the record of what was answered durable. This instance's own rows are not recorded call by call.
    pub(crate) async fn record(&mut self, sum: Sum) -> Result<(), Failure> {
        let kept = self.is_kept();
        match &mut self.asking {
            Some(asking) => asking.answered(sum, kept).await,
            None => Ok(()),
        }
    }

    /// The same of what was answered before it broke off.
    pub(crate) async fn record_broken_off(&mut self, sum: Sum, failure: &Failure) -> Result<(), Failure> {
        let kept = self.is_kept();
        match &mut self.asking {
            Some(asking) => asking.broke_off(sum, kept, failure).await,
            None => Ok(()),
        }
    }

    /// Makes the record of a failure durable, and returns it; or the failure of recording, which is told instead.
    pub(crate) async fn record_failure(&mut self, failure: Failure) -> Failure {
        let kept = self.is_kept();
        match &mut self.asking {
            Some(asking) if kept => asking.failed_of_kept(&failure).await.err().unwrap_or(failure),
            Some(asking) => asking.failed(&failure).await.err().unwrap_or(failure),
            None => failure,
        }
    }

    fn is_kept(&self) -> bool {
        self.hold().is_some_and(|hold| hold.is_kept())
    }

    /// What the other side told beside its rows.
    pub(crate) fn facts(&self) -> Facts {
        self.reader.facts()
    }

    /// What lets its rows leave, once the first of them were read; nothing holds those of this instance.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.reader.hold()
    }

    /// Its place, for whoever keeps what it brings; none for this instance's own rows.
    pub(crate) fn place(&self) -> Option<Aboard> {
        self.reader.place()
    }

    /// Notes how the source ended, for its link's state.
    pub(crate) fn end(&mut self, failure: Option<&Failure>) {
        self.reader.end(failure);
    }
}
