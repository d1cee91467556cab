//! Random answers out of random sources over connections that are harmed at random, against an oracle that knows what lies at each source, what
//! its grant shows and, from the proxies' logs alone, what was done to its connections: rows that came and gaps that are said are all there is.
//!
//! Map: `world` makes sources, `case` asks one question of them, `judge` is the oracle, `tally` counts.
//!
//! Slowness of the machine makes no answer wrong. Where nothing hangs the deadlines are minutes. Where something may hang they are the product's
//! own; a source that is late there although nothing was done to it has the case asked again with four and sixteen times as long deadlines,
//! and is wrong if it is late again.
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]
#![expect(clippy::print_stdout, reason = "seeds, counts and times are part of what a run tells")]

#[cfg(test)]
mod case;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod tally;
#[cfg(test)]
mod world;

use case::{Act, Case, Shape};
use futures::{StreamExt, stream};
use judge::Complaint;
use tally::Tally;
use tests::dice::{Dice, scale};
use tokio::sync::Semaphore;
use world::World;

/// Cases that work at one time, and such that may do nothing but wait for a deadline.
struct Turns {
    quick: Semaphore,
    hanging: Semaphore,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_came_and_gaps_that_are_said_are_all_there_is() {
    let dice = Dice::new("oracle");
    let (worlds, cases) = scale((20, 12), (200, 50));
    let turns = Turns { quick: Semaphore::new(4), hanging: Semaphore::new(24) };
    let runs = (0..worlds).map(|_| run(dice.split(), cases, &turns));
    let tally = stream::iter(runs).buffer_unordered(32).fold(Tally::default(), |all, one| async { all.and(one) }).await;
    println!("oracle: {tally}");
    assert_eq!(tally.cases, worlds * cases);
    // A small run meets most of it, a large one all.
    let (kinds, gaps) = scale((4, 4), (7, 6));
    let is_diverse = tally.struck.len() >= kinds && tally.gaps.len() >= gaps && tally.late > 0 && tally.truncated > 0;
    assert!(is_diverse, "the cases were too much alike to prove anything: {tally}");
}

async fn run(dice: Dice, cases: usize, turns: &Turns) -> Tally {
    let mut tally = Tally::default();
    let mut world = {
        let _turn = turns.quick.acquire().await.expect("never closed");
        World::set(&dice).await
    };
    for number in 0..cases {
        {
            let _turn = turns.quick.acquire().await.expect("never closed");
            world.restore(&dice).await;
        }
        let case = Case::draw(&dice, &world);
        let turn = if case.may_hang { &turns.hanging } else { &turns.quick };
        let _turn = turn.acquire().await.expect("never closed");
        tally.cases += 1;
        note(&case, &mut tally);
        judged(&case, &mut world, number, &mut tally).await;
    }
    tally
}

/// Runs the case, and again with more time as long as all that is wrong is that somebody was late.
async fn judged(case: &Case, world: &mut World, number: usize, tally: &mut Tally) {
    for times in [1, 4, 16] {
        match case.run(world, times, tally).await {
            Ok(()) => return,
            Err(Complaint { is_late: true, .. }) if case.may_hang && times < 16 => {
                tally.again += 1;
                world.heal().await;
            }
            Err(Complaint { text, .. }) => panic!("case {number}: {text}\n{case:?}"),
        }
    }
}

fn note(case: &Case, tally: &mut Tally) {
    let shape = match case.shape {
        Shape::Page(_) => "pages",
        Shape::Stream(_) => "streams",
        Shape::Get(_) => "gets",
    };
    *tally.shapes.entry(shape).or_default() += 1;
    if case.may_hang {
        *tally.shapes.entry("that may hang").or_default() += 1;
    }
    for act in case.acts() {
        let word = match act {
            Act::Faults(_) => "faults",
            Act::Cut(_) => "cut between",
            Act::Silence => "silenced",
            Act::Refuse => "refused",
            Act::Heal => "healed",
            Act::Revoke => "revoked",
            Act::Remove => "removed",
        };
        *tally.acts.entry(word).or_default() += 1;
    }
}
