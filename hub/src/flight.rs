//! What is under way over one link, so that all of it can be ended at once: when the other side says that its grant has ended,
//! nothing more of it is shown, and that is said back only when it is so.

use crate::outcome::Failure;
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

/// A question's place; it is counted until this is dropped.
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

impl Over {
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
