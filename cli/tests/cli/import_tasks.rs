//! Tasks of other programs: Taskwarrior's export and todo.txt, whole, broken and read twice.

use super::{harness::Instance, import_calendar::rows};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Tasks of the export; each field is in some of them in every combination of the first few.
const TASKS: usize = 1_200;

fn export() -> Vec<Value> {
    let statuses = ["pending", "waiting", "completed", "deleted", "recurring"];
    let day = |number: usize| format!("2026{:02}{:02}T{:02}3000Z", 1 + number % 12, 1 + number % 28, number % 24);
    let task = |number: usize| {
        let mut task = json!({
            "id": number, "uuid": format!("00000000-0000-4000-8000-{number:012}"),
            "description": format!("Task {number} with \"quotes\", ünïcode and a \\ in it"),
            "status": statuses[number % statuses.len()], "entry": day(number), "modified": day(number + 1),
            "urgency": 1.5, "annotations": [],
        });
        let fields = [
            (2, "due", json!(day(number + 2))),
            (3, "priority", json!(["H", "M", "L"][number % 9 / 3])),
            (4, "project", json!(format!("house.{}", number % 7))),
            (5, "tags", json!(["home", format!("t{}", number % 11)])),
            (6, "depends", json!(["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"])),
            (7, "annotations", json!([{"entry": day(number), "description": "a remark"}])),
            (8, "wait", json!(day(number + 3))),
            (9, "scheduled", json!(day(number + 4))),
            (10, "recur", json!("weekly")),
            (11, "start", json!(day(number))),
            (13, "estimate", json!("PT2H")),
            (17, "githubnumber", json!(number)),
        ];
        let status = task["status"].clone();
        let fields = task.as_object_mut().map(|task| (task, fields)).unwrap();
        for (every, name, value) in fields.1 {
            if number.is_multiple_of(every) {
                fields.0.insert(name.to_owned(), value);
            }
        }
        if status == "completed" || status == "deleted" {
            fields.0.insert("end".to_owned(), json!(day(number + 5)));
        }
        task
    };
    (0..TASKS).map(task).collect()
}

fn counted(values: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts
}

#[test]
fn an_export_of_a_thousand_tasks_comes_in_with_every_field() {
    let instance = Instance::running("home");
    let tasks = export();
    let lines: Vec<_> = tasks.iter().map(Value::to_string).collect();
    instance.file("tasks.json", format!("[\n{}\n]\n", lines.join(",\n")));
    let report = instance.types("import tasks.json --json").done().json();
    assert_eq!((&report["added"], report["refused"].as_array().unwrap().len()), (&TASKS.into(), 0), "{report}");
    let (estimates, numbers) = (TASKS.div_ceil(13), TASKS.div_ceil(17));
    let wanted = format!("estimate ({estimates}), githubnumber ({numbers})");
    assert!(report["remarks"][0].as_str().unwrap().ends_with(&wanted), "{wanted}: {report}");
    let found = rows(&instance, "tasks");
    let has = |name: &str| found.iter().filter(|row| !row["attributes"][name].is_null()).count();
    let said = |name: &str| tasks.iter().filter(|task| !task[name].is_null()).count();
    assert_eq!(
        (has("due"), has("priority"), has("depends_on"), has("recurrence")),
        (said("due"), said("priority"), said("depends"), said("recur"))
    );
    let begins = tasks.iter().filter(|task| !task["wait"].is_null() || !task["scheduled"].is_null()).count();
    let completed = tasks.iter().filter(|task| task["status"] == "completed").count();
    assert_eq!((has("start"), has("completed")), (begins, completed));
    let words = counted(found.iter().map(|row| row["attributes"]["status"].to_string()));
    let wanted = counted(tasks.iter().map(|task| {
        let started = !task["start"].is_null();
        let word = match task["status"].as_str().unwrap() {
            "pending" if started => "doing",
            "pending" => "open",
            "completed" => "done",
            "deleted" => "dropped",
            _ => "waiting",
        };
        json!(word).to_string()
    }));
    assert_eq!(words, wanted);
    let projects = counted(found.iter().map(|row| row["project"].to_string()));
    assert_eq!(projects, counted(tasks.iter().map(|task| task["project"].to_string())));
    let tags = |rows: &[Value]| {
        counted(
            rows.iter().flat_map(|row| row["tags"].as_array().cloned().unwrap_or_default()).map(|tag| tag.to_string()),
        )
    };
    assert_eq!(tags(&found), tags(&tasks));
    assert_eq!(
        found.iter().filter(|row| row["body"].as_str().is_some_and(|body| body.contains("a remark"))).count(),
        TASKS.div_ceil(7)
    );
    let again = instance.types("import tasks.json --json").done().json();
    assert_eq!((&again["unchanged"], &again["added"], &again["updated"]), (&TASKS.into(), &0.into(), &0.into()));
}

#[test]
fn broken_tasks_of_an_export_are_told_and_the_rest_goes_in() {
    let instance = Instance::running("home");
    let good = |uuid: &str| json!({"uuid": uuid, "description": "good", "status": "pending"}).to_string();
    let lines = [
        good("u1"),
        "{\"uuid\":\"u2\",".to_owned(),
        json!({"uuid": "u3", "description": "x", "status": "someday"}).to_string(),
        json!({"uuid": "u4", "description": "x", "status": "pending", "due": "soon"}).to_string(),
        json!({"uuid": "u5", "status": "pending"}).to_string(),
        good("u1"),
        good("u6"),
    ];
    // Without the list around it, as older versions print it, and under a name that says nothing.
    instance.file("export.txt", lines.join("\n"));
    instance.types("import export.txt").fails(2, &["cannot be told by its name", "--format"]);
    let report = instance.types("import export.txt --format taskwarrior --json").done().json();
    let places: Vec<_> = report["refused"].as_array().unwrap().iter().map(|one| one["at"].as_str().unwrap()).collect();
    assert_eq!(places, ["export.txt:2", "export.txt:3", "export.txt:4", "export.txt:5", "export.txt:6"], "{report}");
    assert_eq!(report["added"], 2);
}

const TODO: &str = "(A) 2026-11-01 Call mom +Family @phone due:2026-12-01\n\
    Water the plants\n\
    Water the plants\n\
    x 2026-11-20 2026-11-02 Hand in the form +Work\n\
    broken due:tomorrow\n";

#[test]
fn a_todo_txt_is_known_again_wherever_its_lines_go() {
    let instance = Instance::running("home");
    instance.file("todo/todo.txt", TODO);
    let first = instance.types("import todo --json").done().json();
    assert_eq!((&first["added"], &first["refused"][0]["at"]), (&4.into(), &"todo.txt:5".into()), "{first}");
    assert_eq!(instance.types("import todo --json").done().json()["unchanged"], 4);
    assert_eq!(instance.types("import todo/todo.txt --json").done().json()["unchanged"], 4, "alone as in its folder");
    // Archived, reordered, and one of the two equal lines done.
    instance.file("todo/done.txt", "x 2026-11-20 2026-11-02 Hand in the form +Work\n");
    instance.file(
        "todo/todo.txt",
        "x 2026-11-21 Water the plants\nWater the plants\n(A) 2026-11-01 Call mom +Family @phone due:2026-12-01\n",
    );
    let moved = instance.types("import todo --json").done().json();
    assert_eq!((&moved["added"], &moved["updated"], &moved["unchanged"]), (&0.into(), &1.into(), &3.into()), "{moved}");
    let done = rows(&instance, "tasks").iter().filter(|row| row["attributes"]["status"] == "done").count();
    assert_eq!(done, 2);
}
