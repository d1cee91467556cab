//! How links stand, as a table, and the same going on: drawn anew at a terminal, told line by line elsewhere. All of it is what the daemon
//! knows; nothing is asked of another instance.

use super::{joined, minute, short};
use crate::{
    daemon::serve::told_to_stop,
    exit::{Exit, Failure, Outcome},
    out::Out,
    table::Table,
};
use api::{
    client::{Client, ClientError},
    view,
};
use std::{
    collections::BTreeMap,
    future::pending,
    io::{self, IsTerminal},
    os::fd::AsFd,
    time::Duration,
};
use tokio::{io::Interest, net::unix::pipe::Sender, time::sleep};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// To the corner, and everything after it away.
const ANEW: &str = "\u{1b}[H\u{1b}[J";

/// The links as a table.
pub fn table(links: &[view::LinkEntry]) -> Table {
    let head = [
        "LINK",
        "TO",
        "STATE",
        "CIRCUIT",
        "CERTIFICATE",
        "CLOCK",
        "LAST ANSWER (UTC)",
        "LAST FAILURE (UTC)",
        "P50/P99",
        "INVITED TO",
        "ID",
    ];
    let mut table = Table::new(&head, "no links");
    for link in links {
        table.row([
            link.name.to_string(),
            if link.calls { format!("{} (calls)", link.peer_name) } else { link.peer_name.to_string() },
            link.state.clone(),
            link.circuit.state.replace('_', "-"),
            certificate(link),
            link.clock_offset_ms.map_or_else(dash, clock),
            link.last_success.map_or_else(dash, minute),
            link.last_failure.map_or_else(dash, minute),
            link.latency.map_or_else(dash, |latency| format!("{}/{} ms", latency.p50_ms, latency.p99_ms)),
            joined(&link.resources),
            short(&link.id),
        ]);
    }
    table
}

fn dash() -> String {
    "-".to_owned()
}

/// How long its certificate lives; of one that has ended nothing is to be done about it.
fn certificate(link: &view::LinkEntry) -> String {
    match link.days_left {
        _ if link.state == hub::LinkState::Revoked.word() => dash(),
        1 => "1 day".to_owned(),
        days if days > 1 => format!("{days} days"),
        _ => "ended".to_owned(),
    }
}

/// Clocks that differ by less than a second are alike.
fn clock(offset_ms: i64) -> String {
    match offset_ms / 1_000 {
        0 => "ok".to_owned(),
        seconds => format!("{seconds:+} s"),
    }
}

/// Tells of the links until it is told to stop, or nobody reads on.
pub async fn watch(client: &Client, out: &Out) -> Outcome {
    let (stop, drawn) = (told_to_stop()?, io::stdout().is_terminal() && !out.json);
    let mut watched = Watched { client, out, drawn, before: None };
    let goes_on = async {
        loop {
            watched.look().await?;
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = stop => Ok(Exit::Done),
        () = unread() => Err(Failure::unread()),
        failed = goes_on => failed,
    }
}

/// Ends when nobody reads stdout any more, which writing would tell only once there is something to write.
async fn unread() {
    // Nothing is written through it: that is done as everywhere else, and waits where the reader is slow.
    let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd_unchecked);
    match stdout {
        Ok(stdout) => drop(stdout.ready(Interest::ERROR).await),
        // A file, which nobody closes.
        Err(_) => pending().await,
    }
}

struct Watched<'a> {
    client: &'a Client,
    out: &'a Out,
    drawn: bool,
    /// What was told of each link, and why nothing was known, where nothing was.
    before: Option<Result<BTreeMap<String, String>, String>>,
}

impl Watched<'_> {
    /// One look. That the daemon does not answer is an error at the first one, and told from then on.
    async fn look(&mut self) -> Outcome<()> {
        let links: Result<Vec<view::LinkEntry>, ClientError> = self.client.get("/v1/links").await;
        match links {
            Ok(links) => self.tell(&links),
            Err(error) if self.before.is_none() => Err(error.into()),
            Err(error) => self.away(error.to_string()),
        }
    }

    fn tell(&mut self, links: &[view::LinkEntry]) -> Outcome<()> {
        let told: BTreeMap<_, _> = links.iter().map(|link| (link.id.to_string(), line(link))).collect();
        let before = self.before.replace(Ok(told.clone())).and_then(Result::ok);
        if self.drawn {
            let (table, end) = (self.out.drawn(&table(links)), "Ctrl-C ends this");
            return self.out.raw(format!("{ANEW}{table}\n\n{end}\n").as_bytes());
        }
        if before.as_ref() == Some(&told) {
            return Ok(());
        }
        if self.out.json {
            return self.out.line(&links, |_| String::new());
        }
        let known = before.unwrap_or_default();
        for (_, line) in told.iter().filter(|(id, line)| known.get(*id) != Some(*line)) {
            self.out.line(line, Clone::clone)?;
        }
        for (_, line) in known.iter().filter(|(id, _)| !told.contains_key(*id)) {
            let name = line.split(' ').next().unwrap_or_default();
            self.out.line(&name, |name| format!("{name} is gone"))?;
        }
        Ok(())
    }

    fn away(&mut self, why: String) -> Outcome<()> {
        if self.before.as_ref().is_some_and(|before| before.as_ref().err() == Some(&why)) {
            return Ok(());
        }
        if self.drawn {
            self.out.raw(ANEW.as_bytes())?;
        }
        self.out.remark(&format!("{why}; it is asked again until it answers"));
        self.before = Some(Err(why));
        Ok(())
    }
}

/// A link in one line: what changes with every call is left out.
fn line(link: &view::LinkEntry) -> String {
    let reason = link.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let circuit = link.circuit.state.replace('_', "-");
    crate::out::escaped(&format!(
        "{} {}, circuit {circuit}, certificate {}{reason}",
        link.name,
        link.state,
        certificate(link)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_told_by_whole_seconds() {
        for (offset, told) in [(0, "ok"), (-999, "ok"), (1_999, "+1 s"), (-61_400, "-61 s")] {
            assert_eq!(clock(offset), told);
        }
    }
}
