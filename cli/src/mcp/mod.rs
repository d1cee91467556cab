//! `mosaic-fed mcp`: an assistant's way to the local door, over stdin and stdout (Model Context Protocol).
//!
//! It is one more client of the daemon and has no rights of its own: it acts as whoever runs it, says at the door that it is `mcp`, and the daemon
//! asks only links whose grants name that door. Map: [`server`] speaks the protocol, [`tools`] says which tools there are and what links allow,
//! [`asked`] turns a call into questions at the door, [`words`] says the answers in plain text, [`size`] keeps them small.
//!
//! Must not: print anything but the protocol on stdout, write a row into a log or an error, or keep one.

mod asked;
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
use rmcp::ServiceExt;
use server::Server;
use std::{io::IsTerminal, sync::Arc, time::Duration};

/// How often it is looked whether links allow something else now.
const LOOK: Duration = Duration::from_secs(2);

/// `mcp`, until stdin ends. Where the operator is `acting_as` another user each request is recorded, and nothing is looked at unasked.
pub async fn mcp(client: Client, acting_as: bool, out: &Out) -> Outcome {
    if std::io::stdin().is_terminal() {
        out.remark("an assistant starts this command and speaks with it over stdin and stdout; docs/mcp.md says what to configure");
    }
    let server = Server::new(Asked::new(client.through(Door::Mcp), out.reach.clone()));
    server.look().await;
    let looking = (!acting_as).then(|| tokio::spawn(keep_looking(Arc::clone(&server.state))));
    let running = server.serve(rmcp::transport::stdio()).await;
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
        tokio::time::sleep(LOOK).await;
        state.look().await;
    }
}
