//! Secrets that came by mail or chat and are pasted here: what `invite` printed on another instance, and what `link await` did.

use crate::exit::{Exit, Failure, Outcome};
use domain::{calling::Calling, invite::Invite};
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// Far above the longest of them; what is longer is not read.
const MOST: u64 = 64 * 1024;

/// Which of them is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// What `invite` printed.
    Invite,
    /// What `link await` printed.
    Call,
}

impl Meant {
    const fn name(self) -> &'static str {
        match self {
            Self::Invite => "the invite",
            Self::Call => "the text of `link await`",
        }
    }

    /// That nothing came, and how it is read from a file.
    fn missing(self, piped: bool) -> Failure {
        let (none, next) = match self {
            Self::Invite => ("no invite", "name the file that it is in: mosaic-fed link - --yes < FILE"),
            Self::Call => ("no text of `link await`", "name the file that it is in, as in --call - < FILE"),
        };
        let cause = if piped { format!("{none} came on stdin") } else { format!("{} is empty", self.name()) };
        Failure::new(Exit::Usage, cause).next(next)
    }
}

/// A text that was pasted.
pub struct Pasted {
    /// As it came.
    pub came: String,
    /// Without what mail and chat put around it and into it.
    pub text: String,
    /// Whether it came on stdin from elsewhere than a terminal: nobody can be asked anything then.
    pub piped: bool,
}

/// What was typed; for `-` it is asked for, or read from stdin: a command line is seen by everybody on this machine.
pub fn pasted(typed: String, meant: Meant) -> Outcome<Pasted> {
    let piped = typed == "-" && !io::stdin().is_terminal();
    let came = match &typed[..] {
        "-" if piped => read(meant)?,
        "-" => ask(meant)?,
        _ => typed,
    };
    let text = unwrapped(&came);
    if text.is_empty() {
        return Err(meant.missing(piped));
    }
    Ok(Pasted { came, text, piped })
}

fn read(meant: Meant) -> Outcome<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MOST).read_to_string(&mut text);
    let failed = |error| Failure::new(Exit::Usage, format!("{} cannot be read from stdin: {error}", meant.name()));
    read.map_err(failed)?;
    Ok(text)
}

/// Asks for it, until it is whole or an empty line comes: mail breaks long lines. The other kind of text ends it too, so that it can be
/// said at once which one this is.
fn ask(meant: Meant) -> Outcome<String> {
    drop(io::stderr().write_all(format!("Paste {}, then press Enter: ", meant.name()).as_bytes()));
    let mut came = String::new();
    for line in io::stdin().lock().take(MOST).lines() {
        let line = line.map_err(Failure::of)?;
        came.push_str(&line);
        let text = unwrapped(&came);
        if line.trim().is_empty() || Invite::decode(&text).is_ok() || Calling::decode(&text).is_ok() {
            break;
        }
    }
    Ok(came)
}

/// Without what mail and chat put around it and into it: line breaks, quote marks, `>` before each line.
fn unwrapped(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !"<>\"'`“”„‟‘’‚«»".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mail_does_to_an_invite_and_to_where_to_call_is_undone() {
        for text in ["mfi1.AbC-_09", "mfa1.AbC-_09"] {
            let (prefix, rest) = text.split_at(5);
            for sent in [
                format!("> {prefix}\n> {rest}\n"),
                format!("\u{201c}{text}\u{201d}"),
                format!(" '{prefix} AbC-\r\n_09' "),
                format!("<`{text}`>"),
                format!(">> {prefix}AbC\n>> -_09"),
            ] {
                assert_eq!(unwrapped(&sent), text, "{sent}");
            }
        }
    }

    #[test]
    fn a_text_that_was_typed_is_taken_as_it_is_and_an_empty_one_is_refused() {
        let typed = pasted("\"mfa1.AbC\"".to_owned(), Meant::Call).ok().unwrap();
        assert_eq!((&typed.text[..], &typed.came[..], typed.piped), ("mfa1.AbC", "\"mfa1.AbC\"", false));
        let empty = pasted("''".to_owned(), Meant::Call).err().unwrap();
        assert_eq!((empty.exit, &empty.cause[..]), (Exit::Usage, "the text of `link await` is empty"));
    }
}
