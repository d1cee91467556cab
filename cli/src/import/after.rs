//! What a person does after an import, by what came of it: look at the rows, do in earnest what was checked, mend what was
//! refused, or find out why nothing was found.

use super::{ImportArgs, format, report::Report};
use crate::{config::shell_word, out::Out};
use clap::ValueEnum;
use domain::id::Resource;
use std::{fs, path::Path};

/// Refusals that are said again at the end, where all were refused and there are more than a screen holds.
const FIRST: usize = 3;
const SCREEN: usize = 20;

/// An import as it was typed.
pub struct Typed {
    path: String,
    /// `--format` and the word after it.
    format: Option<String>,
    others: Vec<String>,
}

impl Typed {
    /// Its words, but for those that say what to do with the rows.
    pub fn of(args: &ImportArgs) -> Self {
        let word = |value: &dyn ToString| shell_word(&value.to_string());
        let format = args.format.as_ref().and_then(ValueEnum::to_possible_value);
        let others = [
            (args.kind.as_str() != super::NOTES).then(|| format!("--kind {}", args.kind)),
            args.team.as_ref().map(|team| format!("--team {}", word(team))),
            args.moves.then(|| "--move".to_owned()),
            args.project.as_ref().map(|project| format!("--project {}", word(project))),
            args.source.as_ref().map(|source| format!("--source {}", word(source))),
            args.until.as_ref().map(|until| format!("--until {until}")),
            args.time_zone.map(|zone| format!("--time-zone {}", zone.name())),
            args.follow_links.then(|| "--follow-links".to_owned()),
        ];
        Self {
            path: word(&args.path.display()),
            format: format.map(|format| format!("--format {}", format.get_name())),
            others: others.into_iter().flatten().collect(),
        }
    }

    /// The command without these of its words, and with one more.
    fn command(&self, format: Option<&str>, more: Option<&str>) -> String {
        let words = ["import", &self.path].into_iter().chain(format);
        words.chain(self.others.iter().map(String::as_str)).chain(more).collect::<Vec<_>>().join(" ")
    }

    /// The command with another source, as a check or not.
    pub fn of_source(&self, source: &str) -> String {
        let others = self.others.iter().filter(|word| !word.starts_with("--source ")).cloned().collect();
        let (path, format) = (self.path.clone(), self.format.clone());
        Self { path, format, others }.again(Some(&format!("--source {}", shell_word(source))))
    }

    fn again(&self, more: Option<&str>) -> String {
        self.command(self.format.as_deref(), more)
    }
}

/// Says what came of it where that needs words, and gives the next command; `kind` is that of the rows.
pub fn next(typed: &Typed, root: &Path, report: &Report, kind: &Resource, out: &Out) -> String {
    let refused = report.refused.len() as u64 + report.further_refused;
    match report {
        Report { read: 0, .. } => {
            out.remark(&format!("nothing importable was found in {}: {}", typed.path, nothing(typed, root)));
            // A folder's files of another format are taken without it.
            typed
                .format
                .as_ref()
                .filter(|_| root.is_dir())
                .map_or("import --help".to_owned(), |_| typed.command(None, None))
        }
        Report { read, .. } if *read == refused => {
            if !out.json && report.refusals().count() > SCREEN {
                out.remark(&format!("all {refused} were refused, the first of them for these reasons:"));
                report.refusals().take(FIRST).for_each(|refusal| out.remark(&refusal));
            }
            typed.again(Some("--check"))
        }
        Report { check: true, .. } if report.changes() => typed.again(None),
        _ => format!("list {kind}"),
    }
}

/// Why no row was found.
fn nothing(typed: &Typed, root: &Path) -> String {
    if !root.is_dir() {
        return "there is no row in it".to_owned();
    }
    if let Some(format) = &typed.format {
        return format!("of a folder, {format} takes such files alone");
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let held = match &names[..] {
        [] => "it is empty".to_owned(),
        names => format!("it holds {}", domain::say::named(names.iter().map(String::as_str))),
    };
    format!("{held}; {}", format::SEARCHED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn typed(line: &[&str]) -> Typed {
        let words = ["mosaic-fed", "import"].iter().chain(line);
        match Cli::try_parse_from(words).ok().unwrap().command {
            Command::Import(args) => Typed::of(&args),
            _ => unreachable!(),
        }
    }

    #[test]
    fn the_command_is_the_one_that_was_typed_but_for_the_check() {
        let all = [
            "my notes",
            "--kind",
            "tasks",
            "--format",
            "jsonl",
            "--team",
            "core",
            "--move",
            "--project",
            "a b",
            "--source",
            "it's",
            "--until",
            "2027-06-30",
            "--time-zone",
            "Europe/Berlin",
            "--follow-links",
            "--check",
        ];
        let wanted = "import 'my notes' --format jsonl --kind tasks --team core --move --project 'a b' --source 'it'\\''s' --until 2027-06-30 \
                      --time-zone Europe/Berlin --follow-links";
        assert_eq!(typed(&all).again(None), wanted);
        assert_eq!(typed(&["x", "--strict"]).again(Some("--check")), "import x --check");
    }

    #[test]
    fn what_lies_in_a_folder_without_anything_to_take_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(nothing(&typed(&["x"]), folder.path()).starts_with("it is empty; a folder is searched for"));
        fs::write(folder.path().join("b.pdf"), "").unwrap();
        fs::write(folder.path().join("a.docx"), "").unwrap();
        assert!(nothing(&typed(&["x"]), folder.path()).starts_with("it holds a.docx, b.pdf; a folder"));
        let limited = nothing(&typed(&["x", "--format", "markdown"]), folder.path());
        assert_eq!(limited, "of a folder, --format markdown takes such files alone");
    }
}
