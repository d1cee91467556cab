//! One question by chance, the harm that is done meanwhile, and what the oracle says of the answer.

use crate::{
    judge::{self, Circumstances, Complaint, Judged, Paging, Wanted},
    tally::Tally,
    world::{AMPLE, World},
};
use domain::{
    answer::{HERE, Page, Step},
    id::ItemId,
};
use futures::StreamExt;
use hub::{Asker, Deadlines, Hub, Question, Sources};
use link::dial::DialLimits;
use std::{collections::BTreeSet, sync::Arc};
use tests::{
    dice::Dice,
    proxy::{Fault, Kind},
};
use uuid::Uuid;

/// Pages of one answer, at most: each shows a row, or is the last.
const PAGES: usize = 400;

/// A question, and what is done to its sources.
#[derive(Debug)]
pub struct Case {
    pub shape: Shape,
    body: bool,
    /// Sources by name; none means all.
    from: Option<BTreeSet<String>>,
    /// Whether something may hang, so that the deadlines are the product's own.
    pub may_hang: bool,
    /// Links that are tried out before, which opens a connection and tells what is withheld.
    pinged: Vec<usize>,
    before: Vec<(usize, Act)>,
    /// After so many pages.
    between: Vec<(usize, usize, Act)>,
}

#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Page(usize),
    Stream(usize),
    /// The row with this number among all that lie anywhere, or one that is nowhere.
    Get(usize),
}

/// What is done to one link.
#[derive(Clone, Debug)]
pub enum Act {
    Faults(Vec<Option<Fault>>),
    /// The connection that is there is closed, or reset.
    Cut(bool),
    Silence,
    Refuse,
    Heal,
    Revoke,
    Remove,
}

impl Case {
    pub fn draw(dice: &Dice, world: &World) -> Self {
        let (links, may_hang) = (world.links.len(), dice.one_in(12));
        let shape = match dice.below(10) {
            0..6 => Shape::Page(1 + dice.below(if dice.one_in(3) { 6 } else { 40 })),
            6..9 => Shape::Stream(1 + dice.below(40)),
            _ => Shape::Get(dice.below(200)),
        };
        let names: Vec<_> = std::iter::once(HERE).chain(world.links.iter().map(|link| link.name.as_str())).collect();
        let from = dice.one_in(3).then(|| dice.some(&names).into_iter().map(ToOwned::to_owned).collect());
        let act = |between| Act::draw(dice, may_hang, between);
        let before = (0..links).filter(|_| dice.one_in(2)).map(|at| (at, act(false))).collect();
        let times = if dice.one_in(2) { dice.below(4) } else { 0 };
        let between = (0..times).map(|_| (1 + dice.below(4), dice.below(links), act(true))).collect();
        let pinged = (0..links).filter(|_| dice.one_in(4)).collect();
        Self { shape, body: !dice.one_in(3), from, may_hang, pinged, before, between }
    }

    /// Everything that is done.
    pub fn acts(&self) -> impl Iterator<Item = &Act> {
        self.before.iter().map(|(_, act)| act).chain(self.between.iter().map(|(.., act)| act))
    }

    /// Asks, with deadlines so many times as long as usual, and judges.
    pub async fn run(&self, world: &mut World, times: u32, tally: &mut Tally) -> Judged {
        let hub = self.hub(world, times);
        for at in &self.pinged {
            let link = &world.links[*at];
            hub.ping(&world.home.anew(), &link.name).await.expect("a link");
        }
        let mut asked = Asked { case: self, world, hub: Arc::clone(&hub), circumstances: Circumstances::default() };
        for (at, act) in &self.before {
            asked.act(*at, act).await;
        }
        let wanted = asked.wanted();
        let judged = match self.shape {
            Shape::Page(limit) => asked.pages(&wanted, limit, tally).await,
            Shape::Stream(limit) => asked.stream(&wanted, limit, tally).await,
            Shape::Get(at) => asked.get(&wanted, at, tally).await,
        };
        for link in &mut world.links {
            tally.struck(&link.news());
            link.heal();
        }
        hub.stop().await;
        judged
    }

    /// Where nothing hangs the deadlines are such that nobody reaches one: whoever is late there is wrong.
    fn hub(&self, world: &World, times: u32) -> Arc<Hub> {
        let (deadlines, dial) = (Deadlines::default(), DialLimits::default());
        if self.may_hang {
            let deadlines = Deadlines { source: deadlines.source * times, overall: deadlines.overall * times };
            let dial = DialLimits { connect: dial.connect * times, established: dial.established * times };
            return world.home.hub(deadlines, dial);
        }
        world.home.hub(Deadlines { source: AMPLE, overall: AMPLE }, DialLimits { connect: AMPLE, established: AMPLE })
    }
}

impl Act {
    fn draw(dice: &Dice, may_hang: bool, between: bool) -> Self {
        let kind = || {
            let hangs = may_hang && !dice.one_in(3);
            if hangs { dice.one(&Kind::HANGING) } else { dice.one(&Kind::QUICK) }
        };
        let fault = || kind().draw(dice, if dice.one_in(2) { 4_500 } else { 350_000 });
        match dice.below(12) {
            0 if between => Self::Remove,
            0 | 1 => Self::Refuse,
            2 => Self::Revoke,
            3 | 4 if between => Self::Cut(dice.one_in(2)),
            5 if between => Self::Heal,
            6 if may_hang => Self::Silence,
            _ => Self::Faults((0..=dice.below(3)).map(|_| (!dice.one_in(4)).then(fault)).collect()),
        }
    }
}

/// A question under way.
struct Asked<'a> {
    case: &'a Case,
    world: &'a mut World,
    hub: Arc<Hub>,
    circumstances: Circumstances,
}

impl Asked<'_> {
    async fn act(&mut self, at: usize, act: &Act) {
        let link = &mut self.world.links[at];
        match act {
            Act::Faults(faults) => link.proxy.arm(faults.iter().copied()),
            Act::Cut(reset) => link.proxy.cut(*reset),
            Act::Silence => link.proxy.silence(),
            Act::Refuse => {
                link.proxy.refuse().await;
                link.proxy.cut(false);
            }
            Act::Heal => link.heal(),
            Act::Revoke => {
                if let Some(grant) = link.grant.take() {
                    link.sharing.revoke(grant.id).await;
                    self.circumstances.revoked.insert(link.name.to_string());
                }
            }
            Act::Remove if link.is_linked => {
                self.hub.unlink(&self.world.home.anew(), &link.name, true).await.expect("unlinked");
                (link.grant, link.is_linked) = (None, false);
                self.circumstances.removed.insert(link.name.to_string());
            }
            Act::Remove => {}
        }
    }

    /// What the sources have that are asked.
    fn wanted(&self) -> Vec<Wanted> {
        let is_asked = |one: &Wanted| self.case.from.as_ref().is_none_or(|from| from.contains(&one.name));
        self.world.wanted().into_iter().filter(is_asked).collect()
    }

    fn from(&self) -> Sources {
        self.case.from.as_ref().map_or(Sources::All, |names| Sources::Some(names.iter().cloned().collect()))
    }

    fn question(&self, limit: usize, cursor: Option<String>) -> (Asker, Question) {
        let resource = "tasks".parse().expect("a kind");
        let limit = u32::try_from(limit).expect("a small number");
        let (from, include_body) = (self.from(), self.case.body);
        let question = Question { from, resource, limit, include_body, cursor, strict: false, fresh: false };
        (self.world.home.anew(), question)
    }

    fn marks(&self) -> Vec<u64> {
        self.world.links.iter().map(|link| link.proxy.log().mark()).collect()
    }

    /// Who was harmed since, by the proxies' logs and nothing else.
    fn since(&self, marks: &[u64]) -> Circumstances {
        let harmed =
            self.world.links.iter().zip(marks).filter(|(link, mark)| link.proxy.log().has_harmed_since(**mark));
        let harmed = harmed.map(|(link, _)| link.name.to_string()).collect();
        Circumstances { harmed, ..self.circumstances.clone() }
    }

    async fn pages(&mut self, wanted: &[Wanted], limit: usize, tally: &mut Tally) -> Judged {
        let mut paging = Paging::of(wanted, limit, self.case.body);
        let mut cursor = None;
        for number in 0..PAGES {
            for (_, at, act) in self.case.between.iter().filter(|(after, ..)| *after == number && number > 0) {
                self.act(*at, act).await;
            }
            let marks = self.marks();
            let (asker, question) = self.question(limit, cursor.take());
            let page = match self.hub.page(&asker, question).await {
                Ok(page) => page.part().0,
                Err(error) => return self.complain(format!("page {number}: {error}")),
            };
            let circumstances = self.since(&marks);
            tally.page(&page);
            let judged = paging.page(&page, &circumstances);
            judged.map_err(|complaint| self.told(complaint, number, &page, &circumstances))?;
            cursor = page.next;
            if cursor.is_none() {
                return paging.end_of_all();
            }
        }
        self.complain(format!("no end after {PAGES} pages"))
    }

    async fn stream(&mut self, wanted: &[Wanted], limit: usize, tally: &mut Tally) -> Judged {
        let marks = self.marks();
        let (asker, question) = self.question(limit, None);
        let steps: Vec<Step> = match self.hub.stream(&asker, question).await {
            Ok(steps) => steps.collect().await,
            Err(error) => return self.complain(error.to_string()),
        };
        tally.steps(&steps);
        judge::stream(wanted, (limit, self.case.body), &steps, &self.since(&marks))
    }

    async fn get(&mut self, wanted: &[Wanted], at: usize, tally: &mut Tally) -> Judged {
        let ids: Vec<ItemId> = self.world.ids();
        let id = ids.get(at % (ids.len() + 1)).copied().unwrap_or(ItemId(Uuid::from_u128(7)));
        let marks = self.marks();
        let (asker, question) = self.question(1, None);
        let one = match self.hub.get(&asker, &question.from, (question.resource, id), false).await {
            Ok(one) => one.part().0,
            Err(error) => return self.complain(error.to_string()),
        };
        tally.one(&one);
        judge::one(wanted, id, &one, &self.since(&marks))
    }

    #[expect(clippy::unused_self, reason = "reads as what is done")]
    fn complain(&self, text: String) -> Judged {
        Err(Complaint { text, is_late: false })
    }

    fn told(&self, complaint: Complaint, number: usize, page: &Page, circumstances: &Circumstances) -> Complaint {
        let Complaint { text, is_late } = complaint;
        let logs: Vec<_> = self.world.links.iter().map(|link| (&link.name, link.unread())).collect();
        let ends = &page.sources;
        Complaint { text: format!("page {number}: {text}\n{circumstances:?}\n{ends:?}\n{logs:?}"), is_late }
    }
}
