//! Calendars: every occurrence of a real one as another program counts them, and what is broken told without harm to the rest.

use super::harness::Instance;
use serde_json::Value;
use std::{collections::BTreeSet, fs};

/// Events and tasks with rules over both changes of clocks, in zones of the database, of the calendar's own and without any.
const CALENDAR: &str = include_str!("../data/calendar.ics");
/// What `data/occurrences.py` printed for it.
const EXPECTED: &str = include_str!("../data/calendar.expected");

/// Every row here of a kind.
pub fn rows(instance: &Instance, kind: &str) -> Vec<Value> {
    let page = instance.types(&format!("list {kind} --from here --limit 10000 --body --json")).done().json();
    page["rows"].as_array().unwrap().clone()
}

/// Kind, title and times of each, as the expected lines have them.
fn lines(instance: &Instance) -> Vec<String> {
    let said = |row: &Value, name: &str| row["attributes"][name].as_str().unwrap_or("-").to_owned();
    let line = |kind: &str, end: &str, row: &Value| {
        format!("{kind} {} {} {}", row["title"].as_str().unwrap(), said(row, "start"), said(row, end))
    };
    let events = rows(instance, "events").iter().map(|row| line("events", "end", row)).collect::<Vec<_>>();
    let tasks = rows(instance, "tasks").iter().map(|row| line("tasks", "due", row)).collect::<Vec<_>>();
    let mut lines = [events, tasks].concat();
    lines.sort();
    lines
}

/// The expected lines with titles in the place of UIDs, which rows do not show.
fn expected() -> Vec<String> {
    let mut lines: Vec<_> = EXPECTED.lines().map(titled).collect();
    lines.sort();
    lines
}

fn titled(line: &str) -> String {
    let words: Vec<_> = line.split(' ').collect();
    let title = if line == "events fortnight 2026-04-14T17:00:00Z 2026-04-14T18:00:00Z" {
        "Plants, a day later".to_owned()
    } else {
        let component = CALENDAR.split(&format!("UID:{}\n", words[1])).nth(1).unwrap();
        let summary = component.lines().find_map(|line| line.strip_prefix("SUMMARY:")).unwrap();
        summary.replace("\\,", ",")
    };
    format!("{} {title} {} {}", words[0], words[2], words[3])
}

#[test]
fn times_without_a_zone_that_are_read_in_another_one_are_the_same_rows() {
    let instance = Instance::running("home");
    let event = |lines: &str| format!("BEGIN:VEVENT\nUID:a\nSUMMARY:Run\n{lines}END:VEVENT\n");
    let series = event("DTSTART:20261201T090000\nRRULE:FREQ=DAILY;COUNT=5\n");
    let moved = event("RECURRENCE-ID:20261203T090000\nDTSTART:20261203T110000\n");
    instance.file("run.ics", format!("BEGIN:VCALENDAR\n{series}{moved}END:VCALENDAR\n"));
    assert_eq!(instance.types("import run.ics --json").done().json()["added"], 5);
    let again = instance.types("import run.ics --time-zone Europe/Berlin --json").done().json();
    assert_eq!((&again["added"], &again["updated"]), (&0.into(), &5.into()), "{again}");
    let starts: BTreeSet<_> =
        rows(&instance, "events").iter().map(|row| row["attributes"]["start"].as_str().unwrap().to_owned()).collect();
    let wanted = ["01T08", "02T08", "03T10", "04T08", "05T08"].map(|time| format!("2026-12-{time}:00:00Z"));
    assert_eq!(starts, wanted.into());
}

#[test]
fn every_occurrence_of_a_calendar_is_where_another_program_puts_it() {
    let instance = Instance::running("home");
    instance.file("calendar.ics", CALENDAR);
    let report = instance.types("import calendar.ics --until 2027-06-30 --json").done().json();
    assert_eq!(report["added"].as_u64().unwrap(), EXPECTED.lines().count() as u64, "{report}");
    assert_eq!((&report["cut_series"], report["refused"].as_array().unwrap().len()), (&2.into(), 0), "{report}");
    let remarks = report["remarks"].to_string();
    for said in ["VJOURNAL (1)", "times without a zone: 1, read as UTC", "2027-06-30: 2"] {
        assert!(remarks.contains(said), "{said} in {remarks}");
    }
    assert_eq!(lines(&instance), expected());
    let table = instance.types("list events --limit 1000").done().out;
    assert!(table.contains("START") && table.contains("2026-03-30T07:00:00Z"), "{table}");
    let again = instance.types("import calendar.ics --until 2027-06-30 --json").done().json();
    assert_eq!((&again["unchanged"], &again["added"]), (&report["added"], &0.into()), "{again}");
    let row = &rows(&instance, "events").into_iter().find(|row| row["title"] == "Planning, the week ahead").unwrap();
    let attributes = &row["attributes"];
    assert_eq!(attributes["time_zone"], "Europe/Berlin");
    assert_eq!(attributes["recurrence"], "FREQ=WEEKLY;COUNT=8");
    assert_eq!(attributes["attendees"], serde_json::json!(["Lee, Alice", "bob@example.org"]));
    assert_eq!(
        (&attributes["organizer"], &attributes["location"]),
        (&"Dana Example".into(), &"Room 4, first floor".into())
    );
    assert_eq!(
        (&attributes["calendar"], &row["created_at"]),
        (&"Home and office".into(), &"2026-01-15T10:15:00Z".into())
    );
    assert_eq!(row["body"], "Bring the list.\nSecond line; with a semicolon and a line that is folded.");
}

#[test]
fn a_time_without_a_zone_is_read_in_the_one_that_is_said() {
    let instance = Instance::running("home");
    instance.file("calendar.ics", CALENDAR);
    instance.types("import calendar.ics --until 2026-12-31 --time-zone America/New_York").done();
    let starts: Vec<_> = rows(&instance, "events").iter().map(|row| row["attributes"]["start"].clone()).collect();
    assert!(starts.contains(&"2026-06-11T11:00:00Z".into()), "{starts:?}");
    instance.types("import calendar.ics --time-zone Berlin").fails(2, &["Berlin", "Europe/Berlin"]);
    instance.types("import calendar.ics --until soon").fails(2, &["soon", "2027-06-30"]);
}

/// As Outlook writes one.
const OUTLOOK: &str = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:o1\nSUMMARY:Outlook\n\
    DTSTART;TZID=W. Europe Standard Time:20261201T090000\nDTEND;TZID=W. Europe Standard Time:20261201T100000\n\
    ATTENDEE;CN=Anna B.:mailto:anna@example.org\nATTENDEE:mailto:bob@example.org\nEND:VEVENT\nEND:VCALENDAR\n";

#[test]
fn an_event_of_outlook_is_shown_with_a_zone_and_people_as_others_write_them() {
    let instance = Instance::running("home");
    instance.file("outlook.ics", OUTLOOK);
    instance.types("import outlook.ics").done();
    let row = &rows(&instance, "events")[0];
    assert_eq!(
        (&row["attributes"]["time_zone"], &row["attributes"]["start"]),
        (&"Europe/Berlin".into(), &"2026-12-01T08:00:00Z".into())
    );
    let shown = instance.types(&format!("get events {}", row["id"].as_str().unwrap())).done().out;
    assert!(shown.contains("attendees    Anna B., bob@example.org\n"), "{shown}");
}

/// Each with its line, and what its reason says.
const BROKEN: [(&str, &str); 9] = [
    ("BEGIN:VEVENT\nUID:b1\nSUMMARY:no start\nEND:VEVENT\n", "DTSTART"),
    ("BEGIN:VEVENT\nUID:b2\nSUMMARY:x\nDTSTART:tomorrow\nEND:VEVENT\n", "no day or time"),
    ("BEGIN:VEVENT\nUID:b3\nSUMMARY:x\nDTSTART;TZID=Nowhere/Never:20260101T090000\nEND:VEVENT\n", "Nowhere/Never"),
    ("BEGIN:VEVENT\nUID:b4\nSUMMARY:x\nDTSTART:20260101T090000Z\nRRULE:FREQ=NEVER\nEND:VEVENT\n", "RRULE"),
    (
        "BEGIN:VEVENT\nUID:b5\nSUMMARY:x\nDTSTART:20260101T090000Z\nRRULE:FREQ=SECONDLY\nEND:VEVENT\n",
        "5000 occurrences",
    ),
    (
        "BEGIN:VEVENT\nUID:b6\nSUMMARY:x\nDTSTART:20260102T090000Z\nDTEND:20260101T090000Z\nEND:VEVENT\n",
        "before DTSTART",
    ),
    ("BEGIN:VEVENT\nUID:g1\nSUMMARY:x\nDTSTART:20260101T090000Z\nEND:VEVENT\n", "same UID"),
    ("BEGIN:VEVENT\nUID:b7\nSUMMARY:x\nDTSTART:20260101T090000Z\nBEGIN:VALARM\nEND:VEVENT\n", "END:VALARM is due"),
    ("BEGIN:VEVENT\nUID:b8\nSUMMARY:cut off\n", "never ends"),
];

#[test]
fn a_broken_component_is_told_with_its_line_and_the_rest_goes_in() {
    let instance = Instance::running("home");
    let good = "BEGIN:VEVENT\nUID:g1\nSUMMARY:good\nDTSTART:20260101T090000Z\nEND:VEVENT\n";
    let mut text = format!("BEGIN:VCALENDAR\n{good}");
    let mut wanted = BTreeSet::new();
    for (component, _) in BROKEN {
        wanted.insert(format!("broken.ics:{}", text.lines().count() + 1));
        text.push_str(component);
    }
    instance.file("broken.ics", text);
    let report = instance.types("import broken.ics --json").done().json();
    let refused = report["refused"].as_array().unwrap();
    let places: BTreeSet<_> = refused.iter().map(|one| one["at"].as_str().unwrap().to_owned()).collect();
    assert_eq!((places, &report["added"]), (wanted, &1.into()), "{report}");
    for (_, reason) in BROKEN {
        assert!(refused.iter().any(|one| one["reason"].as_str().unwrap().contains(reason)), "{reason} in {report}");
    }
    assert!(refused.iter().all(|one| one["reason"].as_str().unwrap().contains("; ")), "{report}");
    let large = instance.file("large.ics", "");
    fs::File::options().write(true).open(large).unwrap().set_len((64 << 20) + 1).unwrap();
    let none = instance.types("import large.ics --json").done().json();
    assert!(none["refused"][0]["reason"].as_str().unwrap().contains("larger than 67108864 bytes"), "{none}");
    instance.file("no.ics", "hello");
    let none = instance.types("import no.ics --json").done().json();
    assert!(none["refused"][0]["reason"].as_str().unwrap().contains("BEGIN:VCALENDAR"), "{none}");
}
