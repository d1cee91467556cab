//! `mosaic-fed mcp`: an assistant's way to the local door, over stdin and stdout (Model Context Protocol).
//!
//! It is one more client of the daemon and has no rights of its own: it acts as whoever runs it, says at the door that it is `mcp`, and the daemon
//! asks only links whose grants name that door. Map: [`lines`] reads and writes the protocol's messages, [`server`] answers them, [`tools`] says which
//! tools there are and what links allow, [`asked`] turns a call into questions at the door, [`words`] says the answers in plain text, [`size`] keeps
//! them small.
//!
//! Must not: print anything but the protocol on stdout, write a row into a log or an error, or keep one.

mod asked;
mod lines;
mod server;
mod size;
mod tools;
mod words;

use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
};
use api::client::Client;
use asked::Asked;
use domain::scope::Door;
use lines::Lines;
use rmcp::ServiceExt;
use server::Server;
use std::{io::IsTerminal, sync::Arc, time::Duration};

/// How often it is looked whether links allow something else now.
const LOOK: Duration = Duration::from_secs(2);
/// How long the daemon may take for an answer: longer than it takes while it runs, and less than assistants usually wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// `mcp`, until stdin ends. Where the operator is `acting_as` another user each request is recorded, and nothing is looked at unasked.
pub async fn mcp(client: Client, acting_as: bool, out: &Out) -> Outcome {
    if std::io::stdin().is_terminal() {
        out.remark("an assistant starts this command and speaks with it over stdin and stdout; docs/mcp.md says what to configure");
    }
    let server = Server::new(Asked::new(client.through(Door::Mcp).within(PATIENCE), out.reach.clone()));
    // An assistant that begins need not wait for the daemon: what links allow is looked at again when it asks which tools there are.
    let looking = (!acting_as).then(|| tokio::spawn(keep_looking(Arc::clone(&server.state))));
    let running = server.serve(Lines::new(tokio::io::stdin(), tokio::io::stdout())).await;
    let ended = match running {
        Ok(running) => running.waiting().await.map(drop).map_err(Failure::of),
        Err(cause) => Err(Failure::new(Exit::Failed, format!("no assistant began to speak on stdin: {cause}"))
            .next("let an assistant start this command, as docs/mcp.md says")),
    };
    if let Some(looking) = looking {
        looking.abort();
    }
    ended.map(|()| Exit::Done)
}

async fn keep_looking(state: Arc<server::State>) {
    loop {
        state.look().await;
        tokio::time::sleep(LOOK).await;
    }
}
