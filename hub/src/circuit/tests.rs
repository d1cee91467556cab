//! The circuit by example, and against what must hold whatever happens in whatever order.

use super::*;
use proptest::prelude::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A machine whose two clocks move as told.
struct Machine {
    now: Moment,
    circuit: Circuit,
}

impl Machine {
    fn new() -> Self {
        let now = Moment { wall: Time::from_seconds(1_790_000_000), steady: Instant::now() };
        Self { now, circuit: Circuit::default() }
    }

    fn runs(&mut self, by: Duration) {
        self.now = Moment { wall: self.now.wall + by, steady: self.now.steady + by };
    }

    fn sleeps(&mut self, by: Duration) {
        self.now.wall = self.now.wall + by;
    }

    fn ask(&mut self) -> Result<Ticket, Failure> {
        self.circuit.ask(self.now, PATIENCE)
    }

    fn fail(&mut self, ticket: Ticket) {
        self.circuit.failed(ticket, self.now, &Failure::silent(PATIENCE), 0);
    }

    /// Failures one after the other.
    fn fails(&mut self, times: u32) {
        for _ in 0..times {
            let ticket = self.ask().unwrap();
            self.fail(ticket);
        }
    }

    fn state(&mut self) -> CircuitState {
        self.circuit.status(self.now).state
    }
}

#[test]
fn three_failures_in_a_row_open_it_and_an_answer_between_them_starts_anew() {
    let mut machine = Machine::new();
    machine.fails(2);
    machine.circuit.answered();
    machine.fails(2);
    assert_eq!(machine.state(), CircuitState::Closed);
    machine.fails(1);
    assert_eq!(machine.state(), CircuitState::Open);
    let held = machine.ask().unwrap_err();
    assert_eq!((held.outcome, held.retry_after), (Outcome::Timeout, Some(second(5))));
    assert!(held.reason.contains("no answer within") && held.reason.contains("3 failures in a row"), "{}", held.reason);
}

#[test]
fn questions_that_were_under_way_together_count_once() {
    let mut machine = Machine::new();
    let tickets: Vec<_> = (0..20).map(|_| machine.ask().unwrap()).collect();
    for ticket in tickets {
        machine.fail(ticket);
    }
    assert_eq!(machine.circuit.status(machine.now).failures, 1);
}

#[test]
fn after_the_pause_one_question_is_the_probe_and_each_failed_one_doubles_the_pause_to_a_minute() {
    let mut machine = Machine::new();
    machine.fails(3);
    for wait in [5_u64, 10, 20, 40, 60, 60] {
        machine.runs(Duration::from_millis(wait * 1_000 - 1));
        assert!(machine.ask().is_err(), "{wait} s are not over");
        machine.runs(Duration::from_millis(1));
        let probe = machine.ask().unwrap();
        assert_eq!(machine.state(), CircuitState::HalfOpen);
        let held = machine.ask().unwrap_err();
        assert_eq!(held.retry_after, Some(PATIENCE), "until the probe has ended at the latest");
        machine.fail(probe);
        assert_eq!(machine.state(), CircuitState::Open);
    }
    machine.runs(second(60));
    machine.ask().unwrap();
    machine.circuit.answered();
    assert_eq!((machine.state(), machine.circuit.status(machine.now).failures), (CircuitState::Closed, 0));
    machine.fails(2);
    assert_eq!(machine.state(), CircuitState::Closed, "it counts from the beginning");
}

#[test]
fn a_probe_that_is_given_up_leaves_its_place_to_the_next() {
    let mut machine = Machine::new();
    machine.fails(3);
    machine.runs(second(5));
    let probe = machine.ask().unwrap();
    machine.circuit.abandoned(probe, machine.now);
    assert_eq!(machine.state(), CircuitState::HalfOpen);
    machine.ask().unwrap();
}

#[test]
fn a_machine_that_slept_starts_anew_and_one_that_only_ran_does_not() {
    let mut machine = Machine::new();
    machine.fails(3);
    machine.sleeps(second(3));
    assert_eq!(machine.state(), CircuitState::Open, "clocks are set by a little all the time");
    machine.sleeps(second(3_600));
    assert_eq!(machine.state(), CircuitState::Closed);
    // What was under way as it fell asleep fails as it wakes, which says nothing.
    let under_way = machine.ask().unwrap();
    machine.fails(2);
    machine.sleeps(second(3_600));
    machine.fail(under_way);
    assert_eq!(machine.circuit.status(machine.now).failures, 0);
}

#[test]
fn a_refusal_is_an_answer_and_so_is_what_is_said_of_one_question() {
    let of = |outcome, refusal| Failure { refusal, ..Failure::new(outcome, crate::outcome::Kind::Answered, "why") };
    for outcome in Outcome::ALL {
        let reach = [Outcome::Offline, Outcome::Timeout, Outcome::Error].contains(&outcome);
        assert_eq!(is_of_reach(&of(outcome, None)), reach, "{outcome}");
    }
    assert!(!is_of_reach(&of(Outcome::Error, Some(Reason::BadPageToken))));
    assert!(is_of_reach(&of(Outcome::Error, Some(Reason::StoreUnavailable))));
}

#[derive(Clone, Debug)]
enum Event {
    Ask,
    Fail(usize),
    Answer(usize),
    Abandon(usize),
    Run(u64),
    Sleep(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Ask),
        4 => (0..4_usize).prop_map(Event::Fail),
        1 => (0..4_usize).prop_map(Event::Answer),
        1 => (0..4_usize).prop_map(Event::Abandon),
        2 => (1..80_000_u64).prop_map(Event::Run),
        1 => (1..20_000_u64).prop_map(Event::Sleep),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_it_holds_back_no_longer_than_it_says_and_sends_one_probe_at_a_time(
        events in proptest::collection::vec(event(), 1..120),
        chance in any::<u8>(),
    ) {
        let mut machine = Machine::new();
        let mut out: Vec<(Ticket, bool)> = Vec::new();
        for event in events {
            let before = machine.state();
            let take = |out: &mut Vec<(Ticket, bool)>, at: usize| (at < out.len()).then(|| out.remove(at).0);
            match event {
                Event::Ask => match machine.ask() {
                    Ok(ticket) => {
                        prop_assert_ne!(before, CircuitState::Open, "an open one sends nothing");
                        let probe = before == CircuitState::HalfOpen;
                        let live = out.iter().filter(|(other, is_probe)| *is_probe && *other == ticket).count();
                        prop_assert!(!probe || live == 0, "two probes at once");
                        out.push((ticket, probe));
                    }
                    Err(held) => {
                        prop_assert_ne!(before, CircuitState::Closed);
                        let wait = held.retry_after.unwrap();
                        prop_assert!(!wait.is_zero() && wait <= CAP + CAP / 4, "{:?}", wait);
                    }
                },
                Event::Fail(at) => if let Some(ticket) = take(&mut out, at) {
                    machine.circuit.failed(ticket, machine.now, &Failure::silent(PATIENCE), chance);
                },
                Event::Answer(at) => if take(&mut out, at).is_some() {
                    machine.circuit.answered();
                    prop_assert_eq!(machine.state(), CircuitState::Closed);
                },
                Event::Abandon(at) => if let Some(ticket) = take(&mut out, at) {
                    machine.circuit.abandoned(ticket, machine.now);
                },
                Event::Run(by) => machine.runs(Duration::from_millis(by)),
                Event::Sleep(by) => machine.sleeps(Duration::from_millis(by)),
            }
            let status = machine.circuit.status(machine.now);
            prop_assert_eq!(status.state == CircuitState::Closed, status.failures < LIMIT);
        }
        // Whoever is left gives up; then a question is sent after the longest pause at the latest.
        for (ticket, _) in out {
            machine.circuit.abandoned(ticket, machine.now);
        }
        machine.runs(CAP + CAP / 4);
        prop_assert!(machine.ask().is_ok());
    }

    #[test]
    fn chance_lengthens_a_pause_by_a_quarter_at_most(over in any::<u32>(), chance in any::<u8>()) {
        let (least, pause) = (pause(over, 0), pause(over, chance));
        prop_assert!(FIRST <= least && least <= pause && pause <= least + least / 4 && least <= CAP);
    }
}
