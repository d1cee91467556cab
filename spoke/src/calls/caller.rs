//! The calls of one grant: the invite is brought until it is used or too old, then spare sockets are kept at the other side, a new one as
//! soon as one was taken. What fails is tried again after pauses that grow and are partly chance.

use super::{
    Calls, Course,
    plan::{Bringing, Former, Meanwhile, Plan},
};
use domain::{
    id::GrantId,
    invite::{AGAIN as INVITE_AGAIN, Invite, Token},
};
use link::{
    Called,
    call::{Line, Saying, call},
};
use pki::{CallKey, CallSecret};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// Sockets that wait at the other side: one to ask over, and one for whoever asks meanwhile.
const SPARES: usize = 2;
/// The first pause, before its chance part.
const FIRST: Duration = Duration::from_millis(250);
/// The longest, before its chance part.
const CAP: Duration = Duration::from_mins(1);
/// A socket that waited this long was a good one: the next pause is the first again.
const GOOD: Duration = Duration::from_secs(5);
/// Between two calls that went well: whoever takes one socket after the other does not have this side dial as fast as it can.
const BREATH: Duration = Duration::from_millis(50);
/// A socket that is still there after this time was taken by the other side.
const TAKEN: Duration = Duration::from_millis(500);
/// How long the other side may think about an invite before it uses it.
const READ: Duration = Duration::from_secs(10);
/// From the certificate to the first call of the grant: until then the other side has not read what proves it.
const SETTLED: Duration = Duration::from_millis(300);
/// How long the first call of the grant may take, once the certificate was given.
const ARRIVED: Duration = Duration::from_secs(3);
/// How long using it may take.
const USED: Duration = Duration::from_secs(15);

/// Where the sockets go once the other side speaks.
#[derive(Clone)]
pub struct Doors {
    /// Of those with a grant.
    pub links: Called,
    /// Of those with an invite.
    pub enrolment: Called,
}

/// Who is told how spare sockets fare.
#[derive(Clone, Copy)]
struct Told<'a> {
    course: &'a watch::Sender<Course>,
    /// From when on failures are told.
    failures: Instant,
}

impl Told<'_> {
    fn tell(self, course: Course) {
        if !matches!(course, Course::Failing(_)) || Instant::now() >= self.failures {
            self.course.send_replace(course);
        }
    }
}

/// Everything about the calls of one grant.
pub(super) struct Caller {
    pub(super) calls: Arc<Calls>,
    pub(super) grant: GrantId,
    pub(super) plan: Arc<Plan>,
    pub(super) course: watch::Sender<Course>,
    pub(super) doors: Doors,
}

impl Caller {
    /// Calls for as long as it is polled.
    pub(super) async fn run(self) {
        if let Some(bringing) = &self.plan.bringing {
            // Whoever holds the grant goes on over their own sockets until the invite was used.
            tokio::select! {
                () = self.bring(bringing) => {}
                () = self.hold(&bringing.meanwhile) => {}
            }
            sleep(SETTLED).await;
            let settled = async {
                self.bring_again(bringing).await;
                self.calls.used(self.grant, &self.plan).await;
            };
            // One that comes before the other side has written what it learnt is turned away, which says nothing.
            let told = Told { course: &self.course, failures: Instant::now() + ARRIVED };
            futures::join!(settled, self.spares(&self.plan.addresses, &self.plan.key, Some(told)));
        } else {
            let told = Told { course: &self.course, failures: Instant::now() };
            self.spares(&self.plan.addresses, &self.plan.key, Some(told)).await;
        }
    }

    /// The certificate was given; that it arrived shows when it is seen over a call of the grant. Until then the invite is brought again: the
    /// same key is given the same.
    async fn bring_again(&self, bringing: &Bringing) {
        let Some(digest) = digest(bringing) else { return };
        let (saying, end) = (saying(bringing), Instant::now() + INVITE_AGAIN);
        let mut failures = 0;
        while timeout(ARRIVED, self.arrived()).await.is_err() && Instant::now() < end {
            // What comes of it is told by the spare sockets.
            self.brought(&saying, &digest, || ()).await.ok();
            failures += 1;
            sleep(self.pause(failures)).await;
        }
    }

    /// Resolves when the other side has used its certificate, or keeps sockets for a link that waits to be let in.
    async fn arrived(&self) {
        let arrived = |course: &Course| {
            self.calls.is_connected(self.grant) || (*course == Course::Parked && self.calls.waits(self.grant))
        };
        self.calls.until(self.course.subscribe(), arrived).await;
    }

    /// Keeps the sockets of whoever holds the grant; for ever, also where nobody is called.
    async fn hold(&self, meanwhile: &Meanwhile) {
        match meanwhile {
            Meanwhile::Called(Former { addresses, key }) => self.spares(addresses, key, None).await,
            Meanwhile::Nobody | Meanwhile::Dialled => std::future::pending().await,
        }
    }

    /// With `told` it is told how that goes.
    async fn spares(&self, addresses: &[String], key: &CallKey, told: Option<Told<'_>>) {
        futures::future::join_all((0..SPARES).map(|_| self.spare(addresses, key, told))).await;
    }

    /// Resolves once the invite was used.
    async fn bring(&self, bringing: &Bringing) {
        let Some(digest) = digest(bringing) else { return };
        let saying = saying(bringing);
        let mut failures = 0;
        while !self.is_used(&digest).await {
            if self.calls.world.now() >= bringing.until {
                // A fresh invite helps, or a clock that was ahead and comes back.
                self.course.send_replace(Course::TooLate);
                sleep(CAP).await;
                continue;
            }
            let begun = || drop(self.course.send_replace(Course::Brought));
            if let Err(cause) = self.brought(&saying, &digest, begun).await {
                self.course.send_replace(Course::Failing(cause));
            }
            if self.is_used(&digest).await {
                break;
            }
            failures += 1;
            sleep(self.pause(failures)).await;
        }
    }

    /// Brings the invite: the other side uses it over this very socket, or closes it. `begun` is told when it begins. An error is cause and
    /// next step.
    async fn brought(&self, saying: &Saying, digest: &[u8; 32], begun: impl Fn()) -> Result<(), String> {
        let line = call(&self.calls.ways, &self.plan.addresses, saying).await.map_err(|error| error.to_string())?;
        let Ok(Ok((socket, address))) = timeout(READ, line.asked()).await else {
            let at = self.plan.addresses.join(", ");
            return Err(format!(
                "who answers at {at} did not take the invite: the text of `link await` was used already, has ended, or is another instance's, \
                 or no link could be made of it; its owner sees why with `mosaic-fed link await --list`, and makes a new text with \
                 `mosaic-fed link await`"
            ));
        };
        begun();
        self.doors.enrolment.arrive(socket, address).await;
        let mut grants = self.calls.snapshots.watch();
        let used = async { while !self.is_used(digest).await && grants.changed().await.is_ok() {} };
        timeout(USED, used).await.map_err(|_| {
            "the other side began to use the invite and did not come to its end; its owner sees why with `mosaic-fed link await --list`"
                .to_owned()
        })
    }

    /// Keeps one socket at the other side, a new one as soon as it was taken.
    async fn spare(&self, addresses: &[String], key: &CallKey, told: Option<Told<'_>>) {
        let tell = |course: Course| {
            if let Some(told) = told {
                told.tell(course);
            }
        };
        let saying = Saying::Grant { grant: self.grant, key: key.clone() };
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let taken = match call(&self.calls.ways, addresses, &saying).await {
                Ok(line) => self.wait(line, &tell).await.is_ok(),
                Err(error) => {
                    tell(Course::Failing(error.to_string()));
                    false
                }
            };
            failures = if taken || began.elapsed() >= GOOD { 0 } else { failures + 1 };
            sleep(if failures == 0 { BREATH } else { self.pause(failures) }).await;
        }
    }

    async fn wait(&self, line: Line, tell: &(impl Fn(Course) + Sync)) -> io::Result<()> {
        let mut asked = std::pin::pin!(line.asked());
        // One that is refused is closed at once.
        let (socket, address) = if let Ok(asked) = timeout(TAKEN, &mut asked).await {
            asked.inspect_err(|_| tell(self.turned_away()))?
        } else {
            tell(Course::Parked);
            asked.await?
        };
        tell(Course::Parked);
        self.doors.links.arrive(socket, address).await;
        Ok(())
    }

    fn turned_away(&self) -> Course {
        Course::Failing(format!(
            "who answers at {} closed the connection at once: the link is gone there, or it is another instance; if its owner wants the \
             link, call with a fresh text of `mosaic-fed link await`, else end the grant",
            self.plan.addresses.join(", ")
        ))
    }

    /// Whether the invite gave somebody a certificate. Where that cannot be read it is tried again.
    async fn is_used(&self, digest: &[u8; 32]) -> bool {
        let invited = self.calls.store.invited(digest).await;
        invited.ok().flatten().and_then(|invited| invited.claim).is_some_and(|claim| claim.given.is_some())
    }

    fn pause(&self, failures: u32) -> Duration {
        let [chance] = self.calls.world.bytes();
        pause(failures, chance)
    }
}

fn saying(bringing: &Bringing) -> Saying {
    let secret = CallSecret::new(bringing.id, bringing.secret.clone());
    Saying::Invite { id: bringing.id, secret, invite: bringing.invite.clone() }
}

fn digest(bringing: &Bringing) -> Option<[u8; 32]> {
    let invite = Invite::decode(bringing.invite.expose()).ok()?;
    Token::parse(invite.token.expose()).map(|token| token.digest())
}

/// A quarter of a second, doubled to a minute, and by chance (0 to 255) up to as long again: the many who lost one side at once do not come
/// back at one moment.
fn pause(failures: u32, chance: u8) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).and_then(|times| FIRST.checked_mul(times));
    let pause = doubled.map_or(CAP, |pause| pause.min(CAP));
    pause + pause * u32::from(chance) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_to_a_minute_and_chance_only_lengthens_it() {
        let pauses: Vec<_> = (1..=10).map(|failures| pause(failures, 0).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        for failures in [0, 1, 8, 31, 32, 33, u32::MAX] {
            let (least, most) = (pause(failures, 0), pause(failures, 255));
            assert!(least >= FIRST && most == least * 2 && most <= CAP * 2, "{failures}");
        }
    }
}
