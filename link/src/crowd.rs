//! How many connections that have not proved who they are may be here at once, and who gives way when that is too many: whoever
//! fills the crowd with silence must not keep out those who would prove themselves in a moment.

use crate::{Class, bucket::Source};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_util::sync::CancellationToken;

/// The count, shared by one listener's handshakes.
#[derive(Clone)]
pub(crate) struct Crowd(Arc<Inner>);

struct Inner {
    most: usize,
    most_per_source: usize,
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    /// The number of the last who came.
    last: u64,
    /// In the order of their coming.
    places: BTreeMap<u64, (Source, CancellationToken)>,
    by_source: HashMap<Source, usize>,
}

impl Present {
    fn leave(&mut self, number: u64) -> Option<CancellationToken> {
        let (source, gives_way) = self.places.remove(&number)?;
        if let Some(here) = self.by_source.get_mut(&source) {
            *here -= 1;
            if *here == 0 {
                self.by_source.remove(&source);
            }
        }
        Some(gives_way)
    }

    /// The eldest of those whose source has the most of them here.
    fn eldest_of_the_most(&self) -> Option<u64> {
        let most = self.by_source.values().max()?;
        self.places.iter().find(|(_, (source, _))| self.by_source.get(source) == Some(most)).map(|(number, _)| *number)
    }
}

impl Crowd {
    pub(crate) fn new(most: usize, most_per_source: usize) -> Self {
        Self(Arc::new(Inner { most, most_per_source, present: Mutex::default() }))
    }

    /// Lets one more in, until its [`Place`] is dropped or must be given up for somebody else.
    pub(crate) fn enter(&self, source: Source) -> Result<Place, Class> {
        let mut present = self.0.lock();
        if present.by_source.get(&source).is_some_and(|here| *here >= self.0.most_per_source) {
            return Err(Class::AddressFull);
        }
        if present.places.len() >= self.0.most {
            let leaves = present.eldest_of_the_most().and_then(|number| present.leave(number));
            leaves.ok_or(Class::Full)?.cancel();
        }
        let gives_way = CancellationToken::new();
        present.last += 1;
        let number = present.last;
        present.places.insert(number, (source, gives_way.clone()));
        *present.by_source.entry(source).or_default() += 1;
        drop(present);
        Ok(Place { crowd: self.clone(), number, gives_way })
    }
}

impl Inner {
    // A panic elsewhere leaves the numbers whole: each change is complete before the lock is given back.
    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place in the crowd.
pub(crate) struct Place {
    crowd: Crowd,
    number: u64,
    gives_way: CancellationToken,
}

impl Place {
    /// Cancelled once the place belongs to somebody else: the connection must end.
    pub(crate) fn gives_way(&self) -> &CancellationToken {
        &self.gives_way
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.0.lock().leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn source(n: u8) -> Source {
        Source::from(IpAddr::from([192, 0, 2, n]))
    }

    #[test]
    fn both_caps_hold_at_n_and_at_n_plus_1_and_places_come_back() {
        let crowd = Crowd::new(5, 3);
        let mut places: Vec<_> = (0..3).map(|_| crowd.enter(source(1)).ok().unwrap()).collect();
        assert_eq!(crowd.enter(source(1)).err(), Some(Class::AddressFull));
        places.extend((0..2).map(|_| crowd.enter(source(2)).ok().unwrap()));
        assert!(places.iter().all(|place| !place.gives_way().is_cancelled()));
        places.push(crowd.enter(source(3)).ok().unwrap());
        assert_eq!(crowd.0.lock().places.len(), 5);
        places.clear();
        assert!(crowd.0.lock().by_source.is_empty() && crowd.0.lock().places.is_empty());
    }

    #[test]
    fn the_eldest_of_the_source_with_the_most_gives_way() {
        let crowd = Crowd::new(4, 3);
        let places: Vec<_> = [1, 2, 2, 3, 4, 5].map(|n| crowd.enter(source(n)).ok().unwrap()).into();
        let gone: Vec<_> = places.iter().map(|place| place.gives_way().is_cancelled()).collect();
        // Source 2 had two of the four; then all were alone, and the first of them went.
        assert_eq!(gone, [true, true, false, false, false, false]);
    }
}
