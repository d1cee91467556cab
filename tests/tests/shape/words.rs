//! What no file of the project may name: it is built on machines that have neither these paths nor, always, these hosts.

use super::root;
use std::{fs, path::Path};

/// Hosts of package registries, spelled so that this file does not name them.
const HOSTS: [&str; 6] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted"),
    concat!("npmjs", "."),
    concat!("deb.", "debian"),
    concat!("proxy.", "golang"),
];

/// Directories that exist only where the project happens to be worked on.
const PLACES: [&str; 2] = [concat!("/wo", "rk/"), concat!("/fa", "rm/")];

/// Beside the checkout, where only CI may look.
const BESIDE: &str = concat!("../sha", "red");

/// What `text` must not say, with its line number.
fn faults(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found = lines.flat_map(|(at, line)| {
        let hosts = HOSTS.into_iter().filter(|host| line.contains(host) && !file.ends_with("Cargo.lock"));
        let places = PLACES.into_iter().filter(|place| is_absolute(line, place));
        let beside = (line.contains(BESIDE) && file != ".ci/run").then_some(BESIDE);
        let words: Vec<_> = hosts.chain(places).chain(beside).collect();
        words.into_iter().map(move |word| format!("{file}:{}: {word}", at + 1))
    });
    found.collect()
}

/// Whether the place begins a path: the same words further inside one are nobody's machine.
fn is_absolute(line: &str, place: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '~' | '$' | '*');
    line.match_indices(place).any(|(at, _)| !line.get(..at).is_some_and(|before| before.ends_with(inside)))
}

/// Every file of the project, without what is built or what git keeps.
fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && name != "target" && name != ".git" && name != "node_modules" {
            walk(&entry.path(), visit);
        } else if kind.is_file() {
            visit(&entry.path());
        }
    }
}

#[test]
fn no_file_names_a_registry_host_a_machine_path_or_what_lies_beside_the_checkout() {
    let root = root();
    let mut faulty = Vec::new();
    let mut files = 0;
    walk(&root, &mut |path| {
        // Binary files name nothing that a person reads.
        if let Ok(text) = fs::read_to_string(path) {
            let name = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().into_owned();
            faulty.extend(faults(&name, &text));
            files += 1;
        }
    });
    assert!(files > 100, "only {files} files were read from {}", root.display());
    assert_eq!(faulty, Vec::<String>::new());
}

#[test]
fn a_planted_word_of_each_kind_is_found() {
    let host = concat!("see https://crates", ".io/x");
    assert_eq!(faults("a.md", &format!("fine\n{host}")), [concat!("a.md:2: crates", ".io")]);
    assert_eq!(faults("Cargo.lock", host), Vec::<String>::new());
    let place = concat!("cd '/wo", "rk/x'");
    assert_eq!(faults("a.md", place), [concat!("a.md:1: /wo", "rk/")]);
    assert_eq!(faults("a.md", concat!("demo/wo", "rk/notes.md")), Vec::<String>::new());
    let beside = concat!("cat ../sha", "red/design");
    assert_eq!(faults("docs/a.md", beside), [concat!("docs/a.md:1: ../sha", "red")]);
    assert_eq!(faults(".ci/run", beside), Vec::<String>::new());
}
