//! What the demo types, in order, and what must come of it. The README shows the same block.

use super::{
    shell::{Files, Ran},
    stage::{Stage, free_ports},
};
use crate::exit::{Exit, Failure, Outcome};
use domain::world::World;
use std::{path::Path, time::Instant};

/// Plays the demo from the first `init` to the table without a trace of the office.
pub async fn play(stage: &mut Stage, data: Option<&Path>) -> Outcome<()> {
    let marker = marker();
    let notes = make_both(stage, data).await?;
    share_and_link(stage, &marker).await?;
    ask(stage, &marker, notes).await?;
    refuse(stage).await?;
    cut(stage, &marker).await
}

/// Words that no sample and no folder of anybody's holds.
fn marker() -> String {
    format!("marker-{:08x}", u32::from_be_bytes(World::system().bytes()))
}

/// Two instances with people, teams and rows. Gives how many notes the platform team has.
async fn make_both(stage: &mut Stage, data: Option<&Path>) -> Outcome<u64> {
    stage.say("Two instances: an office with two teams, and the home of one of its people.")?;
    let [a, b, c, d] = free_ports()?;
    init(stage, "office", "dana", a, b).await?;
    init(stage, "home", "alice", c, d).await?;
    stage.serve("office").await?;
    stage.serve("home").await?;
    stage.say("The office has users, teams, and rows of both.")?;
    for command in ["user add alice", "user add bob", "team add platform", "team add customers"] {
        typed(stage, "office", command).await?;
    }
    for command in ["team join platform alice", "team join customers bob"] {
        typed(stage, "office", command).await?;
    }
    let notes = fill_office(stage, data).await?;
    stage.say("Alice has rows of her own at home.")?;
    typed(stage, "home", "import demo/home/tasks.jsonl").await?;
    typed(stage, "home", "import demo/home/notes").await?;
    Ok(notes)
}

async fn init(stage: &mut Stage, name: &str, user: &str, links: u16, enrolment: u16) -> Outcome<()> {
    let (links, enrolment) = (format!("127.0.0.1:{links}"), format!("127.0.0.1:{enrolment}"));
    let words = ["-C", name, "init", name, "--user", user, "--advertise", "127.0.0.1"];
    let words = [&words[..], &["--listen", &links, "--listen-enrolment", &enrolment]].concat();
    stage.done(&words).await.map(drop)
}

async fn fill_office(stage: &mut Stage, data: Option<&Path>) -> Outcome<u64> {
    let own = data.map(|path| path.display().to_string());
    let folder = own.as_deref().unwrap_or("demo/office/handbook");
    if data.is_none() {
        typed(stage, "office", "--as alice import demo/office/platform.jsonl").await?;
        typed(stage, "office", "--as bob import demo/office/customers.jsonl").await?;
        typed(stage, "office", "--as alice import demo/office/alice.jsonl").await?;
        typed(stage, "office", "--as bob import demo/office/bob.jsonl").await?;
    }
    let ran = stage.done(&["-C", "office", "--as", "alice", "import", folder, "--team", "platform"]).await?;
    number_before(&ran.output, " added")
}

async fn share_and_link(stage: &mut Stage, marker: &str) -> Outcome<()> {
    stage.say("A task of the platform team, with words that nothing else holds.")?;
    let title = format!("{marker}: call the data centre about rack 7");
    stage.done(&["-C", "office", "--as", "alice", "add", "tasks", &title, "--team", "platform"]).await?;
    stage.say(
        "The office shares the platform team's rows, as Alice sees them there, with her home. Nobody's personal ones.",
    )?;
    let words =
        ["-C", "office", "invite", "alice-home", "--for", "alice", "--share", "tasks,notes", "--team", "platform"];
    stage.run(Exit::Done, &words, Files { from: None, to: Some("invite") }).await?;
    let words = ["-C", "home", "link", "-", "--yes", "--name", "work"];
    stage.run(Exit::Done, &words, Files { from: Some("invite"), to: None }).await.map(drop)
}

async fn ask(stage: &mut Stage, marker: &str, notes: u64) -> Outcome<()> {
    stage.say("One question at home, one answer from both. The office's rows are read there, as it is asked.")?;
    let list = typed(stage, "home", "list tasks --limit 12").await?;
    expect(&list, "a row of this instance", |text| has_source(text, "here"))?;
    expect(&list, "the marked task of the office", |text| text.contains(marker))?;
    let id = list.output.lines().find(|line| line.contains(marker)).and_then(|line| line.split_whitespace().nth(1));
    let id = id.ok_or_else(|| unmet(&list, "an id beside the marked task"))?.to_owned();
    let got = typed(stage, "home", &format!("get tasks {id}")).await?;
    expect(&got, "the marked task, whole", |text| text.contains(marker) && text.contains("team         platform"))?;
    let can = typed(stage, "office", "can alice-home list notes").await?;
    expect(&can, "as many notes as were imported", |text| text.contains(&format!("({notes} row")))?;
    let all = typed(stage, "home", "list notes --from work --limit 5").await?;
    expect(&all, "notes of the office only", |text| {
        notes == 0 || (has_source(text, "work") && !has_source(text, "here"))
    })
}

async fn refuse(stage: &mut Stage) -> Outcome<()> {
    stage.say("The office narrows the grant to tasks. The very next question is judged by that.")?;
    typed(stage, "office", "grant edit alice-home --share tasks").await?;
    let words = ["-C", "home", "list", "notes", "--from", "work", "--strict"];
    let list = stage.run(Exit::Incomplete, &words, Files::default()).await?;
    if !list.output.contains("work is denied") {
        return Err(unmet(&list, "that the source is denied"));
    }
    stage.say("The office's log: who asked, under which grant, for what, how many rows left, and what was refused.")?;
    let tail = typed(stage, "office", "audit tail -n 8").await?;
    expect(&tail, "the answered question", |text| text.lines().any(|line| line.contains(" answered ")))?;
    expect(&tail, "the refused one", |text| text.lines().any(|line| line.contains("OUT_OF_SCOPE")))
}

async fn cut(stage: &mut Stage, marker: &str) -> Outcome<()> {
    stage.say("The office ends the grant. At home the rows are gone, and there was never a copy.")?;
    let began = Instant::now();
    typed(stage, "office", "grant revoke alice-home").await?;
    let revoked = began.elapsed().as_secs_f64();
    let list = typed(stage, "home", "list tasks --limit 12").await?;
    let shown = began.elapsed().as_secs_f64();
    expect(&list, "this instance's own rows", |text| has_source(text, "here"))?;
    expect(&list, "nothing of the office", |text| !text.contains(marker) && !has_source(text, "work"))?;
    if !list.output.contains("work: revoked") {
        return Err(unmet(&list, "that the link is revoked"));
    }
    stage.say(&format!(
        "revoked {revoked:.3} s after the command was given; home's next table took until {shown:.3} s"
    ))?;
    stage.say("The log leaves the office with a signed head, and is checked without a daemon.")?;
    typed(stage, "office", "audit export --output office-log.jsonl").await?;
    typed(stage, "office", "audit verify office-log.jsonl").await.map(drop)
}

/// A command without words that a shell would have to quote.
async fn typed(stage: &mut Stage, instance: &str, command: &str) -> Outcome<Ran> {
    let words: Vec<_> = ["-C", instance].into_iter().chain(command.split(' ')).collect();
    stage.done(&words).await
}

fn has_source(text: &str, source: &str) -> bool {
    text.lines().any(|line| line.split_whitespace().next() == Some(source))
}

fn expect(ran: &Ran, what: &str, holds: impl FnOnce(&str) -> bool) -> Outcome<()> {
    if holds(&ran.output) { Ok(()) } else { Err(unmet(ran, what)) }
}

fn unmet(ran: &Ran, what: &str) -> Failure {
    Failure::new(Exit::Failed, format!("`{}` was to show {what}, and did not", ran.command))
        .next("this is a fault of mosaic-fed: please report it with what is printed above")
}

fn number_before(text: &str, word: &str) -> Outcome<u64> {
    let found = text.split(word).next().and_then(|before| before.split_whitespace().last());
    let number = found.and_then(|number| number.parse().ok());
    number.ok_or_else(|| Failure::new(Exit::Failed, format!("no number stands before `{}` in: {text}", word.trim())))
}
