//! Types commands with `--json`, holds what they print to the schemas of `docs/api/commands`, and knows at the end which command, which
//! way of printing and which field it has not seen.

use super::form::Form;
use crate::{
    harness::{Instance, Ran, finish, program, tell},
    watch::lines,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Stdio,
    time::Duration,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/commands");

/// Fields that nothing prints here, and why.
const UNSEEN: [(&str, &str); 46] = [
    ("AwaitEntry.reason", "two calls would have to want one name; `together` of `tests` sees it"),
    ("CollectorView.at", SENT),
    ("CollectorView.failed_at", SENT),
    ("CollectorView.failure", SENT),
    ("CollectorView.is_failing", SENT),
    ("CollectorView.taken_at", SENT),
    ("DegradedLink.certificate_not_after", AGED),
    ("DegradedLink.hours_left", AGED),
    ("DegradedLink.link", AGED),
    ("DegradedLink.next", AGED),
    ("DegradedLink.reason", AGED),
    ("DoubtfulGrant.id", DOUBTED),
    ("DoubtfulGrant.reason", DOUBTED),
    ("GivenList.address", LISTED),
    ("GivenList.failure", LISTED),
    ("GivenList.made_at", LISTED),
    ("GivenList.next_at", LISTED),
    ("GivenList.number", LISTED),
    ("GrantEntry.denied_by_list", LISTED),
    ("IssuerView.away_since", ISSUED),
    ("IssuerView.failure", ISSUED),
    ("IssuerView.step_ca", ISSUED),
    ("KeyEntry.doubt", DOUBTED),
    (
        "LinkCircuit.next",
        "a link would have to fail three times in a row; the suite `circuit` of `hub` sees what it comes of",
    ),
    ("LinkEntry.proxy", "a proxy would have to fail; the room `proxy` sees what people are told of it"),
    ("LinkEntry.renewal_failure", AGED),
    ("One.missing", "a row that is not found is an error; `hub::told` and the door say it"),
    ("RenewalFailure.at", AGED),
    ("RenewalFailure.next", AGED),
    ("RenewalFailure.reason", AGED),
    ("Row._late", "its source would have to be late between two pages"),
    ("Status.audit_fault", "the disk would have to be full; the room `full` sees what people are told of it"),
    ("Status.audit_head_lost", "a database would have to be put back; the room `log` does that"),
    ("Status.collector", SENT),
    ("Status.floors_failure", "the disk would have to be full; `spoke::floors` sees it"),
    ("Status.list_given", LISTED),
    ("Status.list_taken", LISTED),
    ("Status.metrics_listener", SENT),
    ("Status.proxy", SENT),
    ("TakenList.certificates", LISTED),
    ("TakenList.failure", LISTED),
    ("TakenList.made_at", LISTED),
    ("TakenList.next_at", LISTED),
    ("TakenList.number", LISTED),
    ("TakenList.seen_at", LISTED),
    ("TakenList.source", LISTED),
];
/// The room `telemetry` does that.
const SENT: &str = "it would have to be set";
/// The room `step_ca` does that.
const ISSUED: &str = "a step-ca would have to issue";
/// The suite `control` of `tests` does that.
const DOUBTED: &str = "somebody else would have to write to the database";
/// The room `lists` of `tests` does that.
const LISTED: &str = "lists of revoked certificates would have to be given and taken";
/// The suite `renewal` of `tests` has a clock of its own for that; `api` shows what is told of it.
const AGED: &str = "a certificate would have to live past two thirds of at least five minutes";

/// Judges everything that is typed through it.
pub struct Judge {
    forms: BTreeMap<String, Vec<Form>>,
    errors: Form,
    /// Commands, with the option that mattered, whose answer was as its schema says.
    answered: BTreeSet<(String, Option<String>)>,
    /// Commands that failed as `error.json` says.
    failed: BTreeSet<String>,
    /// Fields that were printed, as `Type.field`.
    printed: BTreeSet<String>,
}

impl Judge {
    /// With every schema there is.
    pub fn new() -> Self {
        let paths = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
        let schemas = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let command = |path: &std::path::Path| path.file_stem().unwrap().to_str().unwrap().replace('-', " ");
        let mut forms: BTreeMap<_, _> =
            schemas.map(|path| (command(&path), Form::read(path.to_str().unwrap()))).collect();
        let errors = forms.remove("error").unwrap().remove(0);
        // It answers whoever speaks its protocol: the suite `mcp`.
        let answered = BTreeSet::from([("mcp".to_owned(), None)]);
        Self { forms, errors, answered, failed: BTreeSet::new(), printed: BTreeSet::new() }
    }

    /// Types a command that ends with `code`, and judges what it prints.
    #[track_caller]
    pub fn ends(&mut self, code: i32, instance: &Instance, line: &str) -> Ran {
        let ran = instance.types(&format!("{line} --json"));
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        self.judge(line, &ran);
        ran
    }

    /// Types a command that ends well, and judges what it prints.
    #[track_caller]
    pub fn does(&mut self, instance: &Instance, line: &str) -> Ran {
        self.ends(0, instance, line)
    }

    /// Starts a command that does not end, and judges what it prints at first and what it prints once something happened.
    #[track_caller]
    pub fn goes_on(&mut self, instance: &Instance, line: &str, happens: impl FnOnce()) {
        let data = instance.data();
        let words = ["-C", data.to_str().unwrap()].into_iter().chain(line.split(' ')).chain(["--json"]);
        let mut command = program(&words.collect::<Vec<_>>());
        command.current_dir(instance.base.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let next = || lines.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|error| panic!("{line}: {error}"));
        let first = next();
        happens();
        let out = format!("{first}\n{}\n", next());
        tell(&child, Signal::SIGTERM);
        child.wait().unwrap();
        self.judge(line, &Ran { code: 0, out, err: String::new() });
    }

    /// Judges what a command printed: the values that its schema names or, if there is none and it failed, an error.
    #[track_caller]
    pub fn judge(&mut self, line: &str, ran: &Ran) {
        let (command, form) = form(&self.forms, line);
        let values: Vec<Value> = match form.how.as_str() {
            "value" if !ran.out.is_empty() => vec![parsed(line, &ran.out)],
            "lines" => ran.out.lines().map(|text| parsed(line, text)).collect(),
            _ => Vec::new(),
        };
        for value in &values {
            form.fits(line, value);
            self.printed.extend(form.printed(value));
        }
        let answers = if form.how == "nothing" { is_no_json(&ran.out) } else { !values.is_empty() };
        assert!(ran.code != 0 || answers, "{line} printed nothing: {ran:?}");
        if answers {
            self.answered.insert((command.clone(), form.option.clone()));
        } else {
            self.errors.fits(line, &parsed(line, ran.err.lines().next_back().unwrap_or_default()));
            self.failed.insert(command.clone());
        }
    }

    /// That every command of the program answered in each of its ways and failed as well, and that every field was printed.
    pub fn has_seen_all(&self) {
        let unsaid: Vec<_> = leaves("").into_iter().filter(|command| !self.forms.contains_key(command)).collect();
        assert!(unsaid.is_empty(), "commands of --help without a schema: {unsaid:?}");
        let one = |(command, form): (&String, &Form)| (command.clone(), form.option.clone());
        let forms = self.forms.iter().flat_map(|(command, forms)| forms.iter().map(move |form| one((command, form))));
        let unseen: Vec<_> = forms.filter(|form| !self.answered.contains(form)).collect();
        assert!(unseen.is_empty(), "never ran here, or never answered: {unseen:?}");
        let never: Vec<_> = self.forms.keys().filter(|command| !self.failed.contains(*command)).collect();
        assert!(never.is_empty(), "never failed here: {never:?}");
        let named: BTreeSet<_> = self.forms.values().flatten().flat_map(Form::names).collect();
        let missing: Vec<_> = named.difference(&self.printed).map(String::as_str).collect();
        assert_eq!(missing, UNSEEN.map(|(field, _)| field), "named by a schema, and printed by nothing here");
    }
}

/// The form in which a command line prints.
#[track_caller]
fn form<'a>(forms: &'a BTreeMap<String, Vec<Form>>, line: &str) -> (&'a String, &'a Form) {
    // An option of every command may stand before it, with its value.
    let typed = if line.starts_with("--") { line.splitn(3, ' ').nth(2).unwrap() } else { line };
    let words: Vec<_> = typed.split(' ').collect();
    let command = |count: usize| words.get(..count).map(|words| words.join(" "));
    let found = [2, 1].into_iter().filter_map(command).find_map(|command| forms.get_key_value(&command));
    let (command, forms) = found.unwrap_or_else(|| panic!("no schema for `{line}`"));
    let said = |form: &&Form| form.option.as_ref().is_some_and(|option| words.contains(&option.as_str()));
    let form = forms.iter().find(said).or_else(|| forms.iter().find(|form| form.option.is_none()));
    (command, form.unwrap())
}

#[track_caller]
fn parsed(line: &str, text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{line}: {error} in {text:?}"))
}

fn is_no_json(text: &str) -> bool {
    !text.is_empty() && serde_json::from_str::<Value>(text).is_err()
}

/// The commands below these words that have none below them, as `--help` names them.
fn leaves(words: &str) -> BTreeSet<String> {
    let typed: Vec<_> = words.split_whitespace().chain(["--help"]).collect();
    let help = finish(program(&typed)).done().out;
    let own = BTreeSet::from([words.to_owned()]);
    let Some((_, below)) = help.split_once("\nCommands:\n") else { return own };
    // One that has others below it may do something by itself as well.
    let own = if help.contains("\nArguments:\n") { own } else { BTreeSet::new() };
    let named = below.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    let named = named.filter_map(|line| line.split(' ').next()).filter(|word| !word.is_empty() && *word != "help");
    named.flat_map(|word| leaves(format!("{words} {word}").trim())).chain(own).collect()
}
