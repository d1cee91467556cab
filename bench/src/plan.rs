//! In which order things are measured: every round holds each of them once, and no two rounds that follow each other begin
//! alike, so that a machine that grows slower, or a neighbour that wakes up, is nobody's fault in particular.

/// The order of `count` things in `round`: rotated by one each round, every other round backwards.
pub fn order(round: usize, count: usize) -> Vec<usize> {
    let turned = (0..count).map(|at| (at + round / 2) % count);
    if round.is_multiple_of(2) { turned.collect() } else { turned.rev().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_holds_everything_once() {
        for round in 0..13 {
            let mut held = order(round, 6);
            held.sort_unstable();
            assert_eq!(held, [0, 1, 2, 3, 4, 5], "round {round}");
        }
    }

    #[test]
    fn neither_of_two_comes_first_in_every_round() {
        let first: Vec<_> = (0..4).map(|round| order(round, 2)[0]).collect();
        assert!(first.contains(&0) && first.contains(&1), "{first:?}");
        assert_eq!(order(3, 1), [0]);
        assert_eq!(order(3, 0), Vec::<usize>::new());
    }

    #[test]
    fn whoever_comes_after_another_in_one_round_comes_before_it_in_the_next() {
        let before = |round, a, b| {
            let order = order(round, 5);
            order.iter().position(|at| *at == a) < order.iter().position(|at| *at == b)
        };
        assert_ne!(before(0, 1, 3), before(1, 1, 3));
    }
}
