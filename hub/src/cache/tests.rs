//! What is kept, for how long, and who waits for whom.

use super::*;
use domain::world::{FakeClock, SeededRng};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tokio::task::yield_now;
use uuid::Uuid;

struct Bench {
    clock: Arc<FakeClock>,
    cache: Arc<Cache>,
}

fn bench() -> Bench {
    let clock = Arc::new(FakeClock::new(Time::from_seconds(1_790_000_000)));
    let world = World::new(Arc::clone(&clock) as Arc<dyn domain::world::Clock>, Arc::new(SeededRng::new(1)));
    Bench { clock, cache: Cache::new(world) }
}

fn key(number: u128) -> Key {
    (UserId(Uuid::from_u128(1)), GrantId(Uuid::from_u128(number)))
}

fn query(number: u8) -> QueryHash {
    QueryHash([number; 32])
}

fn answer(bytes: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    vec![Zeroizing::new(bytes.to_vec())]
}

impl Bench {
    async fn turn(&self, link: u128, number: u8) -> Turn {
        self.cache.turn(key(link), query(number), Manner::Shared).await
    }

    async fn ticket(&self, link: u128, number: u8) -> Ticket {
        match self.turn(link, number).await {
            Turn::Ask(Some(ticket)) => ticket,
            _ => panic!("no ticket"),
        }
    }

    /// The bytes of what is kept.
    async fn kept(&self, link: u128, number: u8) -> Option<Vec<u8>> {
        match self.turn(link, number).await {
            Turn::Kept(answer) => Some(answer.messages.iter().flat_map(|message| message.iter().copied()).collect()),
            _ => None,
        }
    }

    fn bytes(&self) -> usize {
        self.cache.lock().bytes
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_life_and_wiped_though_nobody_asks() {
    let bench = bench();
    let _session = bench.cache.open(key(1));
    bench.ticket(1, 1).await.keep(answer(b"rows"));
    tokio::time::advance(LIFE.saturating_sub(Duration::from_millis(1))).await;
    assert_eq!(bench.kept(1, 1).await.as_deref(), Some(&b"rows"[..]));
    assert_eq!(bench.kept(2, 1).await, None, "of another link");
    assert_eq!(bench.bytes(), 4);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(bench.bytes(), 0, "nobody asked");
    assert_eq!(bench.kept(1, 1).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_shown_after_a_machine_slept_nor_before_its_own_time() {
    let bench = bench();
    let _session = bench.cache.open(key(1));
    for sleep in [LIFE, Duration::from_hours(9)] {
        bench.ticket(1, 1).await.keep(answer(b"rows"));
        bench.clock.advance(sleep);
        assert_eq!(bench.kept(1, 1).await, None, "{sleep:?}");
    }
    bench.ticket(1, 1).await.keep(answer(b"rows"));
    bench.clock.set(Time::from_seconds(1_790_000_000));
    assert_eq!(bench.kept(1, 1).await, None, "the clock was set back");
}

#[tokio::test(start_paused = true)]
async fn without_a_session_nothing_is_kept_and_nobody_waits() {
    let bench = bench();
    assert!(matches!(bench.turn(1, 1).await, Turn::Ask(None)));
    let session = bench.cache.open(key(1));
    bench.ticket(1, 1).await.keep(answer(b"rows"));
    let late = bench.ticket(1, 2).await;
    drop(session);
    assert_eq!(bench.bytes(), 0);
    let _again = bench.cache.open(key(1));
    late.keep(answer(b"of the session before"));
    assert_eq!((bench.kept(1, 1).await, bench.kept(1, 2).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_late_leaves_the_one_after_it_alone() {
    let bench = bench();
    let first = bench.cache.open(key(1));
    let _second = bench.cache.open(key(1));
    bench.ticket(1, 1).await.keep(answer(b"rows"));
    drop(first);
    assert_eq!(bench.kept(1, 1).await.as_deref(), Some(&b"rows"[..]));
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_a_change_is_not_kept_after_it() {
    let bench = bench();
    let _sessions = [bench.cache.open(key(1)), bench.cache.open(key(2))];
    bench.ticket(2, 1).await.keep(answer(b"another's"));
    bench.ticket(1, 1).await.keep(answer(b"old"));
    let under_way = bench.ticket(1, 2).await;
    let Turn::Kept(read) = bench.turn(1, 1).await else { panic!("it is kept") };
    assert!(!read.is_over());
    bench.cache.flush(key(1));
    assert!(read.is_over(), "whoever reads it stops");
    assert_eq!(bench.bytes(), 9);
    under_way.keep(answer(b"old too"));
    assert_eq!((bench.kept(1, 1).await, bench.kept(1, 2).await), (None, None));
    bench.ticket(1, 3).await.keep(answer(b"new"));
    assert_eq!(bench.kept(1, 3).await.as_deref(), Some(&b"new"[..]));
    bench.cache.close(key(1));
    assert!(matches!(bench.turn(1, 3).await, Turn::Ask(None)));
    assert_eq!(bench.kept(2, 1).await.as_deref(), Some(&b"another's"[..]));
    bench.cache.close_user(key(2).0);
    assert_eq!(bench.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_equal_questions_one_is_asked_and_the_others_have_its_answer_or_its_failure() {
    let bench = bench();
    let _session = bench.cache.open(key(1));
    let wait = || {
        let cache = Arc::clone(&bench.cache);
        tokio::spawn(async move { cache.turn(key(1), query(1), Manner::Shared).await })
    };
    let ticket = bench.ticket(1, 1).await;
    let waiting = [wait(), wait()];
    yield_now().await;
    assert!(waiting.iter().all(|turn| !turn.is_finished()));
    assert!(matches!(bench.cache.turn(key(1), query(1), Manner::Alone).await, Turn::Ask(Some(_))), "waits for nobody");
    assert!(matches!(bench.cache.turn(key(1), query(1), Manner::Fresh).await, Turn::Ask(Some(_))), "nor does this");
    ticket.fail(&Failure::silent(LIFE));
    for turn in waiting {
        assert!(matches!(turn.await.unwrap(), Turn::Failed(_)));
    }
    let (ticket, waiting) = (bench.ticket(1, 1).await, wait());
    yield_now().await;
    ticket.keep(answer(b"rows"));
    assert!(matches!(waiting.await.unwrap(), Turn::Kept(_)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_somebody_that_goes_away_asks() {
    let bench = bench();
    let _session = bench.cache.open(key(1));
    let ticket = bench.ticket(1, 1).await;
    let cache = Arc::clone(&bench.cache);
    let waiting = tokio::spawn(async move { cache.turn(key(1), query(1), Manner::Shared).await });
    yield_now().await;
    drop(ticket);
    assert!(matches!(waiting.await.unwrap(), Turn::Ask(Some(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_not_kept_and_all_of_them_have_a_measure() {
    let bench = bench();
    let _session = bench.cache.open(key(1));
    bench.ticket(1, 1).await.keep(answer(&vec![0; MAX_ANSWER + 1]));
    assert_eq!(bench.kept(1, 1).await, None);
    let most = u8::try_from(MAX_ALL / MAX_ANSWER).unwrap();
    for number in 0..=most {
        bench.ticket(1, number).await.keep(answer(&vec![number; MAX_ANSWER]));
        assert!(bench.bytes() <= MAX_ALL);
    }
    assert_eq!(bench.kept(1, 0).await, None, "the eldest has gone");
    assert!(bench.kept(1, 1).await.is_some() && bench.kept(1, most).await.is_some());
    let mut keeping = Keeping::new(Some(bench.ticket(1, 200).await));
    keeping.add(&vec![1_u8; MAX_ANSWER]);
    assert!(keeping.messages.is_empty() && keeping.ticket.is_none(), "let go of as soon as it is too much");
}

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Keep(u128, u8, usize),
    KeepOfBefore,
    Begin(u128, u8),
    Flush(u128),
    Close(u128),
    Open(u128),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (link, number) = (0..3_u128, 0..4_u8);
    prop_oneof![
        4 => (link.clone(), number.clone(), 1..2_000_usize).prop_map(|(link, number, size)| Step::Keep(link, number, size)),
        2 => Just(Step::KeepOfBefore),
        2 => (link.clone(), number).prop_map(|(link, number)| Step::Begin(link, number)),
        1 => link.clone().prop_map(Step::Flush),
        1 => link.clone().prop_map(Step::Close),
        1 => link.prop_map(Step::Open),
        2 => (1..20_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn what_is_kept_is_what_was_kept_last_since_the_last_change(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bench = bench();
            let mut sessions: BTreeMap<u128, Session> = (0..3).map(|link| (link, bench.cache.open(key(link)))).collect();
            let mut model: BTreeMap<(u128, u8), (Vec<u8>, Instant)> = BTreeMap::new();
            // A question under way, and whether it may still be kept.
            let mut begun: Option<(Ticket, u128, u8, bool)> = None;
            let forget = |model: &mut BTreeMap<_, _>, begun: &mut Option<(Ticket, u128, u8, bool)>, link: u128| {
                model.retain(|(of, _), _| *of != link);
                if let Some((_, of, _, may)) = begun {
                    *may &= *of != link;
                }
            };
            for step in steps {
                match step {
                    Step::Keep(link, number, size) => {
                        if let Turn::Ask(Some(ticket)) = bench.cache.turn(key(link), query(number), Manner::Fresh).await {
                            ticket.keep(answer(&vec![number; size]));
                            model.insert((link, number), (vec![number; size], Instant::now() + LIFE));
                        }
                    }
                    Step::Begin(link, number) => {
                        if let Turn::Ask(Some(ticket)) = bench.cache.turn(key(link), query(number), Manner::Alone).await {
                            begun = Some((ticket, link, number, true));
                        }
                    }
                    Step::KeepOfBefore => if let Some((ticket, link, number, may)) = begun.take() {
                        ticket.keep(answer(b"of before"));
                        if may {
                            model.insert((link, number), (b"of before".to_vec(), Instant::now() + LIFE));
                        }
                    },
                    Step::Flush(link) => {
                        bench.cache.flush(key(link));
                        forget(&mut model, &mut begun, link);
                    }
                    Step::Close(link) => {
                        sessions.remove(&link);
                        forget(&mut model, &mut begun, link);
                    }
                    Step::Open(link) => {
                        sessions.insert(link, bench.cache.open(key(link)));
                        forget(&mut model, &mut begun, link);
                    }
                    Step::Pass(seconds) => {
                        bench.clock.advance(Duration::from_secs(seconds));
                        tokio::time::sleep(Duration::from_secs(seconds)).await;
                    }
                }
                // For whoever lets go of what is too old.
                tokio::time::sleep(Duration::from_millis(1)).await;
                model.retain(|_, (_, until)| Instant::now() < *until);
                for (link, number) in (0..3).flat_map(|link| (0..4).map(move |number| (link, number))) {
                    let found = match bench.cache.turn(key(link), query(number), Manner::Alone).await {
                        Turn::Kept(answer) => Some(answer.messages.iter().flat_map(|message| message.iter().copied()).collect()),
                        _ => None,
                    };
                    prop_assert_eq!(found, model.get(&(link, number)).map(|(bytes, _)| bytes.clone()));
                }
                prop_assert_eq!(bench.bytes(), model.values().map(|(bytes, _)| bytes.len()).sum::<usize>());
            }
            Ok(())
        })?;
    }
}
