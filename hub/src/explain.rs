//! What a question would be given and cost, without asking it: the grants are asked for their words, and no row is read.

use crate::{
    Asker, Hub, HubError, PAGES, Sources,
    call::Call,
    hello::Shares,
    question::Source,
    record::{Asking, Sum},
    terms::Known,
};
use domain::{
    answer::{HERE, Outcome, SourceOutcome},
    id::{Field, Resource},
    operation::Method,
    scope::Verb,
};
use futures::future::join_all;
use std::time::Duration;
use store::LinkRecord;
use tokio::time::Instant;

/// What would be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// One page of rows.
    Page,
    /// A row by its id: of this instance first, if that is one of the sources, and of nobody else if it is there.
    Row,
    /// A row by the beginning of its id: pages of rows, until it is found among them, and then the row.
    Beginning,
}

impl Asks {
    /// What a grant has to allow for it, in the order in which it is asked.
    const fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Page => &[Verb::List],
            Self::Row => &[Verb::Get],
            Self::Beginning => &[Verb::List, Verb::Get],
        }
    }
}

/// What is known of a source before it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// How asking for its grant's words ended; `ok` for this instance's own rows, of which nobody has to be asked.
    pub outcome: SourceOutcome,
    /// What the grant gives, where it may be asked; none for this instance.
    pub shares: Option<Shares>,
    /// The fields of the kind that the grant keeps back, where it says so.
    pub kept_back: Option<Vec<Field>>,
    /// Why the other side would refuse the question; it is sent all the same.
    pub refusal: Option<String>,
    /// Calls of the grant's limit that were taken to know this.
    pub taken: u32,
    /// Calls of the grant's limit that the question takes, at least and at most, where nothing is kept of earlier answers.
    pub costs: (u32, u32),
}

impl Planned {
    /// Whether the question would be sent, or of this instance, read.
    pub fn is_asked(&self) -> bool {
        self.outcome.outcome == Outcome::Ok
    }
}

impl Hub {
    /// What each of these sources would give of a kind of row. One call of each link's grant that may be asked, recorded like any.
    pub async fn explain(
        &self,
        asker: &Asker,
        from: &Sources,
        resource: &Resource,
        asks: Asks,
    ) -> Result<Vec<Planned>, HubError> {
        let sources = self.sources(asker, from).await?;
        let may_be_here = sources.iter().any(|source| source.name() == HERE);
        Ok(join_all(sources.iter().map(|source| self.plan(asker, source, resource, (asks, may_be_here)))).await)
    }

    async fn plan(&self, asker: &Asker, source: &Source, resource: &Resource, question: (Asks, bool)) -> Planned {
        match source {
            Source::Here => Planned {
                outcome: SourceOutcome::empty(source.name(), Outcome::Ok, "", Duration::ZERO),
                shares: None,
                kept_back: None,
                refusal: None,
                taken: 0,
                costs: (0, 0),
            },
            Source::Link(link) => self.plan_link(asker, link, resource, question).await,
        }
    }

    async fn plan_link(
        &self,
        asker: &Asker,
        link: &LinkRecord,
        resource: &Resource,
        (asks, may_be_here): (Asks, bool),
    ) -> Planned {
        let started = Instant::now();
        let mut asking = Asking::new(self, asker, link, Method::Capabilities).calling("explain");
        let mut call = Call::question(self, link, (asker.door, asking.trail()), started + self.deadlines.source);
        let said = match call.allowed().await {
            Ok(Some(said)) => Ok(said),
            Ok(None) => call.ask_terms().await,
            Err(failure) => Err(failure),
        };
        call.end(said.as_ref().err());
        let recorded = match &said {
            Ok(_) => asking.answered(Sum::default(), false).await,
            Err(failure) => asking.failed(failure).await,
        };
        let (name, facts) = (link.name.as_str(), call.facts(resource));
        let (outcome, shares) = match recorded.and(said) {
            Ok(shares) => (SourceOutcome::empty(name, Outcome::Ok, "", started.elapsed()), shares),
            Err(failure) => (failure.ending(name, 0, started.elapsed()), None),
        };
        let outcome = facts.of(outcome);
        let refused = shares.as_ref().and_then(|shares| refused(shares, resource, asks));
        // A question that is long without an answer is asked twice, where that is wanted.
        let tries = if self.hedge_after.is_some() { 2 } else { 1 };
        let costs = match &refused {
            _ if outcome.outcome != Outcome::Ok => (0, 0),
            // It ends with its first call, which the other side counts before it refuses.
            Some(first) if *first == asks.verbs()[0] => (least(asks, may_be_here), tries),
            _ => (least(asks, may_be_here), most(asks, matches!(call.known(), Known::Told(_)), tries)),
        };
        Planned {
            outcome,
            kept_back: shares.as_ref().and_then(|shares| shares.terms().kept_back(resource)),
            refusal: refused.zip(shares.as_ref()).map(|(verb, shares)| refusal(shares, resource, verb)),
            shares,
            taken: call.taken(),
            costs,
        }
    }
}

/// The first of what is asked that the grant does not allow.
fn refused(shares: &Shares, resource: &Resource, asks: Asks) -> Option<Verb> {
    let allows = |verb: &Verb| shares.resources.contains_key(resource) && shares.verbs.contains(verb);
    asks.verbs().iter().find(|verb| !allows(verb)).copied()
}

fn refusal(shares: &Shares, resource: &Resource, verb: Verb) -> String {
    if shares.resources.contains_key(resource) {
        format!("the grant does not allow {verb}")
    } else {
        format!("the grant does not share {resource}")
    }
}

const fn least(asks: Asks, may_be_here: bool) -> u32 {
    match asks {
        // A row that is here is asked of nobody else.
        Asks::Row if may_be_here => 0,
        // One page, of which no row is meant.
        Asks::Page | Asks::Row | Asks::Beginning => 1,
    }
}

/// Where the session does not tell what is kept back, that is asked for once more when a row comes without what a reader looks for.
fn most(asks: Asks, is_told: bool, tries: u32) -> u32 {
    let words = u32::from(!is_told);
    match asks {
        Asks::Page => tries,
        Asks::Row => tries + words,
        Asks::Beginning => tries * (PAGES + 1) + words,
    }
}
