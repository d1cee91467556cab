//! How a next command must begin to reach the same instance, as the same user, in the same workspace as the command that
//! names it: what is printed after `next:` can be pasted.

use crate::{config::shell_word, place::Place};
use domain::id::Name;
use std::path::{Path, PathBuf};

/// The program, as people type it.
const PROGRAM: &str = "mosaic-fed";
/// Commands that open the data directory themselves: no socket, user or workspace matters to them.
const OF_THE_DIRECTORY: [&str; 2] = ["init", "serve"];

/// What was said of the instance when this command was typed, by options or in the environment.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// `-C`.
    pub dir: Option<PathBuf>,
    /// `--socket`.
    pub socket: Option<PathBuf>,
    /// `--as`.
    pub acting_as: Option<Name>,
    /// `--workspace`.
    pub workspace: Option<Name>,
}

impl Reach {
    /// A command of this program, for whoever typed this one.
    pub fn command(&self, words: &str) -> String {
        // A command about another workspace names it itself.
        let workspace = self.workspace.as_ref().filter(|_| !words.starts_with("--workspace "));
        let named = [("--as", self.acting_as.as_ref()), ("--workspace", workspace)];
        let named = named.into_iter().filter_map(|(flag, name)| Some(format!("{flag} {}", name?)));
        match words.split(' ').next() {
            Some(first) if OF_THE_DIRECTORY.contains(&first) => line([self.directory()], words),
            _ => line(self.place().into_iter().chain(named.map(Some)), words),
        }
    }

    /// A command for somebody else, who is asked for it: they are not the user whom this one acted as.
    fn theirs(&self, words: &str) -> String {
        Self { acting_as: None, ..self.clone() }.command(words)
    }

    /// The settings of the instance that is reached, as far as they are known to be in its directory.
    pub fn settings(&self) -> Option<PathBuf> {
        let own = || self.socket.as_deref().filter(|path| path.ends_with(api::socket::FILE)).and_then(Path::parent);
        let named = self.dir.as_deref().or_else(own);
        let place = (named.is_some() || self.socket.is_none()).then(|| Place::chosen(named.map(Path::to_owned)).ok());
        place.flatten().map(|place| place.config())
    }

    /// Commands in the text of a next step made to reach the same instance. What a command `printed` is no command to type,
    /// what is typed `there` is typed on another instance, and what one is to `ask` another for is typed by them.
    pub fn rewrite(&self, next: &str) -> String {
        let mut pieces = next.split("mosaic-fed ");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let after = piece.split_once('`').map_or("", |(_, after)| after);
            let not_here = [" printed", " there"].iter().any(|word| after.starts_with(word));
            let rewritten = match (not_here, text.contains("ask ")) {
                (true, _) => format!("{PROGRAM} {piece}"),
                (false, true) => self.theirs(piece),
                (false, false) => self.command(piece),
            };
            text.push_str(&rewritten);
        }
        text
    }

    fn place(&self) -> [Option<String>; 2] {
        let dir = self.dir.as_deref().map(|dir| option("-C", dir));
        [dir, self.socket.as_deref().map(|socket| option("--socket", socket))]
    }

    /// The directory, also where only the socket in it was named.
    fn directory(&self) -> Option<String> {
        let own = || self.socket.as_deref().filter(|path| path.ends_with(api::socket::FILE)).and_then(Path::parent);
        self.dir.as_deref().or_else(own).map(|dir| option("-C", dir))
    }
}

fn option(flag: &str, path: &Path) -> String {
    format!("{flag} {}", shell_word(&path.display().to_string()))
}

fn line(options: impl IntoIterator<Item = Option<String>>, words: &str) -> String {
    let options = options.into_iter().flatten();
    let words = std::iter::once(PROGRAM.to_owned()).chain(options).chain([words.to_owned()]);
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach() -> Reach {
        Reach {
            dir: Some("my office".into()),
            socket: Some("/run/x.sock".into()),
            acting_as: "bob".parse().ok(),
            workspace: "side".parse().ok(),
        }
    }

    #[test]
    fn a_next_command_says_everything_that_was_said() {
        let wanted = "mosaic-fed -C 'my office' --socket /run/x.sock --as bob --workspace side links";
        assert_eq!(reach().command("links"), wanted);
        assert_eq!(Reach::default().command("links"), "mosaic-fed links");
    }

    #[test]
    fn a_command_that_names_its_workspace_keeps_it() {
        let wanted = "mosaic-fed -C 'my office' --socket /run/x.sock --as bob --workspace other team list";
        assert_eq!(reach().rewrite("mosaic-fed --workspace other team list"), wanted);
    }

    #[test]
    fn a_command_of_the_directory_says_the_directory_only() {
        assert_eq!(reach().command("serve"), "mosaic-fed -C 'my office' serve");
        let socket = Reach { socket: Some("/d/api.sock".into()), ..Reach::default() };
        assert_eq!(socket.rewrite("start it: mosaic-fed serve"), "start it: mosaic-fed -C /d serve");
    }

    #[test]
    fn another_one_is_not_asked_to_act_as_the_caller_and_what_was_printed_is_left_alone() {
        let text = reach().rewrite("ask its operator to run `mosaic-fed user add NAME`");
        assert!(text.contains("--workspace side user add NAME`") && !text.contains("--as"), "{text}");
        let there = "ask its owner for a new one, who types `mosaic-fed grant invite x` there";
        assert_eq!(reach().rewrite(there), there);
        let printed = "paste what `mosaic-fed invite` printed, then `mosaic-fed links`";
        let rewritten = reach().rewrite(printed);
        assert!(rewritten.contains("`mosaic-fed invite` printed") && rewritten.contains("side links`"), "{rewritten}");
    }
}
