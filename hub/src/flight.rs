//! What is under way over one link, so that all of it can be ended at once: when the other side says that its grant has ended,
//! nothing more of it is shown, and that is said back only when it is so.

use crate::outcome::Failure;
use futures::future::{pending, select_all};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// The questions that are under way over a link, between two ends of its grant.
#[derive(Clone, Default)]
pub(crate) struct Flight {
    over: CancellationToken,
    questions: TaskTracker,
}

impl Flight {
    /// A question that begins.
    pub(crate) fn board(&self) -> Aboard {
        Aboard { over: Over(self.over.clone()), _counted: self.questions.token() }
    }

    /// Ends every question.
    pub(crate) fn stop(&self) {
        self.over.cancel();
    }

    /// Ends every question, and waits until the last one has let go of its rows.
    pub(crate) async fn end(self) {
        self.stop();
        self.questions.close();
        self.questions.wait().await;
    }
}

/// A question's place; it is counted until this and all clones are dropped.
#[derive(Clone)]
pub(crate) struct Aboard {
    over: Over,
    _counted: TaskTrackerToken,
}

impl Aboard {
    /// How the question learns of the end.
    pub(crate) fn over(&self) -> Over {
        self.over.clone()
    }
}

/// Whether a question's grant has ended since it began.
#[derive(Clone)]
pub(crate) struct Over(CancellationToken);

/// An answer that came over links, and the places of the questions that brought it: they are under way until this is dropped. Who keeps it for
/// long, because its reader is slow, lets go of it when [`Places::over`] says so.
pub struct Held<T> {
    value: T,
    places: Places,
}

/// The places of questions whose answers are not with their reader yet.
#[derive(Default)]
pub struct Places(Vec<Aboard>);

impl<T> Held<T> {
    pub(crate) fn new(value: T, places: impl IntoIterator<Item = Aboard>) -> Self {
        Self { value, places: Places::of(places) }
    }

    /// In places that are taken already.
    pub(crate) fn within(value: T, places: Places) -> Self {
        Self { value, places }
    }

    /// An answer made of this one, in the same places.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Held<U> {
        Held { value: make(self.value), places: self.places }
    }

    /// One in no place, since nothing of it came over a link.
    pub fn none(value: T) -> Self {
        Self { value, places: Places::default() }
    }

    /// The answer, and what to let go of it by.
    pub fn part(self) -> (T, Places) {
        (self.value, self.places)
    }
}

impl<T: fmt::Debug> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Deref for Held<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl Places {
    pub(crate) fn of(places: impl IntoIterator<Item = Aboard>) -> Self {
        Self(places.into_iter().collect())
    }

    /// Takes more.
    pub(crate) fn join(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Waits until the grant of one of them has ended.
    pub async fn over(&self) {
        if self.0.is_empty() {
            return pending().await;
        }
        drop(select_all(self.0.iter().map(|place| Box::pin(place.over.0.cancelled()))).await);
    }
}

impl Over {
    /// Waits until it has.
    pub(crate) async fn wait(&self) {
        self.0.cancelled().await;
    }

    /// Whether it has.
    pub(crate) fn is_so(&self) -> bool {
        self.0.is_cancelled()
    }

    /// `work`, unless the grant ends first.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.0.cancelled() => Err(Failure::ended()),
            done = work => done,
        }
    }
}
