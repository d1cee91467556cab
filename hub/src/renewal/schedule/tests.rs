//! Years of trying, in no time.

use super::*;

const START: Time = Time::from_seconds(1_795_253_400);
const DAY: Duration = Duration::from_hours(24);
const LOOK: Duration = Duration::from_secs(30);

fn life(whole: Duration, chance: u32) -> Life {
    Life { serial: Serial::new(&[7; 16]).unwrap(), issued_at: START, not_after: START + whole, chance }
}

fn failed(failures: u32, at: Time) -> Attempts {
    Attempts { serial: Serial::new(&[7; 16]).unwrap(), failures, at, reason: "offline".into() }
}

/// The attempts of an outage, from when the certificate is due until `end`, by a task that looks every 30 s.
fn outage(life: &Life, end: Time) -> Vec<Time> {
    let (mut tries, mut attempts, mut now) = (Vec::new(), None, life.due());
    while now < end {
        if life.look(attempts.as_ref(), now) == Look::Due {
            tries.push(now);
            attempts = Some(failed(u32::try_from(tries.len()).unwrap(), now));
        }
        now = now + LOOK;
    }
    tries
}

#[test]
fn renewal_backoff_long() {
    for chance in [0, 1, 500, 999] {
        let life = life(DAY * 2_000, chance);
        let tries = outage(&life, life.due() + DAY * 400);
        assert!(tries.len() > 400 * 20, "it goes on: {}", tries.len());
        let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        let slack = LOOK;
        assert!(pauses.windows(2).all(|pair| pair[1] + slack >= pair[0]), "monotone to its cap, with chance {chance}");
        assert!(pauses.iter().all(|pause| *pause <= CAP + CAP / SPREAD + LOOK));
        let crowded = tries.windows(31).find(|some| some[30].since(some[0]) < DAY);
        assert_eq!(crowded, None, "more than 30 calls within 24 h, with chance {chance}");
    }
}

#[test]
fn no_number_of_failures_shortens_a_pause() {
    for (whole, chance) in [(DAY, 0), (DAY, 999), (Duration::from_mins(5), 500), (DAY * 90, 250)] {
        let life = life(whole, chance);
        let failures = (1..200).chain([u32::MAX / 2, u32::MAX - 1, u32::MAX]);
        let pauses: Vec<_> = failures.map(|failures| life.pause(failures)).collect();
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert!(*pauses.last().unwrap() >= CAP && *pauses.last().unwrap() <= CAP + CAP / SPREAD);
    }
    assert_eq!(life(DAY, 0).pause(1), FIRST);
    assert_eq!(life(Duration::from_mins(5), 0).pause(1), Duration::from_secs(3), "a short life has no minute to lose");
}

#[test]
fn it_is_due_between_two_thirds_and_a_tenth_later() {
    for chance in [0, 1, 400, 999] {
        let life = life(DAY, chance);
        assert!((life.ripe()..=life.overdue()).contains(&life.due()), "{chance}");
        assert_eq!(life.ripe(), START + Duration::from_hours(16));
        assert_eq!(life.look(None, life.due().before(LOOK)), Look::Until(life.due()));
        assert_eq!(life.look(None, life.due()), Look::Due);
        assert_eq!(life.look(None, life.not_after), Look::Ended);
    }
    assert_ne!(life(DAY, 1).due(), life(DAY, 900).due());
}

#[test]
fn a_failure_of_another_certificate_is_none_of_this_one() {
    let life = life(DAY, 0);
    let other = Attempts { serial: Serial::new(&[8; 16]).unwrap(), ..failed(9, life.due()) };
    assert_eq!(life.look(Some(&other), life.due()), Look::Due);
    assert!(matches!(life.look(Some(&failed(9, life.due())), life.due()), Look::Until(_)));
}

#[test]
fn clock_jump() {
    let (hour, year, life) = (Duration::from_hours(1), DAY * 365, life(DAY, 300));
    let due = life.due();
    // Fresh: a clock that goes ahead too far renews at most once and early, or finds it ended; back again, all is as before.
    assert_eq!(life.look(None, START + hour), Look::Until(due));
    assert_eq!(life.look(None, START + year), Look::Ended);
    for behind in [START.before(hour), START.before(year)] {
        assert_eq!(life.look(None, behind), Look::Until(due), "not due, and not never");
    }
    // After a failure: the pause is over early, or begins anew; it never becomes longer than it is.
    let attempts = failed(3, due);
    assert!(matches!(life.look(Some(&attempts), due + LOOK), Look::Until(_)));
    assert_eq!(life.look(Some(&attempts), due + hour), Look::Due);
    let ahead = failed(3, due + year);
    assert_eq!(life.look(Some(&ahead), due + LOOK), Look::Due, "tried in a year that has not come yet");
    let ahead = failed(1, due + LOOK);
    assert!(matches!(life.look(Some(&ahead), due + LOOK), Look::Until(again) if again <= due + hour));
    // No loop: every attempt under the jumped clock is followed by a pause under that clock.
    for now in [due + hour, due + hour * 2] {
        let Look::Until(again) = life.look(Some(&failed(4, now)), now) else { panic!("tried twice at once") };
        assert!(again > now);
    }
}

#[test]
fn a_certificate_that_says_it_is_old_is_renewed_once_in_a_tenth_of_its_life() {
    for whole in [Duration::ZERO, Duration::from_mins(5), DAY, DAY * 90] {
        let backdated = |now: Time| Life {
            issued_at: now.before(whole / 10 * 9),
            not_after: now + LOOK + whole / 9,
            ..life(whole, 999)
        };
        let (mut now, mut renewed, mut times) = (START, None, 0_u32);
        let rest = (whole / 10).max(LOOK);
        while now < START + rest * 5 {
            let life = backdated(renewed.unwrap_or(START));
            if life.look(None, now) != Look::Until(life.due()) && !life.rests(renewed, now) {
                (renewed, times) = (Some(now), times + 1);
            }
            now = now + LOOK;
        }
        assert!((1..=5).contains(&times), "{times} renewals of {whole:?}");
    }
    assert!(!life(DAY, 0).rests(Some(START + DAY), START), "renewed in a future that has not come");
}
