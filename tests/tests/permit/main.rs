//! No permit, no rows; no release, no answer: what must not compile does not.
//!
//! Each file of `cases` is a way round the decision or the audit log. A line that the compiler must refuse ends in
//! `//~ CODE words`; a file without such a line must compile, which shows that the others fail for their own reason. The cases
//! are compiled against the libraries that this very test run built: a second build of everything would cost minutes.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An error of the compiler, or one that a case expects.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Refusal {
    line: u64,
    code: String,
    words: String,
}

/// What the marked lines of a case expect.
fn expected(source: &str) -> Vec<Refusal> {
    let marked = source.lines().zip(1..).filter_map(|(text, line)| Some((text.split_once("//~ ")?.1, line)));
    let parts = marked.filter_map(|(mark, line)| Some((mark.split_once(' ')?, line)));
    parts.map(|((code, words), line)| Refusal { line, code: code.to_owned(), words: words.to_owned() }).collect()
}

/// The errors in the compiler's output, one JSON value a line. Its closing summary has no place in the file and is left out.
fn found(output: &str) -> Vec<Refusal> {
    let values = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    values.filter(|value| value["level"] == "error").filter_map(|value| refusal(&value)).collect()
}

fn refusal(value: &Value) -> Option<Refusal> {
    let span = value["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Refusal {
        line: span["line_start"].as_u64()?,
        code: text(&value["code"]["code"]),
        words: text(&value["message"]),
    })
}

/// Runs a program and returns what it printed to stdout and stderr.
fn run(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The library of a member as this workspace's build has it.
fn library(artifacts: &str, member: &str) -> PathBuf {
    let values = artifacts.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_member = |value: &Value| value["reason"] == "compiler-artifact" && value["target"]["name"] == member;
    let files = values.filter(is_member).flat_map(|value| value["filenames"].as_array().cloned().unwrap_or_default());
    let paths = files.filter_map(|file| file.as_str().map(PathBuf::from));
    let rlib = paths.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "rlib"));
    rlib.unwrap_or_else(|| panic!("cargo built no library of {member}"))
}

/// `rustc` with the members' libraries at hand; metadata is enough to be refused.
fn compiler(scratch: &Path) -> impl Fn(&Path) -> Vec<Refusal> {
    let cargo = Path::new(env!("CARGO"));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The README's own command, word for word: all of it is fresh, and so is what it says of the libraries' places.
    let arguments = ["test", "--workspace", "--no-run", "--locked", "--message-format", "json"];
    let (artifacts, complaints) = run(Command::new(cargo).args(arguments).current_dir(here));
    assert!(artifacts.contains(r#"{"reason":"build-finished","success":true}"#), "{complaints}");
    let libraries = ["domain", "store"].map(|member| (member, library(&artifacts, member)));
    let rustc = cargo.with_file_name("rustc");
    let scratch = scratch.to_owned();
    move |case| {
        let mut command = Command::new(&rustc);
        command.args(["--edition", "2024", "--crate-type", "bin", "--emit", "metadata", "--error-format", "json"]);
        command.args(["--cap-lints", "allow", "--out-dir"]).arg(&scratch).arg(case);
        for (member, path) in &libraries {
            command.arg("--extern").arg(format!("{member}={}", path.display()));
            command.arg("-L").arg(path.with_file_name("")).arg("-L").arg(path.with_file_name("deps"));
        }
        found(&run(&mut command).1)
    }
}

#[test]
fn a_way_round_the_decision_or_the_audit_log_does_not_compile() {
    let scratch = tempfile::tempdir().unwrap();
    let compile = compiler(scratch.path());
    let cases = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/permit/cases")).unwrap();
    let cases: Vec<PathBuf> = cases.map(|entry| entry.unwrap().path()).collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let mut refusals = compile(case);
        refusals.sort();
        if refusals != expected(&fs::read_to_string(case).unwrap()) {
            wrong.push(format!("{}: {refusals:#?}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let lawful = cases.iter().filter(|case| case.ends_with("the_lawful_way.rs")).count();
    assert!(lawful == 1 && cases.len() > 10, "{} cases", cases.len());
}

#[test]
fn a_case_that_compiles_or_fails_elsewhere_is_noticed() {
    let marked = "fn main() {\n    forge(); //~ E0451 field is private\n}";
    let refusal = |line| Refusal { line, code: "E0451".into(), words: "field is private".into() };
    assert_eq!(expected(marked), [refusal(2)]);
    let message = r#"{"level":"error","message":"field is private","code":{"code":"E0451"},"spans":[{"line_start":3,"is_primary":true}]}"#;
    let summary = r#"{"level":"error","message":"aborting due to 1 previous error","code":null,"spans":[]}"#;
    assert_eq!(found(&format!("{message}\n{summary}")), [refusal(3)]);
    assert_ne!(found(message), expected(marked));
    assert_ne!(found(""), expected(marked));
}
