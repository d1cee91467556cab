//! One asking instance with three links, each through a proxy, and what is done there again and again.

use domain::{
    answer::{HERE, Outcome, SourceOutcome, Step},
    id::{ItemId, Name, Resource},
    item::NewItem,
    scope::Spec,
};
use futures::{StreamExt, future::join_all};
use hub::{CircuitState, Deadlines, Hub, Question, Sources};
use link::dial::DialLimits;
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tests::{
    dice::Dice,
    instance::{name, task},
    modelled::{Asking, Sharing},
    proxy::{Event, Kind, Proxy, What},
};
use tokio::time::{Instant, sleep, timeout};

const LINKS: usize = 3;
const ROWS: usize = 30;
/// Short, so that many hang in little time; here nothing is said about who answers in time.
const DEADLINES: Deadlines = Deadlines { source: Duration::from_secs(1), overall: Duration::from_secs(3) };
const DIAL: DialLimits = DialLimits { connect: Duration::from_millis(600), established: Duration::from_millis(900) };
/// For linking, which is not what is tried here.
const PATIENT: Deadlines = Deadlines { source: Duration::from_mins(1), overall: Duration::from_mins(1) };
/// What a machine that others use may add to a deadline. Who waits for ever is found all the same.
const SLACK: Duration = Duration::from_secs(20);

/// Everything of one asking instance.
pub struct Stage {
    dice: Dice,
    home: Asking,
    hub: Arc<Hub>,
    links: Vec<Link>,
}

struct Link {
    name: Name,
    proxy: Proxy,
    _sharing: Sharing,
    ids: Vec<ItemId>,
}

/// What came of many cycles.
#[derive(Default)]
pub struct Done {
    cycles: usize,
    questions: usize,
    struck: BTreeMap<&'static str, usize>,
    outcomes: BTreeMap<Outcome, usize>,
    longest: Duration,
}

impl Done {
    pub fn and(mut self, other: Self) -> Self {
        self.cycles += other.cycles;
        self.questions += other.questions;
        self.longest = self.longest.max(other.longest);
        other.struck.into_iter().for_each(|(what, times)| *self.struck.entry(what).or_default() += times);
        other.outcomes.into_iter().for_each(|(outcome, times)| *self.outcomes.entry(outcome).or_default() += times);
        self
    }

    /// Whether most kinds of fault struck, and most cycles were harmed.
    pub fn has_harmed(&self) -> bool {
        self.struck.len() >= 6 && self.struck.values().sum::<usize>() > self.cycles / 2
    }

    fn ended<'a>(&mut self, sources: impl IntoIterator<Item = &'a SourceOutcome>) {
        for source in sources.into_iter().filter(|source| source.source != HERE) {
            *self.outcomes.entry(source.outcome).or_default() += 1;
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cycles, questions, struck, outcomes, longest } = self;
        write!(
            f,
            "{cycles} cycles, {questions} questions, the longest {longest:?}; struck {struck:?}; links ended {outcomes:?}"
        )
    }
}

impl Stage {
    pub async fn set(dice: Dice) -> Self {
        let home = Asking::start().await;
        home.put(vec![task("here")]).await;
        let (hub, patient) = (home.hub(DEADLINES, DIAL), home.hub(PATIENT, DialLimits::default()));
        let mut links = Vec::new();
        for at in 0..LINKS {
            let name = name(&format!("link-{at}"));
            let (sharing, proxy) = (Sharing::start(name.as_str()).await, Proxy::start().expect("a proxy"));
            let body = |at: usize| Some("x".repeat(if at.is_multiple_of(3) { 60_000 } else { 100 }));
            let rows = (0..ROWS).map(|at| NewItem { body: body(at), ..task(&format!("row {at}")) });
            let ids = sharing.put(sharing.owner, rows.collect()).await;
            let spec = Spec::sharing(self::name("main"), vec!["tasks".into()]);
            let rate = Some(domain::scope::Rate { per_minute: 100_000, burst: 100_000 });
            let (_, invite) = sharing.grant(Spec { rate, ..spec }, &proxy).await;
            patient.link(&home.anew(), &invite.encode(), Some(name.clone())).await.expect("a link");
            links.push(Link { name, proxy, _sharing: sharing, ids });
        }
        patient.stop().await;
        hub.keep_in_touch();
        Self { dice, home, hub, links }
    }

    pub async fn warm_up(&self) {
        let mut done = Done::default();
        for shape in 0..3 {
            self.ask(shape, 0, &mut done).await;
        }
    }

    pub async fn run(&self, cycles: usize) -> Done {
        let mut done = Done::default();
        for _ in 0..cycles {
            self.cycle(&mut done).await;
        }
        for link in &self.links {
            for event in link.proxy.log().events() {
                let what = match event.what {
                    What::Struck(fault) | What::Slowed(fault) => word(fault.kind()),
                    What::Cut(true) => "reset between",
                    What::Cut(false) => "cut between",
                    What::Silenced => "silenced between",
                    What::Opened(_) | What::NobodyThere | What::Closed => continue,
                };
                *done.struck.entry(what).or_default() += 1;
            }
        }
        done
    }

    /// Harms some links, asks a few questions at once, and heals them.
    async fn cycle(&self, done: &mut Done) {
        self.close_circuits().await;
        for link in &self.links {
            self.harm(link).await;
        }
        let questions = 1 + self.dice.below(3);
        let asked = (0..questions).map(|_| {
            let (shape, target) = (self.dice.below(3), self.dice.below(LINKS));
            async move {
                let mut part = Done::default();
                self.ask(shape, target, &mut part).await;
                part
            }
        });
        let parts = join_all(asked).await;
        *done = parts.into_iter().fold(std::mem::take(done), Done::and);
        done.cycles += 1;
        for link in &self.links {
            link.proxy.disarm();
            link.proxy.admit().expect("the port is ours");
        }
    }

    async fn harm(&self, link: &Link) {
        let draw =
            |kinds: &[Kind]| self.dice.one(kinds).draw(&self.dice, if self.dice.one_in(2) { 4_000 } else { 900_000 });
        match self.dice.below(12) {
            0 => link.proxy.refuse().await,
            1 => link.proxy.cut(self.dice.one_in(2)),
            2 => link.proxy.silence(),
            3 => {
                link.proxy.refuse().await;
                link.proxy.cut(false);
            }
            4 | 5 => {}
            6..=8 => link.proxy.arm((0..3).map(|_| Some(draw(&Kind::QUICK)))),
            _ => link.proxy.arm((0..3).map(|_| Some(draw(&Kind::HANGING)))),
        }
    }

    /// Who failed three times is not asked for a while; trying the link out ends that.
    async fn close_circuits(&self) {
        let links = self.hub.links(&self.home.anew()).await.expect("links");
        let open = links.iter().filter(|link| link.circuit.state != CircuitState::Closed);
        join_all(open.map(|link| async { drop(self.hub.ping(&self.home.anew(), &link.name).await.expect("a link")) }))
            .await;
    }

    async fn ask(&self, shape: usize, target: usize, done: &mut Done) {
        let began = Instant::now();
        let answer = timeout(DEADLINES.overall + SLACK, self.answer(shape, target, done));
        assert!(answer.await.is_ok(), "shape {shape} is not over, long after its deadline: {:?}", self.events());
        done.questions += 1;
        done.longest = done.longest.max(began.elapsed());
    }

    async fn answer(&self, shape: usize, target: usize, done: &mut Done) {
        let (asker, resource): (_, Resource) = (self.home.anew(), "tasks".parse().expect("a kind"));
        let from = Sources::All;
        let question = Question {
            from: from.clone(),
            resource: resource.clone(),
            limit: 50,
            include_body: true,
            cursor: None,
            strict: false,
            fresh: true,
        };
        match shape {
            0 => done.ended(&self.hub.page(&asker, question).await.expect("a page").sources),
            1 => {
                let steps: Vec<Step> = self.hub.stream(&asker, question).await.expect("a stream").collect().await;
                assert!(matches!(steps.last(), Some(Step::Verdict(_))), "a stream without its verdict");
                done.ended(steps.iter().filter_map(|step| if let Step::End(end) = step { Some(end) } else { None }));
            }
            _ => {
                let id = self.links[target].ids[target];
                let one = self.hub.get(&asker, &from, (resource, id), true).await.expect("an answer");
                done.ended(&one.sources);
            }
        }
    }

    /// The last that was done to each link.
    fn events(&self) -> Vec<(&Name, Vec<Event>)> {
        let last = |link: &Link| link.proxy.log().events().into_iter().rev().take(8).collect();
        self.links.iter().map(|link| (&link.name, last(link))).collect()
    }

    pub async fn settle(&self, patience: Duration) {
        for link in &self.links {
            link.proxy.disarm();
            link.proxy.admit().expect("the port is ours");
            link.proxy.cut(false);
        }
        // Lets go of connections for questions, and begins every session anew.
        let woken = self.home.world.now();
        let (end, mut next) = (Instant::now() + patience, Instant::now());
        loop {
            // A session that has failed once more pauses for longer than this is to take.
            if Instant::now() >= next {
                self.hub.woken();
                next += Duration::from_secs(15);
            }
            let links = self.hub.links(&self.home.anew()).await.expect("links");
            if links.iter().all(|link| link.session.as_ref().is_some_and(|session| session.since > woken)) {
                return;
            }
            assert!(Instant::now() < end, "control sessions do not come back: {links:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Delay => "delay",
        Kind::Drip => "drip",
        Kind::Standstill => "standstill",
        Kind::Cut => "cut",
        Kind::Reset => "reset",
        Kind::Deafen => "deafen",
        Kind::Silence => "silence",
    }
}
