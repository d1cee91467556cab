//! How a command ends: the exit codes, and the one failure every command returns. `docs/cli.md` shows the same list.

use api::{Kind, Problem, client::ClientError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::{fmt, io, path::Path};

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was done, or answered.
    Done = 0,
    /// It failed; of `audit verify`: the log is broken; of `can`: the grant may not; of `ping`: it answers, but a step failed.
    Failed = 1,
    /// The command line is wrong, or what it names is no valid value.
    Usage = 2,
    /// The daemon does not run.
    NotRunning = 3,
    /// There is no such thing.
    Missing = 4,
    /// The caller may not do this.
    Forbidden = 5,
    /// A name is taken, something exists already, or is not in a state that allows it.
    Conflict = 6,
    /// No source answered, or not every one (`ping`, `get`, or `--strict`), or not every item was taken (`import --strict`).
    Incomplete = 7,
    /// A database, a port or another thing this needs is away; trying again can help.
    Unavailable = 8,
    /// Ended by Ctrl-C or SIGTERM before it was done.
    Interrupted = 130,
}

impl Exit {
    /// Every code.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NotRunning,
        Self::Missing,
        Self::Forbidden,
        Self::Conflict,
        Self::Incomplete,
        Self::Unavailable,
        Self::Interrupted,
    ];

    /// What it means, for the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or answered",
            Self::Failed => {
                "failed; of `audit verify`: the log is broken; of `can`: no; of `ping`: it answers, but its clock is wrong"
            }
            Self::Usage => "the command line is wrong, or what it names is no valid value",
            Self::NotRunning => "the daemon does not run",
            Self::Missing => "there is no such thing",
            Self::Forbidden => "the caller may not do this",
            Self::Conflict => "a name is taken, or the thing is not in a state that allows it",
            Self::Incomplete => {
                "no source answered, or not every one (`ping`, `get`, `--strict`), or not every item was taken (`import --strict`)"
            }
            Self::Unavailable => "a database, a port or another thing this needs is away; trying again can help",
            Self::Interrupted => "ended by Ctrl-C or SIGTERM before it was done",
        }
    }
}

/// The exit codes as the end of `--help`.
pub fn legend() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {:>3}  {}", exit as u8, exit.meaning()));
    format!("Exit codes:\n{}", lines.join("\n"))
}

/// Why a command did not do what was asked: cause and next step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// The exit code.
    #[serde(skip)]
    pub exit: Exit,
    /// A stable word, one for each exit code.
    #[schemars(schema_with = "words")]
    pub error: &'static str,
    /// What went wrong, for people.
    pub cause: String,
    /// What to do, for people; a command in it can be pasted. Absent where the cause says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What to do about a file that is closed to the caller.
pub const PERMIT: &str = "let your account read it, as with chmod u+r, or run this as an account that may";

/// What every command returns.
pub type Outcome<T = Exit> = Result<T, Failure>;

impl Failure {
    /// A failure whose cause says what to do.
    pub fn new(exit: Exit, cause: impl Into<String>) -> Self {
        Self { exit, error: word(exit), cause: cause.into(), next: None }
    }

    /// The same with a next step.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    /// Whoever reads what is printed has seen enough, as `head` has: the command ends where it is, in order, and well.
    pub fn unread() -> Self {
        Self::new(Exit::Done, "nobody reads what is printed any further")
    }

    /// Whether it is [`Failure::unread`].
    pub fn is_unread(&self) -> bool {
        self.exit == Exit::Done
    }

    /// A file that could not be used.
    pub fn file(action: &str, path: &Path, cause: &io::Error) -> Self {
        let failure = Self::new(Exit::Failed, format!("cannot {action} {}: {cause}", path.display()));
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                failure.next("make room there, then try again")
            }
            _ => failure,
        }
    }

    /// A file that somebody named to be read, and that could not be.
    pub fn input(path: &Path, cause: &io::Error) -> Self {
        let failure = Self::file("read", path, cause);
        match cause.kind() {
            io::ErrorKind::NotFound => {
                Self { exit: Exit::Missing, error: word(Exit::Missing), ..failure }.next("check the path")
            }
            io::ErrorKind::PermissionDenied => {
                Self { exit: Exit::Forbidden, error: word(Exit::Forbidden), ..failure }.next(PERMIT)
            }
            _ => failure.next("name a file that holds what is asked for"),
        }
    }

    /// The same of what was named by a setting: which.
    #[must_use]
    pub fn set_by(self, setting: &str) -> Self {
        Self { cause: format!("{setting}: {}", self.cause), ..self }
    }

    /// A listener that could not be opened, as the daemon says it: what to change names the file, where it is known.
    #[must_use]
    pub fn naming_settings(self, settings: Option<&Path>) -> Self {
        let (Some(settings), Some((cause, next))) =
            (settings, self.cause.split_once("; ").filter(|(_, next)| next.contains(", or set another")))
        else {
            return self;
        };
        let next = next.replace("config.toml", &named_settings(settings));
        let next = format!("{next}, and start the daemon again: mosaic-fed serve");
        Self::new(self.exit, cause).next(next)
    }

    /// Anything else that says its own cause.
    pub fn of(cause: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, cause.to_string())
    }
}

/// The settings' file, as one that is to be made where it is missing.
pub fn named_settings(settings: &Path) -> String {
    let new = if settings.exists() { "" } else { "a new " };
    format!("{new}{}", settings.display())
}

const fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Failed => "failed",
        Exit::Usage => "usage",
        Exit::NotRunning => "not_running",
        Exit::Missing => "missing",
        Exit::Forbidden => "forbidden",
        Exit::Conflict => "conflict",
        Exit::Incomplete => "incomplete",
        Exit::Unavailable => "unavailable",
        Exit::Interrupted => "interrupted",
    }
}

/// The words of failures.
fn words(_: &mut SchemaGenerator) -> Schema {
    let failures = Exit::ALL.into_iter().filter(|exit| *exit != Exit::Done);
    json_schema!({ "type": "string", "enum": failures.map(word).collect::<Vec<_>>() })
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let exit = match problem.kind {
            Kind::Unauthorized | Kind::Forbidden => Exit::Forbidden,
            Kind::Missing | Kind::Method => Exit::Missing,
            Kind::Conflict | Kind::Changed => Exit::Conflict,
            Kind::Invalid | Kind::MediaType | Kind::NotAcceptable | Kind::TooLarge => Exit::Usage,
            Kind::Incomplete => Exit::Incomplete,
            Kind::Busy | Kind::Unavailable | Kind::Timeout => Exit::Unavailable,
            Kind::Internal => Exit::Failed,
        };
        Self { next: problem.next, ..Self::new(exit, problem.cause) }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let cause = error.to_string();
        match error {
            ClientError::Problem(problem) => problem.into(),
            ClientError::NotRunning(socket) if socket.ends_with(api::socket::FILE) => {
                Self::new(Exit::NotRunning, cause).next("start it in another terminal: mosaic-fed serve")
            }
            ClientError::NotRunning(_) => Self::new(Exit::NotRunning, cause)
                .next("ask the operator to start it, or name the directory of an instance of yours: -C DIR"),
            ClientError::NotAllowed(_) => Self::new(Exit::Forbidden, cause).next(
                "the instance is another account's: ask its operator for a user of your own, then use --socket PATH",
            ),
            ClientError::Silent(..) => Self::new(Exit::Unavailable, cause).next(
                "look at it with `ps -o pid,stat,args -C mosaic-fed`: where STAT begins with T it is stopped, and `kill -CONT PID` lets it go on; \
                 else see what it printed, and start it anew",
            ),
            ClientError::Broken(_) => {
                Self::new(Exit::Unavailable, cause).next("see `mosaic-fed status` and what `mosaic-fed serve` printed")
            }
        }
    }
}
