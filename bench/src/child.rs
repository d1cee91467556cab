//! A child of the bench: this same program in another role, told what to do line by line. It ends when its input does.

use crate::words::{Order, Reply};
use anyhow::{Context, Result, bail};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child as Process, ChildStdin, ChildStdout, Command},
};

/// A child that does not end by itself in this time is killed.
const FAREWELL: Duration = Duration::from_secs(30);

/// A running child.
pub struct Child {
    process: Process,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Its process id.
    pub pid: u32,
}

impl Child {
    /// Starts this program with `words`.
    pub fn start(words: &[String]) -> Result<Self> {
        let program = std::env::current_exe().context("this program cannot be found again")?;
        let mut process = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("a child could not be started")?;
        let input = process.stdin.take().context("the child has no input")?;
        let output = process.stdout.take().context("the child has no output")?;
        let pid = process.id().context("the child ended at once")?;
        Ok(Self { process, input, output: BufReader::new(output).lines(), pid })
    }

    /// Starts one that holds links.
    pub async fn asking() -> Result<Self> {
        let mut child = Self::start(&["hold".to_owned()])?;
        match child.hear().await? {
            Reply::Ready(_) => Ok(child),
            reply => Err(odd(&reply)),
        }
    }

    /// Its next reply; a failure is an error.
    pub async fn hear(&mut self) -> Result<Reply> {
        let line = self.output.next_line().await?;
        let line = line.context("a child of the bench ended; what it said of that stands above")?;
        match serde_json::from_str(&line)? {
            Reply::Failed(cause) => bail!("{cause}"),
            reply => Ok(reply),
        }
    }

    /// Gives an order and waits for the reply.
    pub async fn ask(&mut self, order: &Order) -> Result<Reply> {
        self.tell(order).await?;
        self.hear().await
    }

    /// Gives an order whose only answer is that it was done.
    pub async fn done(&mut self, order: &Order) -> Result<()> {
        match self.ask(order).await? {
            Reply::Done => Ok(()),
            reply => Err(odd(&reply)),
        }
    }

    /// Gives an order.
    pub async fn tell(&mut self, order: &Order) -> Result<()> {
        let line = format!("{}\n", serde_json::to_string(order)?);
        self.input.write_all(line.as_bytes()).await.context("a child of the bench no longer listens")?;
        Ok(self.input.flush().await?)
    }

    /// Ends it and waits until it is gone.
    pub async fn end(self) -> Result<()> {
        let Self { mut process, input, .. } = self;
        drop(input);
        match tokio::time::timeout(FAREWELL, process.wait()).await {
            Ok(ended) if ended.as_ref().is_ok_and(std::process::ExitStatus::success) => Ok(()),
            Ok(ended) => bail!("a child of the bench ended badly: {ended:?}"),
            Err(_) => Ok(process.kill().await?),
        }
    }
}

/// A reply that cannot follow its order.
pub fn odd(reply: &Reply) -> anyhow::Error {
    anyhow::anyhow!("a child of the bench answered out of turn: {reply:?}")
}

/// Serves orders from standard input until it ends: the child's side.
pub async fn obey(mut act: impl AsyncFnMut(Order) -> Result<Reply>) -> Result<()> {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = orders.next_line().await? {
        let done = act(serde_json::from_str(&line)?).await;
        say(&done.unwrap_or_else(|error| Reply::Failed(format!("{error:#}"))))?;
    }
    Ok(())
}

/// Says one reply.
pub fn say(reply: &Reply) -> Result<()> {
    crate::print(&format!("{}\n", serde_json::to_string(reply)?))
}
