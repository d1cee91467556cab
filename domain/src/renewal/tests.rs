//! Renewal as values: what is good when, and what stands in whose way.

use super::*;
use crate::{
    Caller,
    id::{GrantId, InstanceId, Spki, UserId, WorkspaceId},
    kind::Kinds,
    scope::{Context, Spec},
};
use std::sync::Arc;
use uuid::Uuid;

const START: Time = Time::from_seconds(1_795_253_400);
const HOUR: Duration = Duration::from_hours(1);

fn leaf(number: u8) -> Leaf {
    let serial = Serial::new(&[number; 16]).unwrap();
    Leaf { serial, spki: Spki([number; 32]), not_after: START + LIFE }
}

fn grant() -> Grant {
    let spec = Spec::sharing("main".parse().unwrap(), vec!["tasks".into()]);
    let context = Context { kinds: Kinds::builtin(), now: START, personal: true, sensitive: false };
    Grant {
        id: GrantId(Uuid::from_u128(1)),
        name: "home".parse().unwrap(),
        workspace: WorkspaceId(Uuid::from_u128(2)),
        subject: UserId(Uuid::from_u128(3)),
        peer: Some(InstanceId(Uuid::from_u128(4))),
        scope: spec.close(context).unwrap(),
        state: State::Active,
        generation: 2,
        renewals: 0,
        leaf: Some(leaf(1)),
        successor: None,
        former: None,
    }
}

fn next(number: u8, issued_at: Time) -> Successor {
    Successor::new(leaf(number), issued_at)
}

fn shown(number: u8) -> Presented {
    let (grant, leaf) = (grant(), leaf(number));
    Presented {
        peer: grant.peer.unwrap(),
        grant: grant.id,
        subject: grant.subject,
        serial: leaf.serial,
        spki: leaf.spki,
        issued_at: START,
        not_after: leaf.not_after,
        address: ([127, 0, 0, 1], 9).into(),
    }
}

fn good(grant: &Grant, now: Time) -> Vec<u8> {
    let good = |number: &u8| Caller::present(&shown(*number), Some(Arc::new(grant.clone())), now).is_ok();
    (1..=4).filter(good).collect()
}

#[test]
fn exactly_the_three_are_good_and_each_for_its_time() {
    let (issued, used) = (START + 16 * HOUR, START + 17 * HOUR);
    let renewed = grant().renew(&leaf(1).serial, next(2, issued)).unwrap();
    assert_eq!((good(&grant(), issued), good(&renewed, issued)), (vec![1], vec![1, 2]));
    let confirmed = renewed.confirm(&leaf(2).serial, used).unwrap();
    assert_eq!(good(&confirmed, used + Duration::from_secs(29)), [1, 2]);
    assert_eq!(good(&confirmed, used + OVERLAP), [2]);
    let again = confirmed.renew(&leaf(2).serial, next(3, used)).unwrap();
    assert_eq!(good(&again, used), [1, 2, 3], "one before, one in force, one after");
    assert_eq!(good(&again.confirm(&leaf(3).serial, used).unwrap(), used), [2, 3], "a former one gives its place");
    assert_eq!(renewed.generation, grant().generation, "an answer in flight is not withdrawn by a renewal");
    assert_eq!(confirmed.generation, grant().generation);
    assert!(good(&again, START + LIFE).is_empty(), "each ends by itself too");
}

#[test]
fn each_certificate_ends_at_its_own_end_and_not_at_anothers() {
    let (long, ends) = (Leaf { not_after: START + 2 * LIFE, ..leaf(2) }, [START + LIFE, START + 2 * LIFE]);
    let successor = Successor { leaf: long.clone(), ..next(2, START + 16 * HOUR) };
    let renewed = grant().renew(&leaf(1).serial, successor).unwrap();
    let shown = |number| Presented { not_after: ends[1], ..shown(number) };
    let good = |grant: &Grant, now| {
        let grant = Arc::new(grant.clone());
        [1, 2].map(|number| Caller::present(&shown(number), Some(Arc::clone(&grant)), now).is_ok())
    };
    assert_eq!(good(&renewed, ends[0].before(HOUR)), [true, true]);
    assert_eq!(good(&renewed, ends[0]), [false, true], "the one in force is over, its successor is not");
    assert_eq!(good(&renewed, ends[1]), [false, false]);
    // Used so late that the former one's own end comes before the end of the overlap.
    let used = ends[0].before(Duration::from_secs(10));
    let confirmed = renewed.confirm(&long.serial, used).unwrap();
    assert_eq!(good(&confirmed, used), [true, true]);
    assert_eq!(good(&confirmed, ends[0]), [false, true]);
    assert_eq!(good(&confirmed, ends[1]), [false, false]);
    let shorter = Successor { leaf: Leaf { not_after: START + 18 * HOUR, ..leaf(2) }, ..next(2, START + 16 * HOUR) };
    let renewed = grant().renew(&leaf(1).serial, shorter).unwrap();
    assert_eq!(good(&renewed, START + 18 * HOUR), [true, false], "a successor may end first");
}

#[test]
fn a_serial_with_another_key_is_nobodys() {
    let renewed = grant().renew(&leaf(1).serial, next(2, START + HOUR)).unwrap();
    let renewed = renewed.confirm(&leaf(2).serial, START + HOUR).unwrap().renew(&leaf(2).serial, next(3, START + HOUR));
    let renewed = Arc::new(renewed.unwrap());
    for number in 1..=3 {
        let swapped = Presented { spki: Spki([9; 32]), ..shown(number) };
        assert!(Caller::present(&swapped, Some(Arc::clone(&renewed)), START + HOUR).is_err(), "{number}");
        assert!(swapped.is_unaccounted_for(&renewed) && !shown(number).is_unaccounted_for(&renewed));
    }
}

#[test]
fn revoking_or_a_fresh_invite_ends_all_three_at_once() {
    let renewed = grant().renew(&leaf(1).serial, next(2, START)).unwrap().confirm(&leaf(2).serial, START).unwrap();
    let renewed = renewed.renew(&leaf(2).serial, next(3, START)).unwrap();
    assert!(good(&renewed.revoke().unwrap(), START).is_empty());
    let invited = renewed.activate(renewed.peer.unwrap(), leaf(4)).unwrap();
    assert_eq!((good(&invited, START), invited.generation), (vec![4], renewed.generation + 1));
}

#[test]
fn a_young_certificate_waits_and_a_lost_answer_does_not() {
    let tenth = LIFE / 10;
    let wait = |grant: &Grant, number, now| grant.may_renew(&shown(number), now);
    assert_eq!(wait(&grant(), 1, START + HOUR), Err(NoRenewal::TooSoon(tenth.saturating_sub(HOUR))));
    assert_eq!(wait(&grant(), 1, START + tenth), Ok(()));
    let renewed = grant().renew(&leaf(1).serial, next(2, START + HOUR)).unwrap();
    let soon = START + HOUR + Duration::from_secs(4);
    assert_eq!(wait(&renewed, 1, soon), Err(NoRenewal::TooSoon(Duration::from_secs(6))));
    assert_eq!(wait(&renewed, 1, START + HOUR + AGAIN), Ok(()), "although it has not lived a tenth of its life");
    assert!(matches!(wait(&renewed, 2, START + 20 * HOUR), Err(NoRenewal::TooSoon(_))), "not in force yet");
    let confirmed = renewed.confirm(&leaf(2).serial, START + HOUR).unwrap();
    assert!(matches!(wait(&confirmed, 1, START + HOUR), Err(NoRenewal::Replaced(OVERLAP))), "the former one");
    for over in [renewed.revoke().unwrap(), Grant { state: State::Pending, ..renewed }] {
        assert_eq!(wait(&over, 1, START + 20 * HOUR), Err(NoRenewal::Ended));
    }
}

#[test]
fn of_two_renewals_at_once_the_second_is_told_to_wait() {
    let now = START + 16 * HOUR;
    let first = grant().renew(&leaf(1).serial, next(2, now)).unwrap();
    assert!(matches!(first.renew(&leaf(1).serial, next(3, now)), Err(NoRenewal::TooSoon(_))));
    let second = first.renew(&leaf(1).serial, next(3, now + AGAIN)).unwrap();
    assert_eq!(good(&second, now + AGAIN), [1, 3], "the one that was not used is replaced");
    assert_eq!(second.confirm(&leaf(2).serial, now + AGAIN), None, "and cannot come into force any more");
}

#[test]
fn clock_jump_of_the_sharing_side_lets_nobody_wait_longer_than_the_rule() {
    let year = Duration::from_hours(365 * 24);
    let renewed = grant().renew(&leaf(1).serial, next(2, START + 16 * HOUR)).unwrap();
    for now in [START.before(HOUR), START.before(year)] {
        assert_eq!(grant().may_renew(&shown(1), now), Ok(()), "a clock that went back");
        assert_eq!(renewed.may_renew(&shown(1), now), Ok(()));
    }
    for by in [HOUR, year] {
        assert!(renewed.may_renew(&shown(1), START + 16 * HOUR + by).is_ok() || renewed.has_expired(START + by));
    }
}

#[test]
fn clock_jump_back_revives_no_replaced_certificate() {
    let used = START + 17 * HOUR;
    let renewed = grant().renew(&leaf(1).serial, next(2, START + 16 * HOUR)).unwrap();
    let confirmed = renewed.confirm(&leaf(2).serial, used).unwrap();
    assert_eq!(good(&confirmed, used + OVERLAP), [2]);
    for back in [Duration::from_secs(1), Duration::from_mins(5), 16 * HOUR] {
        assert_eq!(good(&confirmed, used.before(back)), [2], "a clock that went back by {back:?}");
    }
    assert_eq!(good(&confirmed, used), [1, 2], "from the first use on");
}

#[test]
fn who_never_uses_a_successor_waits_twice_as_long_each_time_to_a_tenth_of_the_life() {
    for life in [Duration::from_mins(5), LIFE, 90 * LIFE] {
        let (begin, end) = (START + life / 10, START + life);
        let shown = Presented { not_after: end, ..shown(1) };
        let in_force = Grant { leaf: Some(Leaf { not_after: end, ..leaf(1) }), ..grant() };
        let (mut now, mut given, mut held) = (begin, Vec::new(), in_force.clone());
        while now < end {
            if held.may_renew(&shown, now).is_ok() {
                given.push(now);
                let leaf = Leaf { not_after: now + life, ..leaf(2) };
                held = held.renew(&shown.serial, Successor::new(leaf, now)).unwrap();
            }
            now = now + AGAIN / 2;
        }
        let waits: Vec<_> = given.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        let doubled = (0..waits.len()).map(|n| (AGAIN * 2_u32.pow(u32::try_from(n).unwrap())).min(life / 10));
        let within = |(wait, rule): (&Duration, Duration)| *wait >= rule && *wait < rule + AGAIN;
        assert!(waits.iter().zip(doubled).all(within), "{waits:?}");
        assert!(given.len() <= 30, "{} certificates of {life:?} that nobody used", given.len());
        let used = held.confirm(&leaf(2).serial, begin).unwrap().renew(&leaf(2).serial, next(3, begin)).unwrap();
        assert_eq!(used.successor.unwrap().unused, 0, "a use begins anew");
    }
}

#[test]
fn what_stands_in_the_way_is_told_with_a_wait() {
    let refusal = Refusal::from(NoRenewal::TooSoon(Duration::from_millis(3)));
    assert_eq!((refusal.reason(), refusal.retry()), (Reason::GrantRate, Some(Duration::from_secs(1))));
    assert_eq!(Refusal::from(NoRenewal::Ended).reason(), Reason::NotPermitted);
}

#[test]
fn a_grant_that_is_held_waits_until_it_is_let_in() {
    let (peer, other) = (InstanceId(Uuid::from_u128(4)), InstanceId(Uuid::from_u128(5)));
    let pending = Grant { state: State::Pending, peer: None, leaf: None, ..grant() };
    assert!(!pending.waits() && pending.let_in().is_err(), "nobody holds it");
    let held = pending.hold(peer, leaf(1), START).unwrap();
    assert!(held.waits() && held.generation == pending.generation + 1);
    assert!(good(&held, START).is_empty(), "its certificate is refused");
    assert!(held.hold(other, leaf(2), START).is_err(), "another instance");
    let active = held.let_in().unwrap();
    assert_eq!((active.state, active.generation), (State::Active, held.generation + 1));
    assert_eq!(good(&active, START), [1]);
    assert!(active.let_in().is_err());
    assert!(active.revoke().unwrap().hold(peer, leaf(2), START).is_err());
}

#[test]
fn whoever_waits_for_an_active_grant_takes_nothing_from_its_holder() {
    let peer = InstanceId(Uuid::from_u128(4));
    let active = grant();
    let held = active.hold(peer, leaf(2), START).unwrap();
    assert_eq!((held.waits(), held.generation), (true, active.generation), "nothing of what is permitted changes");
    assert_eq!(good(&held, START), [1], "the one in force stays so, and the other is good for nothing");
    assert!(held.confirm(&leaf(2).serial, START).is_none(), "a use does not put it in force");
    assert!(held.is_handed(&leaf(1).serial) && held.is_handed(&leaf(2).serial) && !held.is_handed(&leaf(3).serial));
    // The holder goes on to renew, however long somebody waits.
    let renewed = held.renew(&leaf(1).serial, next(3, START + 16 * HOUR)).unwrap();
    assert_eq!((renewed.waits(), renewed.successor.as_ref().map(|next| next.unused)), (false, Some(0)));
    let let_in = held.let_in().unwrap();
    assert_eq!((good(&let_in, START), let_in.generation), (vec![2], active.generation + 1), "alone, and at once");
    assert!(let_in.successor.is_none() && let_in.former.is_none() && let_in.let_in().is_err());
}
