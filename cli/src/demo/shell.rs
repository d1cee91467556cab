//! One command of the demo: shown as it would be typed, run as a child process, its words shown as they came.

use crate::{
    config::shell_word,
    exit::{Exit, Failure, Outcome},
    out::Out,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    io::{Read, pipe},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::watch,
};

/// How long a child may take to end once it was told to.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a command did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ran {
    /// As it was typed.
    pub command: String,
    /// Its exit code.
    pub exit: i32,
    /// What it answered and remarked, in the order it came.
    pub output: String,
}

/// Runs commands in one directory.
pub struct Shell {
    out: Out,
    program: PathBuf,
    directory: PathBuf,
    stopped: watch::Receiver<bool>,
    commands: u32,
}

/// Where a command reads and writes, as the signs `<` and `>` of a shell say it.
#[derive(Clone, Copy, Default)]
pub struct Files<'a> {
    /// Its stdin.
    pub from: Option<&'a str>,
    /// Its stdout.
    pub to: Option<&'a str>,
}

impl Shell {
    /// For commands typed in `directory`.
    pub fn new(out: Out, program: PathBuf, directory: PathBuf, stopped: watch::Receiver<bool>) -> Self {
        Self { out, program, directory, stopped, commands: 0 }
    }

    /// How many commands were run.
    pub fn commands(&self) -> u32 {
        self.commands
    }

    /// Says what comes next.
    pub fn say(&self, text: &str) -> Outcome<()> {
        if self.out.json { Ok(()) } else { self.out.raw(format!("\n# {text}\n").as_bytes()) }
    }

    /// Runs a command to its end.
    pub async fn run(&mut self, words: &[&str], files: Files<'_>) -> Outcome<Ran> {
        let typed = self.typed(words, files)?;
        let mut command = self.command(words);
        if let Some(file) = files.from {
            command.stdin(self.file(file, false)?);
        }
        let (mut reader, writer) = pipe().map_err(|error| cannot_run(&typed, &error))?;
        match files.to {
            Some(file) => command.stdout(self.file(file, true)?),
            None => command.stdout(writer.try_clone().map_err(|error| cannot_run(&typed, &error))?),
        };
        let child = command.stderr(writer).spawn().map_err(|error| cannot_run(&typed, &error))?;
        // The command keeps its ends of the pipe, which would never be read to its end.
        drop(command);
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| String::from_utf8_lossy(&bytes).into_owned())
        });
        let exit = self.ended(child, &typed).await?.code().unwrap_or(-1);
        let read = tokio::time::timeout(PATIENCE, reading)
            .await
            .map_err(|_| Failure::of(format!("`{typed}` left its output open")))?;
        let output = read.map_err(Failure::of)?.map_err(|error| cannot_run(&typed, &error))?;
        let ran = Ran { command: typed, exit, output };
        self.show(&ran)?;
        Ok(ran)
    }

    /// Starts a command that goes on, its words in a file.
    pub fn start(&mut self, words: &[&str], log: &str) -> Outcome<Child> {
        let typed = self.typed(words, Files { from: None, to: Some(&format!("{log} 2>&1 &")) })?;
        let mut command = self.command(words);
        command.stdout(self.file(log, true)?).stderr(self.file(log, true)?);
        command.kill_on_drop(false).spawn().map_err(|error| cannot_run(&typed, &error))
    }

    fn typed(&mut self, words: &[&str], files: Files<'_>) -> Outcome<String> {
        self.commands += 1;
        let words = words.iter().map(|word| shell_word(word));
        let mut typed = std::iter::once("mosaic-fed".to_owned()).chain(words).collect::<Vec<_>>().join(" ");
        typed.extend(files.from.iter().map(|file| format!(" < {file}")));
        typed.extend(files.to.iter().map(|file| format!(" > {file}")));
        if !self.out.json {
            self.out.raw(format!("$ {typed}\n").as_bytes())?;
        }
        Ok(typed)
    }

    /// In a group of its own: Ctrl-C reaches this program alone, which then ends its children in order.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(&self.directory).stdin(Stdio::null()).process_group(0);
        let variables = std::env::vars_os().map(|(name, _)| name);
        for ours in variables.filter(|name| name.to_string_lossy().starts_with("MOSAIC_FED_")) {
            command.env_remove(ours);
        }
        command
    }

    fn file(&self, name: &str, write: bool) -> Outcome<Stdio> {
        let path = self.directory.join(name);
        let mut options = std::fs::OpenOptions::new();
        let opened = if write { options.append(true).create(true).open(&path) } else { options.read(true).open(&path) };
        opened.map(Stdio::from).map_err(|error| Failure::file("open", &path, &error))
    }

    /// Fails once the person has had enough.
    pub fn heed(&self) -> Outcome<()> {
        if *self.stopped.borrow() { Err(Failure::new(Exit::Interrupted, "interrupted")) } else { Ok(()) }
    }

    async fn ended(&mut self, mut child: Child, typed: &str) -> Outcome<ExitStatus> {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            ended = child.wait() => return ended.map_err(|error| cannot_run(typed, &error)),
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        tell(child.id(), Signal::SIGTERM);
        drop(tokio::time::timeout(PATIENCE, child.wait()).await);
        Err(Failure::new(Exit::Interrupted, "interrupted"))
    }

    fn show(&self, ran: &Ran) -> Outcome<()> {
        if ran.output.is_empty() && !self.out.json {
            return Ok(());
        }
        self.out.line(ran, |ran| ran.output.trim_end().to_owned())
    }

    /// The directory that commands are typed in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Sends a signal to a child that may be gone.
pub fn tell(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok())
        && let Err(error) = kill(Pid::from_raw(pid), signal)
    {
        tracing::debug!(pid, %error, "a child is gone already");
    }
}

fn cannot_run(typed: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("`{typed}` cannot be run: {error}"))
}
