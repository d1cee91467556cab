//! Users, teams and workspaces.

use super::{joined, next_for_managers, or_dash, segment, short};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
    table::Table,
};
use api::{client::Client, view};
use clap::Subcommand;
use domain::{
    id::{Name, TeamId},
    rights::Role,
};

/// The commands of `user`.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a user to the workspace
    Add {
        /// Their name
        name: Name,
        /// The operating system user that acts as them
        #[arg(long)]
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
    },
    /// Remove a user with their personal rows, links and grants
    Remove {
        /// Who
        name: Name,
    },
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
        UserCommand::Role { name, role } => {
            let order = view::RoleOrder { role: role_or_none(&role)? };
            let changed: view::UserEntry = client.put(&format!("/v1/users/{name}/role"), &order).await?;
            out.table(&vec![changed], |users| users_table(users))?;
            out.next("user list");
        }
        UserCommand::Remove { name } => {
            let removed: view::Removed = client.delete(&format!("/v1/users/{}", segment(name.as_str()))).await?;
            out.value(&removed, |removed| match removed.revoked_grants.len() {
                0 => format!("{} is removed", removed.name),
                _ => {
                    format!("{} is removed, and with them the grants {}", removed.name, joined(&removed.revoked_grants))
                }
            })?;
            out.next("user list");
        }
    }
    Ok(Exit::Done)
}

fn role_or_none(text: &str) -> Outcome<Option<Role>> {
    if text == "none" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error: domain::rights::BadRole| Failure::new(Exit::Usage, format!("{error}, or none")))
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
    /// Add a workspace; you become its owner
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
            next_for_managers(client, out, "workspace add NAME", "list tasks").await;
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
