//! Users, teams and workspaces.

use super::{agree::agreed, counted, ended, joined, next_as, next_for_managers, or_dash, segment, short};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
    table::Table,
};
use api::{client::Client, view};
use clap::Subcommand;
use domain::{
    id::{Name, TeamId},
    rights::{BadRole, Role},
};

/// The commands of `user`.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a user to the workspace
    Add {
        /// Their name
        name: Name,
        /// The operating system user that acts as them
        #[arg(long, value_parser = uid)]
        uid: Option<u32>,
        /// owner, admin, member or guest
        #[arg(long, default_value = "member")]
        role: Role,
    },
    /// Everybody in the workspaces you manage
    List,
    /// Give a user another role in the workspace, or `none` to take them out of it
    Role {
        /// Who
        name: Name,
        /// owner, admin, member, guest or none
        role: String,
        /// Do not ask before taking rights from yourself
        #[arg(short, long)]
        yes: bool,
    },
    /// Remove a user with their personal rows, links and grants
    Remove {
        /// Who
        name: Name,
        /// Do not ask before removing
        #[arg(short, long)]
        yes: bool,
    },
}

/// The number of an operating system user, as an argument.
fn uid(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "it is no number; a user of this system has one, which `id -u NAME` prints".to_owned())
}

/// `user`.
pub async fn user(command: UserCommand, client: &Client, out: &Out) -> Outcome {
    match command {
        UserCommand::Add { name, uid, role } => {
            let order = view::UserOrder { name, uid, role };
            let added: view::UserEntry = client.post("/v1/users", &order).await?;
            out.table(&vec![added.clone()], |users| users_table(users))?;
            if let Some(notice) = &added.notice {
                out.remark(&out.reach.rewrite(notice));
            }
            out.next(&format!("team join TEAM {}", added.name));
        }
        UserCommand::List => {
            let users: Vec<view::UserEntry> = client.get("/v1/users").await?;
            out.table(&users, |users| users_table(users))?;
            next_for_managers(client, out, "user add NAME", "team list").await;
        }
        UserCommand::Role { name, role, yes } => {
            let order = view::RoleOrder { role: role_or_none(&role)? };
            if !yes {
                given_up(&name, order.role, client, out).await?;
            }
            let changed: view::UserEntry = client.put(&format!("/v1/users/{name}/role"), &order).await?;
            out.table(&vec![changed], |users| users_table(users))?;
            if order.role.is_none() {
                out.remark(&format!(
                    "{name} is out of the workspace and of its teams; their rows stay, and grants on their behalf show none of it \
                     until they are back"
                ));
            }
            out.next("user list");
        }
        UserCommand::Remove { name, yes } => remove(&name, yes, client, out).await?,
    }
    Ok(Exit::Done)
}

async fn remove(name: &Name, yes: bool, client: &Client, out: &Out) -> Outcome<()> {
    let path = format!("/v1/users/{}", segment(name.as_str()));
    let theirs: view::Belongings = client.get(&format!("{path}/belongings")).await?;
    if !yes {
        removable(&theirs, out)?;
    }
    let removed: view::Removed = client.delete(&path).await?;
    out.value(&removed, |removed| {
        let first = format!("{} is removed, and with them {}", removed.name, gone(&theirs));
        let receipts = removed.receipts.iter().map(|(grant, receipt)| ended::receipt(receipt, grant.as_str(), 0));
        std::iter::once(first).chain(receipts).collect::<Vec<_>>().join("\n")
    })?;
    out.next("user list");
    Ok(())
}

/// Asks whoever takes rights from themselves: they cannot give them back.
async fn given_up(name: &Name, role: Option<Role>, client: &Client, out: &Out) -> Outcome<()> {
    let me: view::Person = client.get("/v1/me").await?;
    if me.user != *name || role >= Some(me.role) {
        return Ok(());
    }
    let what = match role {
        None => format!(
            "you, {name}, leave `{}` and its teams; only another owner or admin can let you in again",
            me.workspace
        ),
        Some(role) => {
            format!(
                "you, {name}, are {role} of `{}` then; only another owner or admin can change that back",
                me.workspace
            )
        }
    };
    let kept = format!("{name} is {} of `{}` as before", me.role, me.workspace);
    agreed(("this change", "Do it?"), &what, kept, out)
}

/// Asks the person; where nobody can be asked, nobody is removed.
fn removable(theirs: &view::Belongings, out: &Out) -> Outcome<()> {
    let what = format!("with {} go for ever: {}", theirs.name, gone(theirs));
    let kept = format!("{} is not removed, and nothing of theirs", theirs.name);
    agreed(("this removal", &format!("Remove {}?", theirs.name)), &what, kept, out)
}

/// "2 rows of their own, 1 link and the grants a, b".
fn gone(theirs: &view::Belongings) -> String {
    let grants = match &theirs.grants[..] {
        [] => "no grant".to_owned(),
        [one] => format!("the grant {one}"),
        many => format!("the grants {}", joined(many)),
    };
    format!("{} of their own, {} and {grants}", counted(theirs.rows, "row"), counted(theirs.links, "link"))
}

fn role_or_none(text: &str) -> Outcome<Option<Role>> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_: BadRole| {
        let cause = format!("there is no role `{}`", text.chars().take(40).collect::<String>());
        Failure::new(Exit::Usage, cause).next("choose owner, admin, member, guest or none")
    })
}

fn users_table(users: &[view::UserEntry]) -> Table {
    let mut table = Table::new(&["NAME", "UID", "ROLES", "TEAMS", "ID"], "no users");
    for user in users {
        let roles = joined(user.roles.iter().map(|(workspace, role)| format!("{role} of {workspace}")));
        let teams = joined(user.teams.values().flatten());
        table.row([user.name.to_string(), or_dash(user.uid.as_ref()), roles, teams, short(&user.id)]);
    }
    table
}

/// The commands of `team`.
#[derive(Subcommand)]
pub enum TeamCommand {
    /// Add a team to the workspace
    Add {
        /// Its name
        team: TeamId,
    },
    /// The teams of the workspace
    List,
    /// Put a user into a team
    Join {
        /// Which team
        team: TeamId,
        /// Who
        user: Name,
        /// owner, admin or member
        #[arg(long, default_value = "member")]
        role: Role,
    },
    /// Take a user out of a team
    Leave {
        /// Which team
        team: TeamId,
        /// Who
        user: Name,
    },
}

/// `team`.
pub async fn team(command: TeamCommand, client: &Client, out: &Out) -> Outcome {
    let (team, next) = match command {
        TeamCommand::List => {
            let teams: Vec<view::TeamEntry> = client.get("/v1/teams").await?;
            out.table(&teams, |teams| teams_table(teams))?;
            let step = if teams.is_empty() { "team add TEAM" } else { "team join TEAM USER" };
            next_for_managers(client, out, step, "list tasks").await;
            return Ok(Exit::Done);
        }
        TeamCommand::Add { team } => {
            let next = format!("team join {} USER", crate::config::shell_word(team.as_str()));
            (client.post("/v1/teams", &view::TeamOrder { team }).await?, next)
        }
        TeamCommand::Join { team, user, role } => {
            let order = view::MemberOrder { team, user, role: Some(role) };
            (client.put("/v1/teams/members", &order).await?, "team list".to_owned())
        }
        TeamCommand::Leave { team, user } => {
            let order = view::MemberOrder { team, user, role: None };
            (client.put("/v1/teams/members", &order).await?, "team list".to_owned())
        }
    };
    out.table(&vec![team], |teams| teams_table(teams))?;
    out.next(&next);
    Ok(Exit::Done)
}

fn teams_table(teams: &[view::TeamEntry]) -> Table {
    let mut table = Table::new(&["TEAM", "WORKSPACE", "MEMBERS"], "no teams");
    for team in teams {
        let members = joined(team.members.iter().map(|(name, role)| match role {
            Role::Member => name.to_string(),
            role => format!("{name} ({role})"),
        }));
        table.row([team.team.to_string(), team.workspace.to_string(), members]);
    }
    table
}

/// The commands of `workspace`.
#[derive(Subcommand)]
pub enum WorkspaceCommand {
    /// Add a workspace; you become its owner. For the operator: whoever runs the daemon, or root
    Add {
        /// Its name
        name: Name,
    },
    /// The workspaces you are in
    List,
}

/// `workspace`.
pub async fn workspace(command: WorkspaceCommand, client: &Client, out: &Out) -> Outcome {
    match command {
        WorkspaceCommand::Add { name } => {
            let order = view::WorkspaceOrder { name: name.clone() };
            let added: view::WorkspaceEntry = client.post("/v1/workspaces", &order).await?;
            print_workspaces(&[added], out)?;
            out.in_workspace(name).next("team add TEAM");
        }
        WorkspaceCommand::List => {
            print_workspaces(&client.get::<Vec<_>>("/v1/workspaces").await?, out)?;
            next_as(client, out, |me| {
                if me.operator && me.role.manages() { "workspace add NAME" } else { "list tasks" }.to_owned()
            })
            .await;
        }
    }
    Ok(Exit::Done)
}

fn print_workspaces(workspaces: &[view::WorkspaceEntry], out: &Out) -> Outcome<()> {
    out.table(&workspaces, |workspaces| {
        let mut table = Table::new(&["WORKSPACE", "MEMBERS", "YOU ARE", "ID"], "no workspaces");
        for entry in *workspaces {
            let role = or_dash(entry.role.as_ref());
            table.row([entry.name.to_string(), entry.members.to_string(), role, short(&entry.id)]);
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theirs(rows: u64, links: u64, grants: &[&str]) -> String {
        let grants = grants.iter().map(|name| name.parse().unwrap()).collect();
        gone(&view::Belongings { name: "anna".parse().unwrap(), rows, links, grants })
    }

    #[test]
    fn what_goes_with_a_user_is_counted_and_named() {
        assert_eq!(theirs(0, 0, &[]), "0 rows of their own, 0 links and no grant");
        assert_eq!(theirs(1, 1, &["home"]), "1 row of their own, 1 link and the grant home");
        assert_eq!(theirs(2, 3, &["home", "car"]), "2 rows of their own, 3 links and the grants home, car");
    }
}
