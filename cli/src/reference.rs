//! `docs/cli.md` and `docs/kinds.md` as commands and kinds themselves say it: these tests write what the pages must hold, and find
//! it there.

use crate::{args::Cli, exit::Exit};
use clap::{Arg, Command, CommandFactory};
use domain::{
    id::{Field, Resource},
    kind::{FieldKind, Kinds, Type},
};

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
        if sub.is_subcommand_required_set() {
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
        leaves(sub, &path, text);
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

fn kinds() -> String {
    let kinds = Kinds::builtin();
    let common = format!("\n## Common fields\n\n{}", table(kinds.common()));
    let kind = |name: &Resource| {
        let is_own = |field: &(&Field, &FieldKind)| kinds.common().get(field.0) != Some(field.1);
        let own = kinds.get(name).into_iter().flat_map(|kind| &kind.fields).filter(is_own);
        format!("\n## {name}\n\n{}", table(own))
    };
    common + &kinds.names().map(kind).collect::<String>()
}

fn table<'a>(fields: impl IntoIterator<Item = (&'a Field, &'a FieldKind)>) -> String {
    let row = |(name, field): (&Field, &FieldKind)| {
        format!("| `{name}` | {} | {} | {} |\n", takes(field), word(field.class), field.about)
    };
    format!(
        "| field | type | class | what it says |\n|---|---|---|---|\n{}",
        fields.into_iter().map(row).collect::<String>()
    )
}

fn takes(field: &FieldKind) -> String {
    match field.kind {
        Type::Word => field.values.join(", "),
        kind => word(kind),
    }
}

fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

/// Compares what stands behind [`BEGIN`], or writes it.
fn is_written(page: &str, wanted: &str) {
    let path = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, written) = text.split_once(BEGIN).expect("the page has the line after which it is written");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{head}{BEGIN}{wanted}")).unwrap();
    } else {
        assert!(written == wanted, "docs/{page} is behind the code: UPDATE_DOCS=1 cargo test -p cli reference");
    }
}

#[test]
fn the_reference_page_is_what_the_commands_say() {
    is_written("cli.md", &reference());
}

#[test]
fn the_page_of_kinds_is_what_they_declare() {
    is_written("kinds.md", &kinds());
}
