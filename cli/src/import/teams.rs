//! Whether rows that are here stay with those who see them. An import says the team of its rows, and one that is repeated without
//! its --team would take every row out of it, or publish what is somebody's alone: that is refused before anything is written,
//! unless it is meant. Rows that say their team themselves are not concerned.

use super::{
    Common,
    progress::Progress,
    send::{Found, READ_AHEAD},
};
use crate::{
    config::shell_word,
    exit::{Exit, Failure, Outcome},
    rooms::{asking, counted},
};
use api::{client::Client, view};
use domain::id::TeamId;
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::mpsc, task::spawn_blocking};

/// Keys in one question: the daemon takes as many.
const AT_ONCE: usize = 500;

/// Rows by the team that they are in.
type ByTeam = BTreeMap<Option<TeamId>, u64>;

/// Refuses an import that would move rows from one team to another, or into or out of any.
pub async fn stay(found: &Found, client: &Client, common: &Arc<Common>) -> Outcome<()> {
    let question = view::SourceQuestion { source: common.source.clone() };
    let here = by_team(client.get(&asking("/v1/items/source", &question)?).await?);
    // Which rows the files hold is read only where there is a doubt.
    if here.keys().all(|team| *team == common.team) {
        return Ok(());
    }
    let moved = moved(found.clone(), client, common).await?;
    if moved.is_empty() { Ok(()) } else { Err(refusal(&moved, common.team.as_ref())) }
}

/// The rows here that these files would move.
async fn moved(found: Found, client: &Client, common: &Arc<Common>) -> Outcome<ByTeam> {
    let (rows, mut read) = mpsc::channel(READ_AHEAD);
    let shared = Arc::clone(common);
    let reader = spawn_blocking(move || found.read(&shared, Progress::none(), &rows));
    let (mut keys, mut moved) = (Vec::new(), ByTeam::new());
    while let Some((_, row)) = read.recv().await {
        let item = row.ok().map(|row| row.item).filter(|item| item.team == common.team);
        keys.extend(item.and_then(|item| item.source_key));
        if keys.len() == AT_ONCE {
            ask(&mut keys, client, common, &mut moved).await?;
        }
    }
    reader.await.map_err(Failure::of)?;
    ask(&mut keys, client, common, &mut moved).await?;
    Ok(moved)
}

async fn ask(keys: &mut Vec<String>, client: &Client, common: &Common, moved: &mut ByTeam) -> Outcome<()> {
    let keys = std::mem::take(keys);
    if keys.is_empty() {
        return Ok(());
    }
    let question = view::SourceKeys { source: common.source.clone(), keys };
    for (team, rows) in by_team(client.post("/v1/items/source", &question).await?) {
        if team != common.team {
            *moved.entry(team).or_default() += rows;
        }
    }
    Ok(())
}

fn by_team(entry: view::SourceEntry) -> ByTeam {
    let personal = Some((None, entry.personal)).filter(|(_, rows)| *rows > 0);
    personal.into_iter().chain(entry.teams.into_iter().map(|(team, rows)| (Some(team), rows))).collect()
}

fn refusal(moved: &ByTeam, team: Option<&TeamId>) -> Failure {
    let are = moved.iter().map(|(team, rows)| match (team, rows) {
        (Some(team), 1) => format!("1 row of these files is in the team {team}"),
        (Some(team), rows) => format!("{rows} rows of these files are in the team {team}"),
        (None, 1) => "1 row of these files is yours alone".to_owned(),
        (None, rows) => format!("{rows} rows of these files are yours alone"),
    });
    let become_ = team.map_or_else(
        || "without --team this import would take them out of it, and its members would no longer see them".to_owned(),
        |team| format!("this import would bring them into the team {team}, whose members would see them"),
    );
    let keep = match &moved.keys().collect::<Vec<_>>()[..] {
        [Some(former)] => format!("add --team {} to keep them there", shell_word(former.as_str())),
        [None] => "leave --team out to keep them yours".to_owned(),
        _ => "import the files of each team by themselves, with its --team".to_owned(),
    };
    let all = counted(moved.values().sum(), "row");
    let cause = format!("{}; {become_}: nothing was written", are.collect::<Vec<_>>().join(", "));
    Failure::new(Exit::Usage, cause).next(format!("{keep}; or add --move if the {all} are to move"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(moved: &[(Option<&str>, u64)], team: Option<&str>) -> (String, String) {
        let id = |team: &str| team.parse::<TeamId>().unwrap();
        let moved = moved.iter().map(|(team, rows)| (team.map(id), *rows)).collect();
        let Failure { cause, next, .. } = refusal(&moved, team.map(id).as_ref());
        (cause, next.unwrap())
    }

    #[test]
    fn a_refusal_says_how_many_rows_from_where_to_where_and_both_ways_out() {
        let (cause, next) = told(&[(Some("platform"), 3)], None);
        assert!(cause.starts_with("3 rows of these files are in the team platform; without --team"), "{cause}");
        assert_eq!(next, "add --team platform to keep them there; or add --move if the 3 rows are to move");
        let (cause, next) = told(&[(None, 1)], Some("core"));
        assert!(cause.starts_with("1 row of these files is yours alone; this import would bring"), "{cause}");
        assert!(next.starts_with("leave --team out to keep them yours; or add --move"), "{next}");
        assert!(told(&[(None, 1), (Some("a"), 2)], Some("b")).1.starts_with("import the files of each team"));
    }
}
