//! todo.txt: one task a line, as its format's own page describes it: `x` when it is done, a priority in brackets, days,
//! `+project`, `@context` and `key:value`. The line's number moves as others come and go, so a task is known by what it says
//! and the day it was made; of lines that say the same, by which of them it is.

use super::{
    Common,
    attributes::Attributes,
    reading::{Reading, Rows, Sourced, nothing},
    text,
    walk::File,
};
use domain::{
    Time,
    id::{Project, Tag},
    item::NewItem,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, digest::Output};
use std::collections::{BTreeSet, HashMap};
use time::{Date, format_description::well_known::Iso8601};

/// How often each task was met, by its folder and what it says.
pub type Repeats = HashMap<String, HashMap<Output<Sha256>, u64>>;

/// Reads a file of lines.
pub fn rows<'r>(file: &'r File, reading: &'r mut Reading<'_>) -> Rows<'r> {
    let text = match text::load(file, text::MAX_FILE) {
        Ok((text, _)) => text,
        Err(reason) => return nothing(file.refuse(reason)),
    };
    let Reading { common, todo, .. } = reading;
    let scope = file.folder_scope(&common.source);
    let repeats = todo.entry(scope.clone()).or_default();
    let lines = text::Lines::of(text).filter(|(_, line)| !line.trim().is_empty());
    Box::new(lines.map(move |(number, line)| {
        let task = Task::of(&line).map_err(|reason| file.refuse_line(number, reason))?;
        let digest = task.digest();
        let nth = repeats.entry(digest).and_modify(|count| *count += 1).or_insert(1);
        let key = format!("{scope}/todo.txt/{}", hex::encode(digest));
        let key = if *nth == 1 { key } else { format!("{key}/{nth}") };
        Ok(Sourced { at: file.line(number), item: task.item(key, common) })
    }))
}

/// What a line says.
#[derive(Debug, Default)]
struct Task {
    done: bool,
    completed: Option<Date>,
    created: Option<Date>,
    priority: Option<char>,
    words: Vec<String>,
    projects: Vec<String>,
    contexts: BTreeSet<String>,
    due: Option<Date>,
    start: Option<Date>,
    recurrence: Option<String>,
}

impl Task {
    fn of(line: &str) -> Result<Self, String> {
        if line.len() > text::MAX_PART {
            return Err(format!("the line is longer than {} bytes; shorten it", text::MAX_PART));
        }
        let mut task = Self::default();
        let rest = task.head(line.trim());
        for word in rest.split_whitespace() {
            task.word(word)?;
        }
        if task.words.is_empty() {
            // A task may be nothing but its project, as in `+Garden @home`.
            task.words = rest.split_whitespace().map(ToOwned::to_owned).collect();
        }
        if task.words.is_empty() {
            Err("a task that says nothing; write what is to be done".to_owned())
        } else {
            Ok(task)
        }
    }

    /// What stands before the description: `x`, priority and days, in the order the format gives them.
    fn head<'a>(&mut self, line: &'a str) -> &'a str {
        let mut rest = line;
        if let Some(after) = line.strip_prefix("x ") {
            self.done = true;
            rest = after.trim_start();
        }
        rest = self.bracketed(rest);
        let (first, after) = leading_day(rest);
        let (second, last) = leading_day(after);
        match (self.done, first, second) {
            (true, completed, created @ Some(_)) => (self.completed, self.created, rest) = (completed, created, last),
            (true, completed, None) => (self.completed, rest) = (completed, after),
            (false, created, _) => (self.created, rest) = (created, after),
        }
        // Some programs write the priority after the day of completion.
        if self.done { self.bracketed(rest) } else { rest }
    }

    fn bracketed<'a>(&mut self, text: &'a str) -> &'a str {
        let bytes = text.as_bytes();
        let is_priority = matches!(bytes, [b'(', b'A'..=b'Z', b')', b' ', ..]);
        if !is_priority {
            return text;
        }
        self.priority = Some(char::from(bytes[1]));
        text[4..].trim_start()
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        let named = |mark: char| word.strip_prefix(mark).filter(|name| !name.is_empty());
        if let Some(project) = named('+') {
            self.projects.push(project.to_owned());
        } else if let Some(context) = named('@') {
            self.contexts.insert(context.to_owned());
        } else if let Some((key, value)) = word.split_once(':').filter(|(_, value)| !value.is_empty()) {
            return self.pair(key, value, word);
        } else {
            self.words.push(word.to_owned());
        }
        Ok(())
    }

    fn pair(&mut self, key: &str, value: &str, word: &str) -> Result<(), String> {
        let day = || day(value).ok_or_else(|| format!("`{word}` is no day; write it as in {key}:2026-12-01"));
        match key {
            "due" => self.due = Some(day()?),
            "t" => self.start = Some(day()?),
            "rec" => self.recurrence = Some(value.to_owned()),
            "pri" if matches!(value.as_bytes(), [b'A'..=b'Z']) => self.priority = value.chars().next(),
            _ => self.words.push(word.to_owned()),
        }
        Ok(())
    }

    /// Of what it is known by.
    fn digest(&self) -> Output<Sha256> {
        let created = self.created.map(written).unwrap_or_default();
        Sha256::digest(format!("{}\n{created}", self.words.join(" ")))
    }

    fn item(self, key: String, common: &Common) -> NewItem {
        let (title, body) = text::titled(&self.words.join(" "), None);
        let created_at = self.created.and_then(|day| format!("{}T00:00:00Z", written(day)).parse::<Time>().ok());
        let mut projects = self.projects.iter().filter_map(|name| name.parse::<Project>().ok());
        let project = projects.next();
        let further = projects.map(|project| project.to_string());
        let tags = self.contexts.iter().cloned().chain(further);
        NewItem {
            tags: tags.filter_map(|tag| tag.parse::<Tag>().ok()).collect(),
            attributes: self.attributes(),
            resource: super::tasks(),
            title,
            body,
            team: common.team.clone(),
            project: project.or_else(|| common.project.clone()),
            source_key: Some(key),
            created_at,
        }
    }

    fn attributes(&self) -> Map<String, Value> {
        let status = if self.done { "done" } else { "open" };
        let priority = self.priority.map(|letter| match letter {
            'A' => "high",
            'B' => "normal",
            _ => "low",
        });
        Attributes::default()
            .text("status", Some(status))
            .text("priority", priority)
            .text("due", self.due.map(written))
            .text("start", self.start.map(written))
            .text("completed", self.completed.map(written))
            .text("recurrence", self.recurrence.as_deref())
            .done()
    }
}

fn day(text: &str) -> Option<Date> {
    (text.len() == 10).then(|| Date::parse(text, &Iso8601::DATE).ok()).flatten()
}

/// `2026-12-01`.
fn written(day: Date) -> String {
    format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
}

fn leading_day(text: &str) -> (Option<Date>, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    day(first).map_or((None, text), |day| (Some(day), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(line: &str) -> NewItem {
        Task::of(line).unwrap().item("k".into(), &Common::of_tests("notes"))
    }

    fn facts(line: &str) -> Value {
        let item = item(line);
        json!([item.title, item.project, item.tags, Value::from(item.attributes)])
    }

    #[test]
    fn a_line_says_priority_days_project_contexts_and_keys() {
        assert_eq!(
            facts(
                "(A) 2026-11-01 Call mom +Family +Home @phone due:2026-12-01 t:2026-11-25 rec:1w see:page http://a.example"
            ),
            json!(["Call mom see:page http://a.example", "Family", ["Home", "phone"],
                {"status": "open", "priority": "high", "due": "2026-12-01", "start": "2026-11-25", "recurrence": "1w"}])
        );
        assert_eq!(item("2026-11-01 a").created_at.unwrap().to_string(), "2026-11-01T00:00:00Z");
    }

    #[test]
    fn a_done_line_has_its_days_in_their_order() {
        let done = json!({"status": "done", "completed": "2026-11-20", "priority": "low"});
        for line in
            ["x 2026-11-20 2026-11-01 a pri:D", "x 2026-11-20 2026-11-01 (D) a", "x (D) 2026-11-20 2026-11-01 a"]
        {
            assert_eq!(facts(line), json!(["a", null, [], done]), "{line}");
            assert!(item(line).created_at.is_some());
        }
        assert!(item("x 2026-11-20 a").created_at.is_none());
        for line in ["xylophone lesson", "X 2026-11-20 a", "(a) b", "(A)b", "x"] {
            assert_eq!(facts(line)[3], json!({"status": "open"}), "{line}");
        }
    }

    #[test]
    fn what_changes_about_a_task_leaves_its_key_as_it_was() {
        let key = |line: &str| Task::of(line).unwrap().digest();
        let first = key("2026-11-01 Call mom +Family");
        for line in ["(A) 2026-11-01 Call mom", "x 2026-11-20 2026-11-01 Call mom @phone due:2026-12-01"] {
            assert_eq!(key(line), first, "{line}");
        }
        assert_ne!(key("2026-11-02 Call mom"), first);
    }

    #[test]
    fn a_broken_day_or_an_empty_task_is_refused_with_what_would_be_right() {
        assert!(Task::of("a due:tomorrow").unwrap_err().contains("due:2026-12-01"));
        assert!(Task::of("a t:2026-02-30").unwrap_err().contains("t:2026-12-01"));
        assert!(Task::of("x 2026-11-20").unwrap_err().contains("says nothing"));
        assert_eq!(facts("+Garden @home")[0], "+Garden @home");
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in "(x )?(\\([A-C]\\) )?[x(A)0-9:+@é -]{0,40}") {
            let _: Result<_, _> = Task::of(&line).map(|task| task.item("k".into(), &Common::of_tests("notes")));
        }
    }
}
