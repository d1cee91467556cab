//! One asking instance with one to six links, each through a proxy to a sharing instance of its own, with rows and scopes by chance.

use crate::judge::{Known, Wanted};
use domain::{
    Time,
    answer::HERE,
    grant::Grant,
    id::{ItemId, Name, UserId},
    item::NewItem,
    kind::Kinds,
    page::Position,
    rights::Role,
    scope::{
        Rate, Spec,
        spec::{FilterSpec, Tags},
    },
};
use hub::{Deadlines, Hub};
use link::dial::DialLimits;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tests::{
    dice::Dice,
    instance::{name, task},
    modelled::{Asking, Sharing},
    proxy::{Event, Proxy},
};

const TEAMS: [&str; 2] = ["core", "ops"];
const PROJECTS: [&str; 3] = ["hull", "deck", "sail"];
const TAGS: [&str; 4] = ["red", "blue", "big", "old"];
const FIELDS: [&str; 5] = ["title", "body", "project", "tags", "status"];
/// Far above what a machine that others use needs.
pub const AMPLE: Duration = Duration::from_mins(2);

/// The asking instance and its sources.
pub struct World {
    pub home: Asking,
    pub links: Vec<Link>,
    here: Vec<Known>,
}

/// One source over a link.
pub struct Link {
    pub name: Name,
    pub proxy: Proxy,
    pub sharing: Sharing,
    pub grant: Option<Grant>,
    /// Whether there is a link, with or without its grant.
    pub is_linked: bool,
    rows: Vec<Plain>,
    rule: Rule,
    /// How much of the proxy's log was read.
    read: usize,
}

/// A row as it was written.
struct Plain {
    known: Known,
    team: Option<&'static str>,
    is_owners: bool,
}

/// A scope in plain words, for a subject who owns the workspace.
#[derive(Clone, Debug)]
struct Rule {
    shares: bool,
    teams: Option<Vec<&'static str>>,
    personal: bool,
    projects: Option<Vec<&'static str>>,
    tags: Vec<Vec<&'static str>>,
    fields: Option<Vec<&'static str>>,
    cap: usize,
}

impl Rule {
    fn draw(dice: &Dice) -> Self {
        let teams = dice.one_in(2).then(|| dice.some(&TEAMS));
        Self {
            shares: !dice.one_in(10),
            // A filter that lets nothing through is refused.
            personal: !dice.one_in(3),
            teams,
            projects: dice.one_in(4).then(|| dice.some(&PROJECTS)),
            tags: if dice.one_in(4) { vec![dice.some(&TAGS)] } else { Vec::new() },
            fields: dice.one_in(3).then(|| dice.some(&FIELDS)),
            cap: if dice.one_in(3) { 1 + dice.below(12) } else { 10_000 },
        }
    }

    fn spec(&self) -> Spec {
        let texts = |list: &Vec<&str>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        if !self.shares {
            let shared = Spec::sharing(name("main"), vec!["notes".into()]);
            return Spec { rate: Some(ANY), excluded_resources: vec!["tasks".into()], ..shared };
        }
        let filter = FilterSpec {
            include_teams: self.teams.as_ref().map(texts),
            include_personal: Some(self.personal),
            include_projects: self.projects.as_ref().map(texts),
            include_tags: (!self.tags.is_empty()).then(|| Tags::Each(self.tags.iter().map(texts).collect())),
            since: None,
        };
        let mut spec = Spec::sharing(name("main"), vec!["tasks".into()]);
        spec.filters.insert("tasks".into(), filter);
        spec.fields.extend(self.fields.as_ref().map(|fields| ("tasks".to_owned(), texts(fields))));
        spec.max_rows_per_query = Some(u32::try_from(self.cap).expect("a small number"));
        Spec { rate: Some(ANY), ..spec }
    }

    /// The row as the scope shows it, if it does.
    fn shown(&self, row: &Plain) -> Option<Known> {
        // Of those of nobody's team an owner sees their own.
        let natively = row.team.is_some() || row.is_owners;
        let included = match row.team {
            None => self.personal,
            Some(team) => self.teams.as_ref().is_none_or(|teams| teams.contains(&team)),
        };
        let project = row.known.project.as_deref();
        let of_project = self.projects.as_ref().is_none_or(|of| project.is_some_and(|project| of.contains(&project)));
        let tagged = self.tags.iter().all(|any| any.iter().any(|tag| row.known.tags.contains(*tag)));
        (natively && included && of_project && tagged).then(|| self.cut_down(&row.known))
    }

    fn cut_down(&self, row: &Known) -> Known {
        let leaves = |field| self.fields.as_ref().is_none_or(|fields| fields.contains(&field));
        Known {
            position: row.position,
            title: row.title.clone().filter(|_| leaves("title")),
            body: row.body.clone().filter(|_| leaves("body")),
            project: row.project.clone().filter(|_| leaves("project")),
            tags: if leaves("tags") { row.tags.clone() } else { BTreeSet::new() },
        }
    }

    fn withheld(&self) -> Option<u32> {
        let kind = Kinds::builtin().get(&"tasks".parse().expect("a kind"))?.fields.len();
        // The one secret field, where nothing is named.
        let left = self.fields.as_ref().map_or(1, |fields| kind - fields.len());
        u32::try_from(left).ok().filter(|_| self.shares)
    }
}

const ANY: Rate = Rate { per_minute: 100_000, burst: 100_000 };

fn item(dice: &Dice, title: &str, is_here: bool) -> NewItem {
    let project = dice.one_in(2).then(|| dice.one(&PROJECTS).parse().expect("a project"));
    let tags = if dice.one_in(3) { Vec::new() } else { dice.some(&TAGS) };
    // Few instants, so that rows of several sources, and of one, share theirs; some long rows, so that an answer is several messages.
    let created_at = Time::from_seconds(1_790_000_000 + dice.below(60).cast_signed() as i64);
    let body = match dice.below(4) {
        0 => None,
        1 if !is_here => Some(title.chars().cycle().take(100_000).collect()),
        _ => Some(format!("the body of {title}")),
    };
    let team = None;
    let tags = tags.iter().map(|tag| tag.parse().expect("a tag")).collect();
    NewItem { team, project, tags, body, created_at: Some(created_at), ..task(title) }
}

fn known(item: &NewItem, id: ItemId) -> Known {
    Known {
        position: Position { created_at: item.created_at.expect("it was given"), id },
        title: Some(item.title.clone()),
        body: item.body.clone(),
        project: item.project.as_ref().map(ToString::to_string),
        tags: item.tags.iter().map(ToString::to_string).collect(),
    }
}

fn newest_first(mut rows: Vec<Known>) -> Vec<Known> {
    rows.sort_by_key(|row| std::cmp::Reverse(row.position));
    rows
}

impl Link {
    async fn set(dice: &Dice, at: usize) -> Self {
        let name = name(&format!("link-{at}"));
        let sharing = Sharing::start(name.as_str()).await;
        for team in TEAMS {
            sharing.team(team).await;
        }
        let other = sharing.user("other", Role::Admin).await;
        let rows = Self::write(dice, &sharing, &name, other).await;
        let proxy = Proxy::start().expect("a proxy");
        Self { name, proxy, sharing, grant: None, is_linked: false, rows, rule: Rule::draw(dice), read: 0 }
    }

    async fn write(dice: &Dice, sharing: &Sharing, source: &Name, other: UserId) -> Vec<Plain> {
        let (mut rows, count) = (Vec::new(), dice.below(41));
        for (user, is_owners) in [(sharing.owner, true), (other, false)] {
            let share = if is_owners { count } else { count / 3 };
            let mut items = Vec::new();
            for n in 0..share {
                let team = dice.one_in(2).then(|| dice.one(&TEAMS));
                let title = format!("{source} {is_owners} {n}");
                let item = item(dice, &title, false);
                items.push((team, NewItem { team: team.map(|team| team.parse().expect("a team")), ..item }));
            }
            let ids = sharing.put(user, items.iter().map(|(_, item)| item.clone()).collect()).await;
            let written = items.into_iter().zip(ids);
            rows.extend(written.map(|((team, item), id)| Plain { known: known(&item, id), team, is_owners }));
        }
        rows
    }

    fn wanted(&self) -> Wanted {
        let Rule { shares, cap, .. } = self.rule;
        let rows = if shares { self.rows.iter().filter_map(|row| self.rule.shown(row)).collect() } else { Vec::new() };
        let withheld = self.rule.withheld();
        Wanted { name: self.name.to_string(), rows: newest_first(rows), cap, shares, withheld }
    }

    /// Heals the proxy, and makes grant and link anew where one is gone.
    async fn restore(&mut self, home: &Asking, hub: &Arc<Hub>) {
        self.heal();
        if self.grant.is_some() && self.is_linked {
            return;
        }
        if self.is_linked {
            hub.unlink(&home.anew(), &self.name, true).await.expect("unlinked");
        }
        if let Some(grant) = self.grant.take() {
            self.sharing.revoke(grant.id).await;
        }
        let (grant, invite) = self.sharing.grant(self.rule.spec(), &self.proxy).await;
        hub.link(&home.anew(), &invite.encode(), Some(self.name.clone())).await.expect("a link");
        (self.grant, self.is_linked) = (Some(grant), true);
    }

    /// What stands in the proxy's log since this was asked last.
    pub fn news(&mut self) -> Vec<Event> {
        let events = self.unread();
        self.read += events.len();
        events
    }

    /// The same without reading it.
    pub fn unread(&self) -> Vec<Event> {
        self.proxy.log().events().split_off(self.read)
    }

    pub fn heal(&self) {
        self.proxy.disarm();
        self.proxy.admit().expect("the port is ours");
        self.proxy.cut(false);
    }
}

impl World {
    pub async fn set(dice: &Dice) -> Self {
        let (home, mut links) = (Asking::start().await, Vec::new());
        let items: Vec<_> = (0..dice.below(20)).map(|n| item(dice, &format!("here {n}"), true)).collect();
        let ids = home.put(items.clone()).await;
        let here = items.iter().zip(ids).map(|(item, id)| known(item, id)).collect();
        for at in 0..=dice.below(6) {
            links.push(Link::set(dice, at).await);
        }
        Self { home, links, here: newest_first(here) }
    }

    /// Every link as good as new.
    pub async fn heal(&mut self) {
        let hub = self.patient();
        for link in &mut self.links {
            link.restore(&self.home, &hub).await;
        }
        hub.stop().await;
    }

    fn patient(&self) -> Arc<Hub> {
        let deadlines = Deadlines { source: AMPLE, overall: AMPLE };
        self.home.hub(deadlines, DialLimits { connect: AMPLE, established: AMPLE })
    }

    /// The ids of all rows, whoever may see them.
    pub fn ids(&self) -> Vec<ItemId> {
        let there = self.links.iter().flat_map(|link| link.rows.iter().map(|row| &row.known));
        self.here.iter().chain(there).map(|row| row.position.id).collect()
    }

    /// Every link as good as new, and some with another scope.
    pub async fn restore(&mut self, dice: &Dice) {
        let hub = self.patient();
        for link in &mut self.links {
            let edited = dice.one_in(3);
            if edited {
                link.rule = Rule::draw(dice);
            }
            let before = link.grant.as_ref().filter(|_| link.is_linked).map(|grant| grant.id);
            link.restore(&self.home, &hub).await;
            if let Some(id) = before.filter(|_| edited) {
                link.sharing.edit(id, link.rule.spec()).await;
            }
        }
        hub.stop().await;
    }

    /// What each source has to give, this instance's own rows first.
    pub fn wanted(&self) -> Vec<Wanted> {
        let here = Wanted { name: HERE.to_owned(), rows: self.here.clone(), cap: 10_000, shares: true, withheld: None };
        std::iter::once(here).chain(self.links.iter().map(Link::wanted)).collect()
    }
}
