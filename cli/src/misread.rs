//! A command line that cannot be read, in the words of every other failure: what is wrong with it, and what to type.

use crate::{
    args::Cli,
    exit::{Exit, Failure},
};
use clap::{
    Arg, Command, CommandFactory, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::error::Error as _;

/// Options that stand before a command and take a value, which is no command.
const WITH_VALUE: [&str; 5] = ["-C", "--dir", "--socket", "--as", "--workspace"];

/// What the parser found, as a failure; none where it is no error to be told but help or the version to be shown.
pub fn failure(error: &Error, typed: &[String]) -> Option<Failure> {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    let near = near(error);
    let mut root = Cli::command();
    root.build();
    let (command, words) = command(&root, typed);
    let help = format!("mosaic-fed {words}--help");
    if let Some(variable) = variable(error, command, typed) {
        let next = format!("unset it, or write it as `{help}` says");
        return Some(Failure::new(Exit::Usage, cause(error, &format!("{variable} in the environment"))).next(next));
    }
    let next = match (near, error.kind()) {
        (Some(near), _) => format!("{near} if that is meant, or see `{help}`"),
        (None, ErrorKind::MissingRequiredArgument) => format!("type {}, or see `{help}`", form(command, &words)),
        (None, _) => help,
    };
    let about = said(error, ContextKind::InvalidArg).unwrap_or_default();
    Some(Failure::new(Exit::Usage, cause(error, &plainly(&about))).next(next))
}

/// What people type for a command that is called otherwise here, and what to type for it.
const OTHERWISE: [(&[&str], &str); 5] = [
    (&["search", "find", "query", "ls"], "type `list KIND`, for there is no search yet,"),
    (&["show", "view", "cat", "read"], "type `get KIND ID`"),
    (&["new", "create", "write", "put"], "type `add KIND TITLE`"),
    (
        &["delete", "rm", "del"],
        "type `unlink LINK`, `grant revoke GRANT` or `user remove NAME`, for no row can be deleted yet,",
    ),
    (&["share", "revoke"], "type `invite NAME --share KINDS` or `grant revoke GRANT`"),
];

/// What may be meant, as the beginning of a next step.
fn near(error: &Error) -> Option<String> {
    let typed = said(error, ContextKind::InvalidSubcommand).unwrap_or_default();
    let of_all =
        error.get(ContextKind::Usage).is_some_and(|usage| usage.to_string().contains("mosaic-fed [OPTIONS] <COMMAND>"));
    if let Some((_, instead)) = OTHERWISE.iter().find(|(words, _)| of_all && words.contains(&typed.as_str())) {
        return Some((*instead).to_owned());
    }
    let near = error.get(ContextKind::SuggestedSubcommand).or_else(|| error.get(ContextKind::SuggestedArg))?;
    Some(match near {
        ContextValue::Strings(many) => format!("type `{}`", many.join("` or `")),
        near => format!("type `{near}`"),
    })
}

/// `<KIND>, <ID>` as people say it: KIND and ID. Of an option its name alone.
fn plainly(args: &str) -> String {
    let word = |arg: &str| match arg.strip_prefix("--") {
        Some(_) => arg.split([' ', '=']).next().unwrap_or_default().to_owned(),
        None => arg.trim_matches(['<', '>', '[', ']', '.']).to_owned(),
    };
    let words: Vec<_> = args.split(", ").map(word).collect();
    match &words[..] {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        _ => words.concat(),
    }
}

/// How a command is typed, with what is to be filled in.
fn form(command: &Command, words: &str) -> String {
    let filled = command.get_positionals().map(|arg| plainly(&arg.to_string()));
    let line: Vec<_> = words.split_whitespace().map(ToOwned::to_owned).chain(filled).collect();
    format!("`mosaic-fed {}`", line.join(" "))
}

/// The variable of the environment that gave the value which does not fit; none where it was typed.
fn variable(error: &Error, command: &Command, typed: &[String]) -> Option<String> {
    let about = said(error, ContextKind::InvalidArg)?;
    let arg = command.get_arguments().find(|arg| arg.to_string() == about)?;
    let variable = arg.get_env()?;
    let value = std::env::var_os(variable)?;
    let is_of_it = match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            said(error, ContextKind::InvalidValue).is_some_and(|said| *said == *value.to_string_lossy())
        }
        ErrorKind::InvalidUtf8 => true,
        _ => false,
    };
    (is_of_it && !is_typed(arg, typed)).then(|| variable.to_string_lossy().into_owned())
}

fn is_typed(arg: &Arg, typed: &[String]) -> bool {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let flags: Vec<_> = long.into_iter().chain(short).collect();
    typed.iter().any(|word| flags.iter().any(|flag| word.starts_with(flag.as_str())))
}

fn cause(error: &Error, about: &str) -> String {
    let value = said(error, ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            format!("there is no command `{}`", said(error, ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        ErrorKind::UnknownArgument => format!("`{about}` is no option of this command, or a word too many"),
        ErrorKind::MissingRequiredArgument if about.contains(" and ") => format!("{about} are missing"),
        ErrorKind::MissingRequiredArgument => format!("{about} is missing"),
        ErrorKind::ArgumentConflict => match said(error, ContextKind::PriorArg).map(|prior| plainly(&prior)) {
            Some(prior) if about.is_empty() => match said(error, ContextKind::InvalidSubcommand) {
                Some(word) => format!("`{word}` cannot stand behind `{prior}`"),
                None => format!("there is a word too many behind `{prior}`"),
            },
            Some(prior) if prior != about => format!("`{about}` cannot be used with `{prior}`"),
            _ => format!("`{about}` is given twice"),
        },
        ErrorKind::InvalidValue if value.is_empty() => format!("{about} needs a value"),
        ErrorKind::InvalidValue => {
            let known = said(error, ContextKind::ValidValue).unwrap_or_default();
            format!("`{value}` for {about}: choose one of {known}")
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map_or_else(|| "it is not understood".to_owned(), ToString::to_string);
            // The value is said already.
            let why = why.strip_prefix(&format!("`{value}` is ")).map_or(why.clone(), |is| format!("it is {is}"));
            format!("`{value}` for {about}: {why}")
        }
        _ => plain(error),
    }
}

/// The first line that the parser would print.
fn plain(error: &Error) -> String {
    let text = error.render().to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn said(error: &Error, what: ContextKind) -> Option<String> {
    match error.get(what)? {
        ContextValue::String(one) => Some(one.clone()),
        ContextValue::Strings(many) => Some(many.join(", ")),
        _ => None,
    }
}

/// The command that was typed, as far as it is one, and its words, each with a space after it.
fn command<'a>(root: &'a Command, typed: &[String]) -> (&'a Command, String) {
    let (mut at, mut words) = (root, String::new());
    let mut typed = typed.iter().skip(1);
    while let Some(word) = typed.next() {
        if WITH_VALUE.contains(&word.as_str()) {
            typed.next();
        } else if let Some(sub) = at.find_subcommand(word) {
            at = sub;
            words.extend([word.as_str(), " "]);
        }
    }
    (at, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn told(line: &str) -> (String, String) {
        let typed: Vec<_> = std::iter::once("x").chain(line.split(' ')).map(ToOwned::to_owned).collect();
        let error = Cli::try_parse_from(&typed).err().expect("the line is wrong");
        let failure = failure(&error, &typed).expect("it is an error");
        (failure.cause, failure.next.unwrap_or_default())
    }

    #[test]
    fn what_is_wrong_is_said_without_the_parsers_own_words() {
        let cases = [
            (
                "search",
                "there is no command `search`",
                "type `list KIND`, for there is no search yet, if that is meant, or see `mosaic-fed --help`",
            ),
            ("user delete", "there is no command `delete`", "mosaic-fed user --help"),
            (
                "invite a/b",
                "`a/b` for NAME: it is no name: 1 to 63 of a-z, 0-9 and -, not starting or ending with -",
                "mosaic-fed invite --help",
            ),
            (
                "grant edit x --rate 0",
                "`0` for --rate: it is no number from 1 to 100000",
                "mosaic-fed grant edit --help",
            ),
            ("lst", "there is no command `lst`", "type `list` if that is meant, or see `mosaic-fed --help`"),
            ("-C list get tasks", "ID is missing", "type `mosaic-fed get KIND ID`, or see `mosaic-fed get --help`"),
            (
                "grant show",
                "GRANT is missing",
                "type `mosaic-fed grant show GRANT`, or see `mosaic-fed grant show --help`",
            ),
            ("get", "KIND and ID are missing", "type `mosaic-fed get KIND ID`, or see `mosaic-fed get --help`"),
            ("list tasks --limit x", "`x` for --limit: it is no number from 1 to 10000", "mosaic-fed list --help"),
            ("list tasks --limit 0", "`0` for --limit: it is no number from 1 to 10000", "mosaic-fed list --help"),
            ("list tasks --limit", "--limit needs a value", "mosaic-fed list --help"),
            (
                "list tasks --bogus",
                "`--bogus` is no option of this command, or a word too many",
                "mosaic-fed list --help",
            ),
            ("link foo bar", "`bar` cannot stand behind `INVITE`", "mosaic-fed link --help"),
            ("list tasks --stream --cursor x", "`--stream` cannot be used with `--cursor`", "mosaic-fed list --help"),
            (
                "init z --listen 24601",
                "`24601` for --listen: it is a port alone; write an address before it, as in 127.0.0.1:24601 or \
                 [::]:24601",
                "mosaic-fed init --help",
            ),
            (
                "completions foo",
                "`foo` for SHELL: choose one of bash, elvish, fish, powershell, zsh",
                "mosaic-fed completions --help",
            ),
        ];
        for (line, cause, next) in cases {
            assert_eq!(told(line), (cause.to_owned(), next.to_owned()), "{line}");
        }
    }

    #[test]
    fn help_is_no_failure() {
        for line in ["--help", "--version", "grant"] {
            let typed = ["x".to_owned(), line.to_owned()];
            assert!(failure(&Cli::try_parse_from(&typed).err().unwrap(), &typed).is_none(), "{line}");
        }
    }
}
