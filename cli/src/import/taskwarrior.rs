//! What Taskwarrior's `task export` prints: a list of tasks as JSON, one object a line, or one object a line without the list.
//! A task is known by its `uuid`. Fields that are Taskwarrior's own reckoning are left out; a user's own (UDA) are told once.

use super::{
    Common,
    attributes::Attributes,
    keys::Keys,
    reading::{Reading, Rows, Sourced, nothing},
    report::{Refused, Tally},
    text,
    walk::File,
};
use domain::{
    Time,
    id::{Project, Tag},
    item::NewItem,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Deserializer, Map, Value};
use std::collections::BTreeMap;

/// What Taskwarrior works out itself, or keeps for its own use.
const OWN: [&str; 10] = ["id", "urgency", "modified", "mask", "imask", "parent", "rtype", "last", "template", "until"];

/// A task as it is printed.
#[derive(Debug, Deserialize)]
struct Task {
    uuid: String,
    description: String,
    status: String,
    entry: Option<String>,
    start: Option<String>,
    due: Option<String>,
    wait: Option<String>,
    scheduled: Option<String>,
    end: Option<String>,
    priority: Option<String>,
    project: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    depends: Option<Depends>,
    recur: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Annotation {
    entry: Option<String>,
    description: String,
}

/// A list since version 2.6; before it one text with commas.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Depends {
    List(Vec<String>),
    Text(String),
}

/// Reads a file of tasks.
pub fn rows<'r>(file: &'r File, reading: &'r mut Reading<'_>) -> Rows<'r> {
    let text = match text::load(file, text::MAX_FILE) {
        Ok((text, _)) => text,
        Err(reason) => return nothing(file.refuse(reason)),
    };
    let Reading { common, tally, .. } = reading;
    let (mut keys, scope) = (Keys::default(), file.scope(&common.source));
    let row = move |Printed { at, json }| {
        let item = json.and_then(|json| task(json)?.row(&scope, &at, &mut keys, tally, common));
        match item {
            Ok(item) => Ok(Sourced { at, item }),
            Err(reason) => Err(Refused { at, reason }),
        }
    };
    if is_one_a_line(&text) { Box::new(lines(file, text).map(row)) } else { Box::new(List::of(file, text).map(row)) }
}

/// A task as it was found, or why there is none.
struct Printed {
    at: String,
    json: Result<Value, String>,
}

impl Printed {
    /// Its JSON, if it is not larger than any row.
    fn read(text: &str) -> Result<Value, String> {
        if text.len() > text::MAX_PART {
            return Err(format!("the task is larger than {} bytes; shorten it", text::MAX_PART));
        }
        serde_json::from_str(text).map_err(|error| text::no_json(&error, EXPORT_AGAIN))
    }
}

/// Whether a line holds a whole task, so that a broken one costs no other.
fn is_one_a_line(text: &str) -> bool {
    let mut parts = text.lines().map(inner).filter(|line| !line.is_empty());
    let is_whole = |line: &str| line.starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_ok();
    parts.clone().next().is_some_and(is_whole) || parts.clone().any(is_whole) && parts.all(|line| line.starts_with('{'))
}

fn lines(file: &File, text: String) -> impl Iterator<Item = Printed> {
    text::Lines::of(text).filter_map(move |(number, line)| {
        let inner = Some(inner(&line)).filter(|inner| !inner.is_empty())?;
        Some(Printed { at: file.line(number), json: Printed::read(inner) })
    })
}

/// A list that is laid out as it likes, its tasks read one by one: the whole of it as values would be many times its size.
struct List<'f> {
    file: &'f File,
    text: String,
    at: usize,
    /// The number of the last task.
    number: usize,
    open: bool,
    ended: bool,
}

impl<'f> List<'f> {
    fn of(file: &'f File, text: String) -> Self {
        let rest = text.trim_start();
        let (at, open) = (text.len() - rest.len(), rest.starts_with('['));
        Self { file, at: at + usize::from(open), text, number: 0, open, ended: false }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// That nothing further can be read, at a line counted from here.
    fn end(&mut self, line: usize, reason: String) -> Printed {
        self.ended = true;
        let before = self.text.get(..self.at).unwrap_or_default().matches('\n').count();
        Printed { at: self.file.line(before + line), json: Err(reason) }
    }

    /// Between two tasks: goes to the next, if there is one.
    fn between(&mut self) -> Option<Printed> {
        let rest = self.rest().trim_start();
        let comma = self.number > 0 && rest.starts_with(',');
        self.at = self.text.len() - rest.len() + usize::from(comma);
        let rest = self.rest().trim_start();
        match rest.strip_prefix(']').filter(|_| self.open) {
            Some(after) if after.trim().is_empty() => self.ended = true,
            Some(_) => return Some(self.end(1, format!("more text after the end of the list; {EXPORT_AGAIN}"))),
            None if !rest.is_empty() => {}
            None if self.open => return Some(self.end(1, format!("the list never ends; {EXPORT_AGAIN}"))),
            None => self.ended = true,
        }
        None
    }
}

impl Iterator for List<'_> {
    type Item = Printed;

    fn next(&mut self) -> Option<Printed> {
        if self.ended {
            return None;
        }
        let wrong = self.between();
        if self.ended {
            return wrong;
        }
        let mut values = Deserializer::from_str(self.rest()).into_iter::<IgnoredAny>();
        let read = values.next().transpose();
        let size = values.byte_offset();
        if let Err(error) = read {
            let cause = format!("{}, and what follows it was not read", text::no_json(&error, EXPORT_AGAIN));
            return Some(self.end(error.line(), cause));
        }
        let json = Printed::read(self.rest().get(..size).unwrap_or_default().trim());
        self.at += size;
        self.number += 1;
        let uuid = json.as_ref().ok().and_then(|task| task.get("uuid")?.as_str()).unwrap_or("no uuid");
        Some(Printed { at: format!("{}: task {} ({uuid})", self.file.relative, self.number), json })
    }
}

/// A line without what makes it part of a list.
fn inner(line: &str) -> &str {
    let line = line.trim();
    let line = line.strip_prefix('[').unwrap_or(line).trim_start_matches(',');
    let line = line.trim().trim_end_matches(',');
    // The end of the list, not that of a task's own.
    match line.strip_suffix(']') {
        Some(rest) if rest.is_empty() || rest.trim_end().ends_with('}') => rest.trim(),
        _ => line,
    }
}

const EXPORT_AGAIN: &str = "export it again with `task export`";

fn task(value: Value) -> Result<Task, String> {
    let wrong = |error: serde_json::Error| format!("no task of Taskwarrior: {error}; {EXPORT_AGAIN}");
    let task: Task = serde_json::from_value(value).map_err(wrong)?;
    if task.uuid.trim().is_empty() {
        return Err(format!("a task without a uuid; {EXPORT_AGAIN}"));
    }
    Ok(task)
}

impl Task {
    /// The item, if no other has its uuid.
    fn row(
        self,
        scope: &str,
        at: &str,
        keys: &mut Keys,
        tally: &mut Tally,
        common: &Common,
    ) -> Result<NewItem, String> {
        if let Some(former) = keys.taken(&super::tasks(), &self.uuid, at) {
            return Err(format!("its uuid is that of {former}; take one of the two out"));
        }
        for name in self.rest.keys().filter(|name| !OWN.contains(&name.as_str())) {
            Tally::count(&mut tally.unknown_fields, &domain::audit::one_line(name));
        }
        let key = format!("{scope}/{}", self.uuid);
        self.item(key, common)
    }

    fn item(self, key: String, common: &Common) -> Result<NewItem, String> {
        let attributes = self.attributes()?;
        let created_at = self.entry.as_deref().map(|text| instant("entry", text)).transpose()?;
        let project = self.project.as_deref().map(str::parse::<Project>).transpose();
        let (title, body) = text::titled(&self.description, annotated(&self.annotations)?);
        Ok(NewItem {
            resource: super::tasks(),
            title,
            body,
            team: common.team.clone(),
            project: project
                .map_err(|error| format!("{error}; rename the project"))?
                .or_else(|| common.project.clone()),
            tags: self.tags.iter().filter_map(|tag| tag.parse::<Tag>().ok()).collect(),
            attributes,
            source_key: Some(key),
            created_at,
        })
    }

    fn attributes(&self) -> Result<Map<String, Value>, String> {
        let status = self.status()?;
        let time = |field: &str, text: Option<&String>| text.map(|text| instant(field, text)).transpose();
        let begins = match &self.scheduled {
            Some(_) => time("scheduled", self.scheduled.as_ref())?,
            None => time("wait", self.wait.as_ref())?,
        };
        // A task that was given up has an end, but was never completed.
        let completed = self.end.as_ref().filter(|_| status == "done");
        let priority = self.priority.as_deref().filter(|priority| !priority.is_empty());
        let attributes = Attributes::default()
            .text("status", Some(status))
            .text("due", time("due", self.due.as_ref())?)
            .text("start", begins)
            .text("completed", time("end", completed)?)
            .text("priority", priority.map(priority_word).transpose()?)
            .text("recurrence", self.recur.as_deref())
            .list("depends_on", self.depends());
        Ok(attributes.done())
    }

    /// One that is pending and started is being done.
    fn status(&self) -> Result<&'static str, String> {
        match self.status.as_str() {
            "pending" if self.start.is_some() => Ok("doing"),
            "pending" => Ok("open"),
            // The template that Taskwarrior makes further tasks of.
            "waiting" | "recurring" => Ok("waiting"),
            "completed" => Ok("done"),
            "deleted" => Ok("dropped"),
            other => Err(format!(
                "there is no status `{}`; pending, waiting, completed, deleted and recurring are known",
                domain::audit::one_line(other)
            )),
        }
    }

    fn depends(&self) -> Vec<String> {
        match &self.depends {
            Some(Depends::List(list)) => list.clone(),
            Some(Depends::Text(text)) => text.split(',').map(|uuid| uuid.trim().to_owned()).collect(),
            None => Vec::new(),
        }
    }
}

fn priority_word(letter: &str) -> Result<&'static str, String> {
    match letter {
        "H" => Ok("high"),
        "M" => Ok("normal"),
        "L" => Ok("low"),
        other => Err(format!("there is no priority `{}`; H, M and L are known", domain::audit::one_line(other))),
    }
}

/// Annotations as a list in Markdown.
fn annotated(annotations: &[Annotation]) -> Result<Option<String>, String> {
    let line = |one: &Annotation| {
        let made = one.entry.as_deref().map(|text| instant("entry", text)).transpose()?;
        let made = made.map_or_else(String::new, |made| format!("{made} "));
        // What goes on in further lines still belongs to its entry of the list.
        Ok(format!("- {made}{}", one.description.replace('\n', "\n  ")))
    };
    let lines = annotations.iter().map(line).collect::<Result<Vec<_>, String>>()?;
    Ok((!lines.is_empty()).then(|| lines.join("\n")))
}

/// `20261120T093000Z`, as Taskwarrior writes an instant, or RFC 3339.
fn instant(field: &str, text: &str) -> Result<Time, String> {
    let wrong =
        || format!("`{}` of {field} is no time; write it as in 20261120T093000Z", domain::audit::one_line(text));
    let digits =
        |range: std::ops::Range<usize>| text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let parts = [digits(0..4), digits(4..6), digits(6..8), digits(9..11), digits(11..13), digits(13..15)];
    let compact = match parts {
        [Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)]
            if text.len() == 16 && text.get(8..9) == Some("T") && text.ends_with('Z') =>
        {
            format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")
        }
        _ => text.to_owned(),
    };
    compact.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::{super::reading::tests::rows_of, *};
    use serde_json::json;

    fn tasks(text: &str) -> (Vec<Result<Sourced, Refused>>, Tally) {
        rows_of("x.json", text.as_bytes(), "notes")
    }

    const WHOLE: &str = r#"{"id":3,"description":"Bleed the radiators","due":"20261201T090000Z","wait":"20261125T000000Z",
        "depends":["u2","u3"],"entry":"20261101T080000Z","modified":"20261102T080000Z","priority":"H","project":"house.winter",
        "recur":"yearly","status":"pending","tags":["cold"],"uuid":"u1","urgency":9.1,"estimate":"PT2H",
        "annotations":[{"entry":"20261103T080000Z","description":"key is in\nthe shed"}]}"#;

    #[test]
    fn every_field_goes_where_it_belongs() {
        let (mut found, tally) = tasks(&format!("[{WHOLE}]"));
        let Sourced { item, .. } = found.remove(0).unwrap();
        assert_eq!(item.body.as_deref(), Some("- 2026-11-03T08:00:00Z key is in\n  the shed"));
        assert_eq!((item.source_key.as_deref(), item.project.unwrap().as_str()), (Some("src/u1"), "house.winter"));
        assert_eq!(item.created_at.unwrap().to_string(), "2026-11-01T08:00:00Z");
        assert_eq!(
            Value::from(item.attributes),
            json!({"status": "open", "due": "2026-12-01T09:00:00Z", "start": "2026-11-25T00:00:00Z", "priority": "high",
                "recurrence": "yearly", "depends_on": ["u2", "u3"]})
        );
        assert_eq!(tally.unknown_fields, [("estimate".to_owned(), 1)].into());
    }

    #[test]
    fn every_status_has_its_word() {
        for (said, wanted) in
            [("pending", "open"), ("waiting", "waiting"), ("completed", "done"), ("deleted", "dropped")]
        {
            let task = json!({"uuid": "u", "description": "d", "status": said, "end": "20261101T080000Z"});
            let Sourced { item, .. } = tasks(&task.to_string()).0.remove(0).unwrap();
            assert_eq!(item.attributes["status"], wanted);
            assert_eq!(item.attributes.contains_key("completed"), said == "completed");
        }
    }

    #[test]
    fn a_broken_task_is_reported_at_its_line_and_the_others_are_read() {
        let good = |uuid: &str| json!({"uuid": uuid, "description": "d", "status": "pending"}).to_string();
        let late = json!({"uuid": "u4", "description": "d", "status": "pending", "due": "soon"});
        let lines = [&good("u1"), "{\"uuid\":", &good("u1"), "{\"description\":\"d\"}", &late.to_string(), &good("u2")];
        for text in [format!("[\n{}\n]\n", lines.join(",\n")), format!("\n{}", lines.join("\n"))] {
            let (found, _) = tasks(&text);
            let places: Vec<_> =
                found.iter().map(|one| one.as_ref().map_or_else(|r| r.at.as_str(), |_| "in")).collect();
            assert_eq!(places, ["in", "x.json:3", "x.json:4", "x.json:5", "x.json:6", "in"], "{found:?}");
            assert!(
                found.iter().filter_map(|one| one.as_ref().err()).all(|refused| refused.reason.contains("; ")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_task_that_is_too_large_costs_no_other() {
        let task =
            |uuid: &str, size: usize| json!({"uuid": uuid, "description": "d".repeat(size), "status": "pending"});
        let list = json!([task("u1", 1), task("u2", 9_000_000), task("u3", 1)]);
        let line = |task: &Value| task.to_string();
        let lines: Vec<_> = list.as_array().unwrap().iter().map(line).collect();
        for text in [list.to_string(), serde_json::to_string_pretty(&list).unwrap(), lines.join("\n")] {
            let (found, _) = tasks(&text);
            assert_eq!(found.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
            let refused = found[1].as_ref().err().unwrap();
            assert!(refused.reason.contains("larger than 1048576 bytes; "), "{refused:?}");
        }
    }

    #[test]
    fn a_list_that_is_laid_out_over_lines_is_read_as_well() {
        let pretty = serde_json::to_string_pretty(
            &json!([{"uuid": "u1", "description": "d", "status": "pending", "tags": ["a"]}, 7]),
        )
        .unwrap();
        let (found, _) = tasks(&pretty);
        assert!(found[0].is_ok(), "{found:?}");
        assert!(found[1].as_ref().err().unwrap().at.contains("task 2"), "{found:?}");
        let place = |text: &str| tasks(text).0.pop().unwrap().err().unwrap().at;
        assert_eq!(place(&pretty.replace("7\n]", "7\n")), "x.json:11", "cut off");
        assert_eq!(place(&format!("{pretty} x")), "x.json:11");
        assert_eq!(place(&pretty.replace("7\n", "{\n\n7}\n")), "x.json:12", "broken in a task");
        let (broken, _) = tasks("[\n{\n\"uuid\": \"a\"\n\n");
        assert!(broken.len() == 1 && broken[0].as_ref().err().unwrap().at.starts_with("x.json:"), "{broken:?}");
        assert!(tasks("[]").0.is_empty());
    }
}
