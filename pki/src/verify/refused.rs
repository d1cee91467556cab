//! Certificates that are refused until they end. They may be many, and they grow by few at a time: what is added costs what it is, and
//! not what there is already.

use domain::{
    Time,
    grant::Leaf,
    id::{Serial, Spki},
};
use std::{collections::HashMap, hash::Hash, sync::Arc};

/// A set of refused certificates, cheap to copy. In layers, of which each is more than twice as large as the next: a look asks few of them,
/// and a certificate is moved into a larger one a few times in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedLeaves(Vec<Arc<Layer>>);

/// Serial numbers and keys, each with the end of the last certificate that has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Layer {
    serials: HashMap<Serial, Time>,
    keys: HashMap<Spki, Time>,
}

impl RefusedLeaves {
    /// The same and these. Some of those that have ended at `now` are forgotten.
    #[must_use]
    pub fn with(&self, leaves: &[Leaf], now: Time) -> Self {
        let mut layers = self.0.clone();
        let mut top = Layer::of(leaves);
        if top.size() == 0 {
            return self.clone();
        }
        while let Some(below) = layers.pop_if(|below| below.size() <= 2 * top.size()) {
            top.take(&below, now);
        }
        layers.push(Arc::new(top));
        Self(layers)
    }

    /// Whether a certificate with this serial number is refused.
    pub fn names(&self, serial: &Serial) -> bool {
        self.0.iter().any(|layer| layer.serials.contains_key(serial))
    }

    /// Whether a certificate for this key is refused.
    pub fn has_key(&self, key: Spki) -> bool {
        self.0.iter().any(|layer| layer.keys.contains_key(&key))
    }
}

impl Layer {
    fn of(leaves: &[Leaf]) -> Self {
        let mut layer = Self::default();
        for Leaf { serial, spki, not_after } in leaves {
            keep(&mut layer.serials, serial, *not_after);
            keep(&mut layer.keys, spki, *not_after);
        }
        layer
    }

    fn size(&self) -> usize {
        self.serials.len()
    }

    fn take(&mut self, other: &Self, now: Time) {
        other.serials.iter().filter(|(_, end)| **end > now).for_each(|(one, end)| keep(&mut self.serials, one, *end));
        other.keys.iter().filter(|(_, end)| **end > now).for_each(|(one, end)| keep(&mut self.keys, one, *end));
    }
}

fn keep<T: Clone + Eq + Hash>(all: &mut HashMap<T, Time>, one: &T, end: Time) {
    let last = all.entry(one.clone()).or_insert(end);
    *last = end.max(*last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Time = Time::from_seconds(1_000);

    fn leaf(number: u32, life: u64) -> Leaf {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let serial = Serial::new(&key[..16]).unwrap_or_else(|| unreachable!("16 bytes, not all zero"));
        Leaf { serial, spki: Spki(key), not_after: NOW + Duration::from_secs(life) }
    }

    #[test]
    fn each_one_is_found_by_its_serial_number_and_by_its_key_however_many_come_after() {
        let mut all = RefusedLeaves::default();
        for number in 0..1_000 {
            all = all.with(&[leaf(number, 60)], NOW);
        }
        let (known, other) = ((0..1_000).map(|number| leaf(number, 60)), leaf(1_000, 60));
        assert!(known.into_iter().all(|leaf| all.names(&leaf.serial) && all.has_key(leaf.spki)));
        assert!(!all.names(&other.serial) && !all.has_key(other.spki));
    }

    #[test]
    fn one_more_touches_none_of_a_hundred_thousand() {
        let many: Vec<_> = (0..100_000).map(|number| leaf(number, 60)).collect();
        let before = RefusedLeaves::default().with(&many, NOW);
        let mut after = before.clone();
        for number in 100_000..100_500 {
            after = after.with(&[leaf(number, 60)], NOW);
        }
        assert!(Arc::ptr_eq(&before.0[0], &after.0[0]), "the large layer was copied");
        assert!(after.0.len() < 12, "{} layers", after.0.len());
    }

    #[test]
    fn those_that_have_ended_do_not_stay_for_ever() {
        let mut all = RefusedLeaves::default();
        for number in 0..1_000 {
            all = all.with(&[leaf(number, 1)], NOW + Duration::from_secs(2));
        }
        let kept: usize = all.0.iter().map(|layer| layer.size()).sum();
        assert!(kept < 20, "{kept} of 1,000");
    }

    #[test]
    fn one_of_two_with_the_same_key_keeps_it_refused_to_the_later_end() {
        let later = Leaf { spki: leaf(1, 0).spki, ..leaf(2, 60) };
        let all = RefusedLeaves::default()
            .with(std::slice::from_ref(&later), NOW)
            .with(&[leaf(1, 1)], NOW + Duration::from_secs(2));
        let all = all.with(&[leaf(3, 60), leaf(4, 60)], NOW + Duration::from_secs(2));
        assert!(all.has_key(later.spki));
    }
}
