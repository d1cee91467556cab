//! Connections that have shown no token yet. Whoever opens many of them takes no place of those who have: beyond so many the eldest is closed.

use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// So many at once.
const MOST: usize = 64;

/// All of them, the eldest first.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    waiting: std::collections::VecDeque<(u64, CancellationToken)>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Unproven {
    crowd: Arc<Crowd>,
    number: u64,
}

impl Crowd {
    /// One more, which `cut` closes.
    pub(super) fn enter(self: &Arc<Self>, cut: CancellationToken) -> Unproven {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = inside.next;
        inside.next += 1;
        inside.waiting.push_back((number, cut));
        if inside.waiting.len() > MOST
            && let Some((_, eldest)) = inside.waiting.pop_front()
        {
            eldest.cancel();
        }
        Unproven { crowd: Arc::clone(self), number }
    }
}

impl Drop for Unproven {
    fn drop(&mut self) {
        let mut inside = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.waiting.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_so_many_the_eldest_gives_way_and_one_that_left_does_not_count() {
        let crowd = Arc::new(Crowd::default());
        let cuts: Vec<_> = (0..=MOST).map(|_| CancellationToken::new()).collect();
        let mut inside: Vec<_> = cuts[..MOST].iter().map(|cut| crowd.enter(cut.clone())).collect();
        assert!(cuts.iter().all(|cut| !cut.is_cancelled()));
        inside.remove(1);
        inside.push(crowd.enter(cuts[MOST].clone()));
        assert!(cuts.iter().all(|cut| !cut.is_cancelled()), "one had left");
        inside.push(crowd.enter(CancellationToken::new()));
        assert_eq!(cuts.iter().position(CancellationToken::is_cancelled), Some(0));
        inside.push(crowd.enter(CancellationToken::new()));
        let cut: Vec<_> = cuts.iter().map(CancellationToken::is_cancelled).collect();
        assert!(cut[0] && cut[2] && !cut[1] && !cut[3], "the one that left is no eldest: {cut:?}");
    }
}
