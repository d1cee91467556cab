//! How many connections that have not proved who they are may be here at once.

use crate::{Class, bucket::Source};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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
    all: usize,
    by_source: HashMap<Source, usize>,
}

impl Crowd {
    pub(crate) fn new(most: usize, most_per_source: usize) -> Self {
        Self(Arc::new(Inner { most, most_per_source, present: Mutex::default() }))
    }

    /// Lets one more in, until its [`Place`] is dropped.
    pub(crate) fn enter(&self, source: Source) -> Result<Place, Class> {
        let mut present = self.0.lock();
        if present.all >= self.0.most {
            return Err(Class::Full);
        }
        let here = present.by_source.entry(source).or_default();
        if *here >= self.0.most_per_source {
            return Err(Class::AddressFull);
        }
        *here += 1;
        present.all += 1;
        drop(present);
        Ok(Place { crowd: self.clone(), source })
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
    source: Source,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut present = self.crowd.0.lock();
        present.all -= 1;
        if let Some(here) = present.by_source.get_mut(&self.source) {
            *here -= 1;
            if *here == 0 {
                present.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn both_caps_hold_at_n_and_at_n_plus_1_and_places_come_back() {
        let crowd = Crowd::new(5, 3);
        let source = |n: u8| Source::from(IpAddr::from([192, 0, 2, n]));
        let mut places: Vec<_> = (0..3).map(|_| crowd.enter(source(1)).ok().unwrap()).collect();
        assert_eq!(crowd.enter(source(1)).err(), Some(Class::AddressFull));
        places.extend((0..2).map(|_| crowd.enter(source(2)).ok().unwrap()));
        assert_eq!(crowd.enter(source(3)).err(), Some(Class::Full));
        places.pop();
        assert!(crowd.enter(source(3)).is_ok());
        places.clear();
        assert!(crowd.0.lock().by_source.is_empty());
    }
}
