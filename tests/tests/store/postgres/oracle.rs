//! Row-level security and scopes against a plain filter written here, over random rows, people and scopes, on List and Get
//! (security section 5.1). Memberships change between cases: the next answer must know.

use crate::bench::{Bench, name, sharing, task, tasks};
use domain::{
    Time,
    audit::Act,
    grant::{Grant, State},
    id::{InstanceId, ItemId, UserId},
    item::NewItem,
    operation::{Get, List, Progress},
    rights::Role,
    scope::spec::{FilterSpec, Tags},
    world::{Rng, SeededRng, World},
};
use std::{collections::BTreeSet, time::Duration};
use store::{Access, After, Put};

const CASES: usize = 1_200;
const ROWS: usize = 260;
const TEAMS: [&str; 3] = ["core", "ops", "sales"];
const PROJECTS: [&str; 3] = ["hull", "deck", "sail"];
const TAGS: [&str; 4] = ["red", "blue", "big", "old"];
const PEOPLE: [(&str, Role); 4] =
    [("alice", Role::Member), ("bob", Role::Member), ("carol", Role::Admin), ("gast", Role::Guest)];

/// A row, as the oracle knows it.
struct Plain {
    id: ItemId,
    owner: usize,
    team: Option<&'static str>,
    project: Option<&'static str>,
    tags: Vec<&'static str>,
    updated: Time,
}

/// A question, as the oracle knows it.
#[derive(Debug)]
struct Question {
    subject: usize,
    teams: Option<Vec<&'static str>>,
    personal: bool,
    projects: Option<Vec<&'static str>>,
    tags: Vec<Vec<&'static str>>,
    since: Option<Time>,
    cap: u32,
}

/// The rule in plain words, without a type of ours.
fn shown(row: &Plain, ask: &Question, members: &BTreeSet<(usize, &str)>) -> bool {
    let natively = match (row.team, PEOPLE[ask.subject].1) {
        (None, Role::Guest) => false,
        (None, _) => row.owner == ask.subject,
        (Some(_), Role::Admin | Role::Owner) => true,
        (Some(team), _) => members.contains(&(ask.subject, team)),
    };
    let included = match row.team {
        None => ask.personal,
        Some(team) => ask.teams.as_ref().is_none_or(|teams| teams.contains(&team)),
    };
    let project = match (&ask.projects, row.project) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(projects), Some(project)) => projects.contains(&project),
    };
    let tagged = ask.tags.iter().all(|any| any.iter().any(|tag| row.tags.contains(tag)));
    natively && included && project && tagged && ask.since.is_none_or(|since| row.updated >= since)
}

struct Dice(SeededRng);

impl Dice {
    fn below(&self, limit: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_be_bytes(bytes) as usize % limit
    }

    fn one<T: Copy>(&self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Each with one chance in two, at least one.
    fn some<T: Copy + PartialEq>(&self, of: &[T]) -> Vec<T> {
        let mut some: Vec<T> = of.iter().copied().filter(|_| self.below(2) == 0).collect();
        if some.is_empty() {
            some.push(self.one(of));
        }
        some
    }
}

/// Prints the seed first; `MOSAIC_TEST_SEED` repeats a run.
fn dice() -> Dice {
    let given = std::env::var("MOSAIC_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from_be_bytes(World::system().bytes()));
    println!("rls_oracle: MOSAIC_TEST_SEED={seed}");
    Dice(SeededRng::new(seed))
}

#[tokio::test]
async fn rls_oracle() {
    let (bench, dice) = (Bench::on_postgres().await, dice());
    let mut people = Vec::new();
    for (person, role) in PEOPLE {
        people.push(bench.user(person, role).await);
    }
    let mut members = BTreeSet::from([(0, "core"), (0, "ops"), (1, "ops"), (3, "core"), (1, "sales")]);
    for team in TEAMS {
        let in_it: Vec<_> = members.iter().filter(|(_, of)| *of == team).map(|(who, _)| PEOPLE[*who].0).collect();
        bench.team(team, &in_it).await;
    }
    let rows = write(&bench, &dice, &people).await;
    let (mut shown_rows, mut hidden_rows) = (0, 0);
    for case in 0..CASES {
        if case % 40 == 39 {
            move_somebody(&bench, &dice, &mut members).await;
        }
        let ask = question(&bench, &dice);
        let grant = held(&bench, people[ask.subject], &ask);
        let mut wanted: Vec<_> = rows.iter().filter(|row| shown(row, &ask, &members)).map(|row| row.id).collect();
        // Rows were written oldest first.
        wanted.reverse();
        let listed = listed(&bench, &grant).await;
        let cap = wanted.len().min(ask.cap as usize);
        assert_eq!(listed, wanted[..cap], "case {case}: {ask:?} with {members:?}");
        for _ in 0..4 {
            let row = &rows[dice.below(rows.len())];
            let permit = bench.permit(&grant, Get { resource: tasks(), id: row.id });
            let got = bench.store.get(Access::Granted(&permit)).await.unwrap().is_some();
            assert_eq!(got, shown(row, &ask, &members), "case {case}: get {:?} under {ask:?}", row.id);
            shown_rows += usize::from(got);
            hidden_rows += usize::from(!got);
        }
    }
    println!("rls_oracle: {CASES} cases agree; of single rows {shown_rows} were shown and {hidden_rows} hidden");
    assert!(shown_rows > CASES / 10 && hidden_rows > CASES / 10, "the cases were too much alike to prove anything");
}

async fn write(bench: &Bench, dice: &Dice, people: &[UserId]) -> Vec<Plain> {
    let mut rows = Vec::new();
    for n in 0..ROWS {
        bench.clock.advance(Duration::from_mins(1));
        // The guest writes nothing; the admin writes anywhere.
        let owner = dice.below(3);
        let teams: &[&str] = [&["core", "ops"][..], &["ops", "sales"], &TEAMS][owner];
        let team = (dice.below(5) > 1).then(|| dice.one(teams));
        let project = (dice.below(3) > 0).then(|| dice.one(&PROJECTS));
        let tags = if dice.below(3) == 0 { Vec::new() } else { dice.some(&TAGS) };
        let item = NewItem {
            team: team.map(|team| team.parse().unwrap()),
            project: project.map(|project| project.parse().unwrap()),
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            ..task(&format!("row {n}"))
        };
        let put = bench.store.put(bench.workspace, people[owner], vec![item], After::Keep).await.unwrap().remove(0);
        let Put::Added(Some(id)) = put else { panic!("{put:?}") };
        rows.push(Plain { id, owner, team, project, tags, updated: bench.now() });
    }
    rows
}

async fn move_somebody(bench: &Bench, dice: &Dice, members: &mut BTreeSet<(usize, &'static str)>) {
    let (who, team) = (dice.below(PEOPLE.len()), dice.one(&TEAMS));
    let leaves = members.remove(&(who, team));
    if !leaves {
        members.insert((who, team));
    }
    let (id, role) = (team.parse().unwrap(), (!leaves).then_some(Role::Member));
    let (person, record) = (name(PEOPLE[who].0), bench.act(Act::TeamEdit));
    bench.store.set_member(&name("main"), &id, &person, role, record).await.unwrap();
}

fn question(bench: &Bench, dice: &Dice) -> Question {
    let personal = dice.below(2) == 0;
    let back = Duration::from_secs(60 * dice.below(ROWS) as u64);
    Question {
        subject: dice.below(PEOPLE.len()),
        teams: (dice.below(2) == 0).then(|| dice.some(&TEAMS)),
        personal,
        projects: (dice.below(3) == 0).then(|| dice.some(&PROJECTS)),
        tags: (0..dice.below(3)).map(|_| dice.some(&TAGS)).collect(),
        since: (dice.below(3) == 0).then(|| bench.now().before(back)),
        cap: if dice.below(4) == 0 { 1 + u32::try_from(dice.below(20)).unwrap() } else { 10_000 },
    }
}

/// A grant in use that says what the question says; nothing is stored, since reading asks no grant table.
fn held(bench: &Bench, subject: UserId, ask: &Question) -> Grant {
    let texts = |list: &Vec<&str>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut spec = sharing(FilterSpec {
        include_teams: ask.teams.as_ref().map(texts),
        include_personal: Some(ask.personal),
        include_projects: ask.projects.as_ref().map(texts),
        include_tags: (!ask.tags.is_empty()).then(|| Tags::Each(ask.tags.iter().map(texts).collect())),
        since: ask.since,
    });
    spec.max_rows_per_query = Some(ask.cap);
    let draft = bench.draft("oracle", subject, &spec);
    let peer = Some(InstanceId(bench.world.uuid()));
    Grant { state: State::Active, peer, leaf: Some(bench.leaf()), ..draft }
}

/// Every chunk of the answer.
async fn listed(bench: &Bench, grant: &Grant) -> Vec<ItemId> {
    let (mut ids, mut progress) = (Vec::new(), None);
    loop {
        let permit = bench.permit(grant, List { progress, ..List::first(tasks()) });
        let chunk = bench.store.list(Access::Granted(&permit)).await.unwrap();
        ids.extend(chunk.items.iter().map(|item| item.id));
        let Some(last) = chunk.items.last().filter(|_| chunk.more) else { return ids };
        progress = Some(Progress { after: last.position(), rows: u32::try_from(ids.len()).unwrap() });
        if permit.rows_left() == u32::try_from(chunk.items.len()).unwrap() {
            return ids;
        }
    }
}
