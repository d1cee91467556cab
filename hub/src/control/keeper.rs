//! Keeps one control session for every link of this instance, begun anew after a pause when it ends, for as long as the hub runs.

use super::{
    Over,
    pause::{FINAL, FIRST, GOOD, pause},
};
use crate::{Hub, outcome::Failure};
use domain::{
    Time,
    answer::Outcome,
    id::{GrantId, UserId},
};
use proto::v1;
use serde::Serialize;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::LinkRecord;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often the links are looked through without being told of a change: another process may have made it.
const LOOK: Duration = Duration::from_secs(30);

/// A live control session, as the link's owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionStatus {
    /// When it began.
    pub since: Time,
    /// When the other side was last heard.
    pub heard: Time,
    /// The other side's clock less ours, in milliseconds, once it is known.
    pub clock_offset_ms: Option<i64>,
    /// The grant's generation, as the other side last told it.
    pub generation: u64,
}

type Key = (UserId, GrantId);

/// The sessions that are kept.
#[derive(Default)]
pub(crate) struct Keeper {
    changed: Notify,
    /// Changes when the machine has slept.
    woken: watch::Sender<u64>,
    /// Whether sessions are held at all.
    runs: AtomicBool,
    /// Whether the links were looked through once.
    looked: watch::Sender<bool>,
    kept: Mutex<HashMap<Key, Kept>>,
}

struct Kept {
    /// The certificate it is held with: another one is another session.
    certificate: Vec<u8>,
    /// What is to be read to the other side's owner, before they let the link in.
    words: Option<String>,
    shown: Shown,
    _task: DropGuard,
}

/// What is shown of a session while it lives.
#[derive(Clone, Default)]
pub(super) struct Shown {
    status: Arc<Mutex<Option<SessionStatus>>>,
    /// Whether the first session since this daemon started began, or did not come about.
    tried: watch::Sender<bool>,
}

impl Shown {
    pub(super) fn begin(&self, welcome: &v1::Welcome, now: Time) {
        let status = SessionStatus { since: now, heard: now, clock_offset_ms: None, generation: welcome.generation };
        *lock(&self.status) = Some(status);
        self.tried.send_replace(true);
    }

    pub(super) fn heard(&self, now: Time) {
        self.note(|status| status.heard = now);
    }

    pub(super) fn clock(&self, offset_ms: Option<i64>) {
        self.note(|status| status.clock_offset_ms = offset_ms.or(status.clock_offset_ms));
    }

    pub(super) fn changed(&self, generation: u64) {
        self.note(|status| status.generation = generation);
    }

    fn note(&self, note: impl FnOnce(&mut SessionStatus)) {
        if let Some(status) = lock(&self.status).as_mut() {
            note(status);
        }
    }

    fn over(&self) {
        *lock(&self.status) = None;
        self.tried.send_replace(true);
    }
}

impl Keeper {
    /// Looks through the links soon: one was added, removed, or has another certificate.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    /// Ends every session and every pause: each is begun anew at once.
    pub(crate) fn wake(&self) {
        self.woken.send_modify(|times| *times += 1);
    }

    /// Whether sessions are held at all.
    pub(crate) fn runs(&self) -> bool {
        self.runs.load(Ordering::Acquire)
    }

    /// Waits until the link's first session since this daemon started began, or did not come about.
    pub(crate) async fn begun(&self, link: &LinkRecord) {
        drop(self.looked.subscribe().wait_for(|looked| *looked).await);
        let tried = lock(&self.kept).get(&(link.owner, link.id)).map(|kept| kept.shown.tried.subscribe());
        if let Some(mut tried) = tried {
            drop(tried.wait_for(|tried| *tried).await);
        }
    }

    /// The link's session, while it lives.
    pub(crate) fn status(&self, link: &LinkRecord) -> Option<SessionStatus> {
        let shown = lock(&self.kept).get(&(link.owner, link.id)).map(|kept| kept.shown.clone());
        shown.and_then(|shown| lock(&shown.status).clone())
    }

    /// Lets go of sessions of links that are gone or have another certificate, and makes places for those that have none.
    fn places(&self, links: Vec<LinkRecord>) -> Vec<(LinkRecord, Shown, CancellationToken)> {
        let mut kept = lock(&self.kept);
        kept.retain(|key, held| {
            let is_it = |link: &&LinkRecord| (link.owner, link.id) == *key;
            links
                .iter()
                .find(is_it)
                .is_some_and(|link| link.certificate == held.certificate && link.words == held.words)
        });
        let mut new = Vec::new();
        for link in links {
            let key = (link.owner, link.id);
            kept.entry(key).or_insert_with(|| {
                let (shown, stop) = (Shown::default(), CancellationToken::new());
                new.push((link.clone(), shown.clone(), stop.clone()));
                let (certificate, words) = (link.certificate.clone(), link.words.clone());
                Kept { certificate, words, shown, _task: stop.drop_guard() }
            });
        }
        new
    }
}

impl Hub {
    /// Holds a control session for every link until the hub is stopped.
    pub fn keep_in_touch(self: &Arc<Self>) {
        let hub = Arc::clone(self);
        self.keeper.runs.store(true, Ordering::Release);
        self.tasks.spawn(async move {
            let until = hub.stopping.clone();
            until
                .run_until_cancelled(async {
                    tokio::select! {
                        () = hub.attend() => {}
                        () = hub.heed_sleep() => {}
                    }
                })
                .await;
            lock(&hub.keeper.kept).clear();
        });
    }

    async fn attend(self: &Arc<Self>) {
        loop {
            match self.every_link().await {
                Ok(links) => self.keeper.places(links).into_iter().for_each(|place| self.hold(place)),
                Err(error) => tracing::warn!(%error, "the links could not be looked at; no new session is begun"),
            }
            self.keeper.looked.send_replace(true);
            tokio::select! {
                () = self.keeper.changed.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn hold(self: &Arc<Self>, (link, shown, stop): (LinkRecord, Shown, CancellationToken)) {
        let hub = Arc::clone(self);
        let held = async move {
            let (mut failures, mut woken) = (0, hub.keeper.woken.subscribe());
            loop {
                let began = Instant::now();
                let round = async {
                    let ended = hub.converse(&link, &shown).await;
                    shown.over();
                    let failures = if began.elapsed() >= GOOD { 1 } else { failures + 1 };
                    hub.rest(&link, &ended, failures).await;
                    failures
                };
                failures = tokio::select! {
                    failures = round => failures,
                    _ = woken.changed() => 0,
                };
                shown.over();
            }
        };
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = stopping.cancelled() => {}
                () = held => {}
            }
        });
    }

    /// Waits before the next session. One that failed because the other side had not called begins when it does.
    async fn rest(&self, link: &LinkRecord, ended: &Result<Over, Failure>, failures: u32) {
        let pause = self.until_next(ended, failures);
        let least = pause.min(FIRST);
        tokio::time::sleep(least).await;
        let offline = matches!(ended, Err(failure) if failure.outcome == Outcome::Offline);
        let called = async {
            if offline && self.is_called(link.owner, link.id) {
                self.calls.table.parked.some((link.owner, link.id)).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = called => {}
            () = tokio::time::sleep(pause.saturating_sub(least)) => {}
        }
    }

    fn until_next(&self, ended: &Result<Over, Failure>, failures: u32) -> Duration {
        let [chance] = self.world.bytes();
        match ended {
            Ok(Over::Ended | Over::Unknown) => FINAL,
            Err(failure) if failure.outcome == Outcome::Revoked => FINAL,
            Ok(Over::Lost) | Err(_) => pause(failures, chance),
        }
    }
}

// Held for a few lines, never across an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
