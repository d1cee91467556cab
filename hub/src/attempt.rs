//! One try at a question over one connection, and a second one beside it where the first is long without an answer.
//!
//! A second one is for reading alone, and for whoever wants it (`hedge_after`): it goes over another connection of the same link, the first good
//! answer is taken, and the other try is given up, which the sharing side sees as a call that was broken off. It stays one question: one record, one
//! judgement of the circuit, one set of rows. At the other side they are two calls, each of which takes one of the grant's limit.

use crate::{
    call::Call,
    outcome::Failure,
    session::{Channel, Live},
};
use domain::{Reason, scope::spec::MAX_RATE};
use futures::future::{Either, select};
use proto::CALLS_LEFT;
use std::{pin::pin, time::Duration};
use tokio::time::sleep;
use tonic::{Request, Response, Status, metadata::MetadataMap};

/// What one try came to.
pub(crate) struct Tried<T> {
    pub(crate) answer: Result<T, Failure>,
    /// Calls that the grant has left, as this answer said.
    pub(crate) calls_left: Option<u32>,
    /// The connection, of a second one.
    pub(crate) live: Option<Live>,
}

impl<T> Tried<T> {
    /// Whether nothing that the other try brings would be better.
    fn is_good(&self) -> bool {
        match &self.answer {
            Ok(_) => true,
            Err(failure) => is_an_answer(failure),
        }
    }
}

/// Whether the other side has said what it says to this question, by whatever connection.
fn is_an_answer(failure: &Failure) -> bool {
    let of_the_question = [Reason::NotFound, Reason::Malformed, Reason::BadPageToken];
    failure.is_final() || failure.refusal.is_some_and(|reason| of_the_question.contains(&reason))
}

impl Call<'_> {
    /// One try over the question's connection, or over another one.
    pub(crate) async fn attempt<M, T, F>(
        &self,
        message: &M,
        ask: &impl Fn(Channel, Request<M>) -> F,
        (channel, other): (Channel, Option<Live>),
    ) -> Tried<T>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.takes_a_call();
        let answer = ask(channel, self.request(message.clone())).await;
        let calls_left = calls_left(answer.as_ref().map_or_else(Status::metadata, Response::metadata));
        let answer = answer.map(Response::into_inner);
        let answer = answer.map_err(|status| self.failure_over(&status, other.as_ref()));
        if answer.as_ref().is_err_and(|failure| !failure.took_a_call()) {
            self.took_no_call();
        }
        Tried { answer, calls_left, live: other }
    }

    /// The same, with a second try beside it once it is so long without an answer.
    pub(crate) async fn hedged<M, T, F>(
        &self,
        message: &M,
        ask: &impl Fn(Channel, Request<M>) -> F,
        (channel, after): (Channel, Duration),
    ) -> Tried<T>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut first = pin!(self.attempt(message, ask, (channel, None)));
        tokio::select! {
            biased;
            tried = &mut first => return tried,
            () = sleep(after) => {}
        }
        let second = pin!(async {
            let other = self.beside().await?;
            Some(self.attempt(message, ask, (other.channel.clone(), Some(other))).await)
        });
        let (tried, won) = match select(first, second).await {
            Either::Left((first, _)) if first.is_good() => (first, false),
            Either::Left((first, second)) => match second.await.filter(Tried::is_good) {
                Some(second) => (second, true),
                None => (first, false),
            },
            Either::Right((Some(second), _)) if second.is_good() => (second, true),
            Either::Right((_, first)) => (first.await, false),
        };
        if won {
            self.trail().second(true);
        }
        tried
    }
}

/// What the other side says that the grant has left. Nothing that no grant can have is believed.
fn calls_left(metadata: &MetadataMap) -> Option<u32> {
    let mut said = metadata.get_all(CALLS_LEFT).iter();
    let (only, None) = (said.next()?, said.next()) else { return None };
    let digits = only.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|left| *left <= MAX_RATE)
}
