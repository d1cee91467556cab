//! Lists of revoked certificates, RFC 5280 section 5: one given to whoever asks ([`publish`]), one taken from elsewhere
//! ([`consume`]). Both are off until they are configured, and neither is what revocation rests on: that is the grants' table.

pub mod consume;
mod fetch;
pub mod publish;

use crate::{Spoke, listeners, listeners::ListenError};
use consume::{Consumer, TakenList};
use domain::{Time, grant::Grant};
use publish::{GivenList, Publisher};
use std::{net::SocketAddr, path::PathBuf, sync::Arc};

pub use fetch::{BadSource, Source};

/// Which lists to give and to take.
#[derive(Clone, Debug, Default)]
pub struct ListsOrder {
    /// Where this side's own list is served, over plain HTTP.
    pub listen: Option<SocketAddr>,
    /// The list that is taken, and the file in which the last good one is kept.
    pub source: Option<(Source, PathBuf)>,
}

/// What runs of it.
pub(crate) struct Lists {
    publisher: Option<Arc<Publisher>>,
    consumer: Option<Arc<Consumer>>,
}

/// How lists stand.
#[derive(Clone, Debug, Default)]
pub struct ListsStatus {
    /// The one that is given.
    pub given: Option<GivenList>,
    /// The one that is taken.
    pub taken: Option<TakenList>,
}

impl Lists {
    pub(crate) fn status(&self, now: Time) -> ListsStatus {
        let given = self.publisher.as_ref().map(|publisher| publisher.status());
        let taken = self.consumer.as_ref().map(|consumer| consumer.status(now));
        ListsStatus { given, taken }
    }
}

impl Spoke {
    /// Begins to give and to take lists, until this side stops. What was kept of an earlier run is in force when this returns; nobody
    /// waits for what is elsewhere: until it comes, revoking must be possible.
    pub async fn keep_lists(&self, order: ListsOrder) -> Result<(), ListenError> {
        let publisher = match order.listen {
            Some(address) => Some(self.give(address).await?),
            None => None,
        };
        let consumer = order.source.map(|(source, kept)| self.take(source, kept));
        if let Some(consumer) = &consumer {
            consumer.recall().await;
            let (until, consumer) = (self.stop.clone(), Arc::clone(consumer));
            self.tasks.spawn(async move { until.run_until_cancelled(consumer.follow()).await });
        }
        if publisher.is_none() && consumer.is_none() {
            return Ok(());
        }
        // Asked for twice, the first stays.
        drop(self.lists.set(Lists { publisher, consumer }));
        Ok(())
    }

    /// Whether the list that is taken names the certificate that is in force for a grant: nobody is let in with it.
    pub fn is_denied_by_list(&self, grant: &Grant) -> bool {
        grant.leaf.as_ref().is_some_and(|leaf| self.deny.lists(&leaf.serial))
    }

    async fn give(&self, address: SocketAddr) -> Result<Arc<Publisher>, ListenError> {
        let listener = listeners::bind(address, "crl_listen").await?;
        let publisher =
            Arc::new(Publisher::new(&self.parts, &self.snapshots, self.told.clone(), listeners::local(&listener)?));
        let (until, made) = (self.stop.clone(), Arc::clone(&publisher));
        self.tasks.spawn(async move { until.run_until_cancelled(made.follow()).await });
        let (until, served) = (self.stop.clone(), Arc::clone(&publisher));
        self.tasks.spawn(async move { until.run_until_cancelled(served.serve(listener)).await });
        Ok(publisher)
    }

    fn take(&self, source: Source, kept: PathBuf) -> Arc<Consumer> {
        let anchor = self.parts.authority.anchor_der().to_vec();
        let (deny, registry) = (Arc::clone(&self.deny), self.registry.clone());
        Arc::new(Consumer::new(
            (source, self.parts.ways.clone()),
            kept,
            anchor,
            self.parts.world.clock(),
            deny,
            registry,
        ))
    }
}
