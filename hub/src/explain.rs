//! What a question would be given and cost, without asking it: the grants are asked for their words, and no row is read.

use crate::{
    Asker, CircuitStatus, Hub, HubError, Sources,
    call::Call,
    hello::{Shares, capabilities},
    question::Source,
    record::{Asking, Sum},
    track::kept_back,
};
use domain::{
    answer::{Outcome, SourceOutcome},
    id::{Field, Resource},
    operation::Method,
};
use futures::future::join_all;
use std::time::Duration;
use store::LinkRecord;
use tokio::time::Instant;

/// What is known of a source before it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// How asking for its grant's words ended; `ok` for this instance's own rows, of which nobody has to be asked.
    pub outcome: SourceOutcome,
    /// What the grant gives, where it may be asked; none for this instance.
    pub shares: Option<Shares>,
    /// The fields of the kind that the grant keeps back, where it says so.
    pub kept_back: Option<Vec<Field>>,
    /// Whether a question would be sent at all.
    pub circuit: CircuitStatus,
}

impl Hub {
    /// What each of these sources would give of a kind of row. One call of each link's grant, recorded like any.
    pub async fn explain(&self, asker: &Asker, from: &Sources, resource: &Resource) -> Result<Vec<Planned>, HubError> {
        let sources = self.sources(asker, from).await?;
        Ok(join_all(sources.iter().map(|source| self.plan(asker, source, resource))).await)
    }

    async fn plan(&self, asker: &Asker, source: &Source, resource: &Resource) -> Planned {
        match source {
            Source::Here => Planned {
                outcome: SourceOutcome::empty(source.name(), Outcome::Ok, "", Duration::ZERO),
                shares: None,
                kept_back: None,
                circuit: CircuitStatus::default(),
            },
            Source::Link(link) => self.plan_link(asker, link, resource).await,
        }
    }

    async fn plan_link(&self, asker: &Asker, link: &LinkRecord, resource: &Resource) -> Planned {
        let started = Instant::now();
        let mut asking = Asking::new(self, asker, link, Method::Capabilities).calling("explain");
        let mut call = Call::question(self, link, (asker.door, asking.trail()), started + self.deadlines.source);
        let told = match call.allowed().await {
            Ok(()) => capabilities(&mut call, link).await,
            Err(failure) => Err(failure),
        };
        call.end(told.as_ref().err());
        let recorded = match &told {
            Ok(_) => asking.answered(Sum::default(), false).await,
            Err(failure) => asking.failed(failure).await,
        };
        let (name, facts) = (link.name.as_str(), call.facts(resource));
        let (outcome, shares) = match recorded.and(told) {
            Ok(shares) => (SourceOutcome::empty(name, Outcome::Ok, "", started.elapsed()), shares),
            Err(failure) => (failure.ending(name, 0, started.elapsed()), None),
        };
        let given = shares.as_ref().and_then(|shares| shares.resources.get(resource));
        let kept_back = given.and_then(|fields| kept_back(resource, fields));
        Planned { outcome: facts.of(outcome), shares, kept_back, circuit: self.tracks.summary(link).circuit }
    }
}
