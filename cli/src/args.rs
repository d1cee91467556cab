//! The commands people type. Each room's file has the arguments of its own commands.

use crate::{
    daemon, demo,
    exit::{self, Exit, Failure, Outcome},
    export, import,
    out::Out,
    place::Place,
    reach::Reach,
    rooms::{audit, can, grants, keys, links, people, policy, rows, status, tokens, unlink},
};
use api::client::Client;
use clap::{Args, CommandFactory, Parser, Subcommand};
use domain::id::Name;
use std::{path::PathBuf, process};

/// Links independent instances of a work and personal platform: each asks the other live, under a grant its owner wrote.
#[derive(Parser)]
#[command(name = "mosaic-fed", bin_name = "mosaic-fed", version, propagate_version = true, max_term_width = 100, after_long_help = exit::legend())]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Args)]
pub struct Global {
    /// The instance's data directory; ~/.local/share/mosaic-fed if not given
    #[arg(short = 'C', long, global = true, env = "MOSAIC_FED_DIR", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The daemon's socket, where the data directory is another account's
    #[arg(long, global = true, env = "MOSAIC_FED_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Act as this user; for the account that runs the daemon, and recorded
    #[arg(long = "as", global = true, value_name = "NAME")]
    pub acting_as: Option<Name>,
    /// The workspace it is about, for users who are in several
    #[arg(long, global = true, env = "MOSAIC_FED_WORKSPACE", value_name = "NAME")]
    pub workspace: Option<Name>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make an instance here
    Init(daemon::init::InitArgs),
    /// Run it until Ctrl-C or SIGTERM
    Serve(daemon::serve::ServeArgs),
    /// What runs and what is linked
    Status(status::StatusArgs),
    /// Name, fingerprint and addresses of this instance, and whether linked instances reach it there
    Id,
    /// Share rows with another instance: a grant and its invite in one
    Invite(grants::InviteArgs),
    /// The grants that others hold
    #[command(subcommand)]
    Grant(grants::GrantCommand),
    /// What a grant may do, and why
    Can(can::CanArgs),
    /// Keys that are refused for ever, because somebody else may have them
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// What no grant of this instance may exceed
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Link to another instance with its invite
    Link(links::LinkArgs),
    /// Your links
    Links(links::LinksArgs),
    /// Whether a link answers
    Ping(links::PingArgs),
    /// Give a link its next certificate now; by itself that happens at two thirds of the present one's life
    Renew(links::RenewArgs),
    /// End a link
    Unlink(unlink::UnlinkArgs),
    /// Rows, wherever they are
    List(rows::ListArgs),
    /// One row with its body
    Get(rows::GetArgs),
    /// Write one row
    Add(rows::AddArgs),
    /// Take in notes, calendars and tasks from files
    Import(import::ImportArgs),
    /// Write your rows here to files that import reads
    Export(export::ExportArgs),
    /// Let an assistant ask, over stdin and stdout (Model Context Protocol); docs/mcp.md says what to configure
    Mcp,
    /// The users of this instance
    #[command(subcommand)]
    User(people::UserCommand),
    /// The teams of a workspace
    #[command(subcommand)]
    Team(people::TeamCommand),
    /// The workspaces of this instance
    #[command(subcommand)]
    Workspace(people::WorkspaceCommand),
    /// Tokens of programs, which act as you at the HTTP port
    #[command(subcommand)]
    Token(tokens::TokenCommand),
    /// The log of who got what
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The certificate authority of this instance
    #[command(subcommand)]
    Ca(daemon::ca_export::CaCommand),
    /// Two instances on this machine, linked, asked and cut before your eyes
    Demo(demo::DemoArgs),
    /// Completions for a shell: mosaic-fed completions bash > /etc/bash_completion.d/mosaic-fed
    Completions(CompletionsArgs),
}

#[derive(Args)]
pub struct CompletionsArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

impl Command {
    /// Does it.
    pub async fn run(self, global: &Global, out: &Out) -> Outcome {
        match self {
            Self::Init(args) => {
                daemon::init::run(args, &global.own_place("name the first user with --user NAME")?, out).await
            }
            Self::Serve(args) => daemon::serve::run(&args, &global.own_place("leave it out")?, out).await,
            Self::Status(args) => status::status(&args, &global.client()?, out).await,
            Self::Id => status::identity(&global.client()?, out).await,
            Self::Invite(args) => grants::invite(args, &global.client()?, out).await,
            Self::Grant(command) => grants::run(command, &global.client()?, out).await,
            Self::Key(command) => keys::run(command, &global.client()?, out).await,
            Self::Policy(command) => policy::run(command, &global.client()?, out).await,
            Self::Can(args) => can::can(args, &global.client()?, out).await,
            Self::Link(args) => links::link(args, &global.client()?, out).await,
            Self::Links(args) => links::links(&args, &global.client()?, out).await,
            Self::Ping(args) => links::ping(&args, &global.client()?, out).await,
            Self::Renew(args) => links::renew(&args, &global.client()?, out).await,
            Self::Unlink(args) => unlink::unlink(&args, &global.client()?, out).await,
            Self::List(args) => rows::list(args, &global.client()?, out).await,
            Self::Get(args) => rows::get(args, &global.client()?, out).await,
            Self::Add(args) => rows::add(args, &global.client()?, out).await,
            Self::Import(args) => import::run(args, &global.client()?, out).await,
            Self::Export(args) => export::run(args, &global.client()?, out).await,
            Self::Mcp => crate::mcp::mcp(global.client()?, global.acting_as.is_some(), out).await,
            Self::User(command) => people::user(command, &global.client()?, out).await,
            Self::Team(command) => people::team(command, &global.client()?, out).await,
            Self::Workspace(command) => people::workspace(command, &global.client()?, out).await,
            Self::Token(command) => tokens::run(command, &global.client()?, out).await,
            Self::Audit(command) => audit::run(command, global, out).await,
            Self::Ca(command) => daemon::ca_export::run(command, &global.place()?, out).await,
            Self::Demo(args) => demo::run(args, out).await,
            Self::Completions(args) => args.print(out),
        }
    }
}

impl CompletionsArgs {
    fn print(&self, out: &Out) -> Outcome {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "mosaic-fed", &mut text);
        out.raw(&text)?;
        Ok(crate::exit::Exit::Done)
    }
}

impl Global {
    /// The data directory.
    pub fn place(&self) -> Outcome<Place> {
        Place::chosen(self.dir.clone())
    }

    /// The data directory of a command that makes or runs an instance: nobody acts there as anybody.
    fn own_place(&self, instead: &str) -> Outcome<Place> {
        match &self.acting_as {
            Some(name) => {
                let cause = format!("`--as {name}` has no effect here: `init` and `serve` act as no user");
                Err(Failure::new(Exit::Usage, cause).next(instead))
            }
            None => self.place(),
        }
    }

    /// The daemon that this command speaks to.
    pub fn client(&self) -> Outcome<Client> {
        let socket = match &self.socket {
            Some(path) => path.clone(),
            None => self.place()?.made()?.socket(),
        };
        Ok(Client::new(socket, self.acting_as.clone(), self.workspace.clone()))
    }

    /// Where this command writes.
    pub fn out(&self) -> Out {
        let Self { dir, socket, acting_as, workspace, json } = self;
        let (dir, socket) = (dir.clone(), socket.clone());
        Out::new(*json, Reach { dir, socket, acting_as: acting_as.clone(), workspace: workspace.clone() })
    }
}

/// This very program, for the demo.
pub fn this_program() -> Outcome<PathBuf> {
    std::env::current_exe().map_err(|error| {
        crate::exit::Failure::of(format!("process {} does not know its own program: {error}", process::id()))
    })
}
