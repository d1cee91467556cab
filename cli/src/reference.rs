//! `docs/cli.md` as the commands themselves say it: this test writes what the page must hold, and finds it there.

use crate::{args::Cli, exit::Exit};
use clap::{Arg, Command, CommandFactory};

const BEGIN: &str = "<!-- what follows is written by `UPDATE_DOCS=1 cargo test -p cli reference` -->\n";

fn reference() -> String {
    let mut root = Cli::command();
    root.build();
    let rows = Exit::ALL.map(|exit| format!("| {} | {} |\n", exit as u8, exit.meaning())).concat();
    let mut text = format!("\n## Exit codes\n\n| code | meaning |\n|---|---|\n{rows}\n## Options of every command\n\n");
    let global = root.get_arguments().filter(|arg| arg.is_global_set());
    text.extend(global.map(line));
    text.push_str("\n## Commands\n");
    leaves(&root, "mosaic-fed", &mut text);
    text
}

fn leaves(command: &Command, path: &str, text: &mut String) {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        if sub.has_subcommands() {
            leaves(sub, &path, text);
            continue;
        }
        let positional = sub.get_positionals().flat_map(|arg| [" ".to_owned(), arg.to_string()]).collect::<String>();
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        text.extend(["\n### `", &path, &positional, "`\n\n", &about, ".\n"]);
        let own = sub.get_arguments().filter(|arg| !arg.is_global_set() && !is_help(arg)).map(line);
        let own = own.collect::<String>();
        if !own.is_empty() {
            text.extend(["\n", &own]);
        }
    }
}

fn is_help(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn line(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default = arg.get_default_values().iter().filter_map(|value| value.to_str()).collect::<Vec<_>>().join(",");
    let default =
        if default.is_empty() || default == "false" { String::new() } else { format!(" (default: {default})") };
    let short = arg.get_short().map_or_else(String::new, |short| format!("-{short}, "));
    let shown = arg.to_string();
    format!("- `{}{shown}`: {help}{default}\n", if arg.is_positional() { "" } else { &short })
}

#[test]
fn the_reference_page_is_what_the_commands_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (head, written) = page.split_once(BEGIN).expect("the page has the line after which it is written");
    let wanted = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{head}{BEGIN}{wanted}")).unwrap();
    } else {
        assert!(written == wanted, "docs/cli.md is behind the commands: UPDATE_DOCS=1 cargo test -p cli reference");
    }
}
