//! How long a session lives: by silence, by a flood of words, and until the next one, in a time that the test makes.

use super::*;
use domain::{
    grant::State,
    id::{InstanceId, UserId, WorkspaceId},
    kind::Kinds,
    scope::{Context, Spec},
    world::FakeClock,
};
use futures::stream;
use tokio::time::advance;
use uuid::Uuid;

const NOW: Time = Time::from_seconds(1_795_253_400);
const MOMENT: Duration = Duration::from_millis(1);

pub(crate) fn grant() -> Grant {
    let spec = Spec::sharing("main".parse().unwrap(), vec!["tasks".into()]);
    let context = Context { kinds: Kinds::builtin(), now: NOW, personal: true, sensitive: false };
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
        leaf: None,
        successor: None,
        former: None,
    }
}

fn controls() -> Controls {
    Controls::new(Arc::new(FakeClock::new(NOW)))
}

fn heartbeat() -> v1::SessionRequest {
    v1::SessionRequest { said: Some(Said::Heartbeat(v1::Heartbeat::default())) }
}

/// A session whose words the test says; it is listened to until it is over.
struct Heard {
    controls: Controls,
    words: mpsc::UnboundedSender<v1::SessionRequest>,
    news: BoxStream<'static, Result<v1::SessionResponse, Status>>,
}

impl Heard {
    fn begin() -> Self {
        let controls = controls();
        let Begun { news, seat, .. } = controls.begin_over(&grant(), 1).unwrap();
        let (words, said) = mpsc::unbounded_channel();
        let inbound = stream::unfold(said, async |mut said| said.recv().await.map(|word| (Ok(word), said))).boxed();
        tokio::spawn(seat.listen(inbound));
        Self { controls, words, news }
    }

    /// After whoever listens has done what there is to do.
    async fn is_live(&self) -> bool {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        self.controls.view(grant().id).is_some()
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_in_which_nothing_is_said_is_over_after_the_silence_and_no_sooner() {
    let session = Heard::begin();
    for _ in 0..3 {
        assert!(session.is_live().await);
        advance(SILENCE.saturating_sub(MOMENT)).await;
        assert!(session.is_live().await, "it is over too soon");
        session.words.send(heartbeat()).unwrap();
    }
    assert!(session.is_live().await);
    advance(SILENCE.saturating_sub(MOMENT)).await;
    assert!(session.is_live().await, "it is over too soon");
    advance(2 * MOMENT).await;
    assert!(!session.is_live().await, "it goes on in silence");
    assert_eq!(session.controls.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_words_ends_its_session_and_as_many_as_may_be_do_not() {
    let session = Heard::begin();
    for _ in 0..3 {
        for _ in 0..WORDS {
            session.words.send(heartbeat()).unwrap();
        }
        assert!(session.is_live().await, "so many may be");
        advance(HEARTBEAT).await;
    }
    for _ in 0..=WORDS {
        session.words.send(heartbeat()).unwrap();
    }
    assert!(!session.is_live().await, "it goes on in a flood");
}

#[tokio::test(start_paused = true)]
async fn the_next_session_of_a_grant_comes_a_second_later_and_no_sooner() {
    let (controls, grant) = (controls(), grant());
    let first = controls.begin_over(&grant, 1).unwrap();
    advance(AGAIN.saturating_sub(MOMENT)).await;
    let refusal = controls.begin_over(&grant, 1).err().expect("it is too soon");
    assert_eq!(refusal.reason(), Reason::GrantRate);
    advance(MOMENT).await;
    let second = controls.begin_over(&grant, 1).unwrap();
    assert!(first.seat.session.over.is_cancelled() && !second.seat.session.over.is_cancelled());
}

fn says(said: Said) -> v1::SessionRequest {
    v1::SessionRequest { said: Some(said) }
}

fn tries() -> v1::SessionRequest {
    says(Said::Heartbeat(v1::Heartbeat { tries_addresses: true, ..v1::Heartbeat::default() }))
}

fn reached(number: u32, reached: &[bool]) -> v1::SessionRequest {
    says(Said::Reached(v1::Reached { number, reached: reached.to_vec() }))
}

impl Heard {
    /// Asks, and gives the number of the request that was said.
    async fn asks(&mut self, addresses: &[&str]) -> (u32, tokio::sync::oneshot::Receiver<Vec<bool>>) {
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let answer = self.controls.try_addresses(grant().id, &addresses).expect("it is asked");
        loop {
            let word = self.news.next().await.unwrap().unwrap().said.unwrap();
            if let session_response::Said::Reach(reach) = word {
                assert_eq!(reach.addresses, addresses);
                return (reach.number, answer);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_that_it_tries_addresses_is_asked_once_at_a_time_and_answers_by_number() {
    let mut session = Heard::begin();
    let ask = |session: &Heard| session.controls.try_addresses(grant().id, &["a.example:1".to_owned()]);
    session.words.send(heartbeat()).unwrap();
    assert!(session.is_live().await);
    assert!(ask(&session).is_none() && session.controls.who_tries().is_empty(), "it does not say so");
    session.words.send(tries()).unwrap();
    assert!(session.is_live().await);
    assert_eq!(session.controls.who_tries(), [grant().id]);
    let (first, answer) = session.asks(&["a.example:1", "b.example:2"]).await;
    assert!(ask(&session).is_none(), "one waits for its answer");
    session.words.send(reached(first, &[true, false])).unwrap();
    assert_eq!(answer.await.unwrap(), [true, false]);
    // Who waited has gone; the answer comes late, and is nobody's.
    let (second, given_up) = session.asks(&["a.example:1"]).await;
    drop(given_up);
    let (third, answer) = session.asks(&["b.example:1"]).await;
    session.words.send(reached(second, &[true])).unwrap();
    session.words.send(reached(third, &[false])).unwrap();
    assert_eq!(answer.await.unwrap(), [false]);
    assert!((first < second && second < third) && session.is_live().await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_ends_its_session() {
    for (asked, answer) in [
        (false, reached(0, &[])),
        (false, reached(1, &[true])),
        (true, reached(2, &[true])),
        (true, reached(1, &[true; 2])),
    ] {
        let mut session = Heard::begin();
        session.words.send(tries()).unwrap();
        assert!(session.is_live().await);
        let open = if asked { Some(session.asks(&["a.example:1"]).await) } else { None };
        session.words.send(answer.clone()).unwrap();
        assert!(!session.is_live().await, "{answer:?} is believed");
        assert!(open.is_none_or(|(_, mut open)| open.try_recv().is_err()));
    }
}
