//! A client at work: one command, its lines of JSON and its exit code, each line held to the contract as it comes.

use crate::{
    contract,
    stage::{Client, Stage},
};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};

/// How long a client may be silent: its deadlines are 10 s, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a client said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its lines.
    pub(crate) lines: Vec<Value>,
    /// Its exit code.
    pub(crate) code: i32,
    /// Its words for people.
    pub(crate) words: String,
}

/// A client that runs.
pub(crate) struct Running {
    client: Client,
    command: String,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Stage {
    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.program();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the interpreter runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Running { client: self.client, command: arguments.join(" "), child, stdout }
    }

    /// A command from beginning to end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        self.start(arguments).end().await
    }

    /// A command about the link kept in `state`.
    pub(crate) async fn ask(&self, state: &str, arguments: &[&str]) -> Said {
        let state = self.path(state);
        self.run(&[arguments, &["--state", text(&state)]].concat()).await
    }

    /// Enrols with what a person has in hand, into `state`.
    pub(crate) async fn enrol(&self, state: &str, invite: &str, fingerprint: &str) -> Said {
        let (human, state) = (self.path("human.json"), self.path(state));
        let hand = json!({"invite": invite, "fingerprint": fingerprint, "name": self.calls_itself()});
        std::fs::write(&human, hand.to_string()).expect("a file in hand");
        self.run(&["enroll", "--human", text(&human), "--state", text(&state)]).await
    }

    /// The name that this client is told to use.
    pub(crate) const fn calls_itself(&self) -> &'static str {
        match self.client {
            Client::Python => "python-home",
            Client::Node => "node-home",
        }
    }
}

impl Running {
    /// Its next line.
    pub(crate) async fn line(&mut self) -> Option<Value> {
        let read = timeout(PATIENCE, self.stdout.next_line()).await;
        let line = read.unwrap_or_else(|_| panic!("{self}: silent for {} s", PATIENCE.as_secs())).expect("UTF-8")?;
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|cause| panic!("{self}: `{line}`: {cause}"));
        let faults = contract::faults(&value);
        assert!(faults.is_empty(), "{self}: {}", faults.join("\n"));
        Some(value)
    }

    /// The rest of its lines and how it ended.
    pub(crate) async fn end(mut self) -> Said {
        let (mut lines, mut words) = (Vec::new(), String::new());
        let mut stderr = self.child.stderr.take().expect("a pipe");
        let listening = tokio::spawn(async move {
            stderr.read_to_string(&mut words).await.expect("UTF-8");
            words
        });
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("its status");
        let words = listening.await.expect("it does not panic");
        let said = Said { lines, code: status.code().unwrap_or(-1), words };
        assert_eq!(said.code, contract::exit_code(&said.lines), "{self}: {said:#?}");
        said
    }
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} client, `{}`", self.client, self.command)
    }
}

impl Said {
    /// The events in their order.
    pub(crate) fn events(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line["event"].as_str()).collect()
    }

    /// Every line of one event.
    pub(crate) fn all(&self, event: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["event"] == event).collect()
    }

    /// The only line of one event.
    pub(crate) fn one(&self, event: &str) -> &Value {
        let all = self.all(event);
        assert_eq!(all.len(), 1, "one `{event}` was expected: {self:#?}");
        all[0]
    }

    /// The refusal that ended it, as code and reason; its domain is ours.
    pub(crate) fn refusal(&self) -> (&str, &str) {
        let refused = self.one("refused");
        assert_eq!((self.code, refused["domain"].as_str()), (3, Some("mosaic.federation.v1")), "{self:#?}");
        (refused["code"].as_str().expect("a code"), refused["reason"].as_str().expect("a reason"))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
