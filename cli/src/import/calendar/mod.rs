//! Calendars (RFC 5545): events and tasks, one row an occurrence. What belongs to one series is read together, whatever its
//! place in the file: the rule, the occurrences that were moved or changed, the older versions that some programs keep. A row
//! is known by its UID and by when its rule put it, so that one that was moved stays the same row.

mod fields;
mod frame;
mod series;
mod stamp;
mod zone;

pub use zone::Zone;

use super::{
    Common,
    attributes::Attributes,
    reading::{Reading, Rows, Sourced, nothing},
    report::{Refused, Tally},
    text,
    walk::File,
};
use calcard::{
    Entry, Parser,
    icalendar::{ICalendar, ICalendarComponent, ICalendarParameterName, ICalendarProperty},
};
use domain::item::NewItem;
use fields::Sort;
use frame::{Component, Frame};
use series::{Length, Meant, Rule, Series, check_rule};
use sha2::{Digest, Sha256};
use stamp::{Moment, Stamp, of_component};
use std::{collections::BTreeMap, path::Path};
use zone::Zones;

/// Bytes of all occurrences of one series at most: each has the whole text, and a short file could fill a disk.
const MAX_SERIES: usize = 64 << 20;
/// Bytes of all rows of one file at most, for the same reason: it may hold very many series.
const MAX_ROWS: usize = 1 << 30;

/// Reads a calendar. Series are worked out one after the other, and their rows made one by one.
pub fn rows<'r>(file: &'r File, reading: &'r mut Reading<'_>) -> Rows<'r> {
    let text = match text::load(file, text::MAX_FILE) {
        Ok((text, _)) => text,
        Err(reason) => return nothing(file.refuse(reason)),
    };
    let Reading { common, tally, .. } = reading;
    let (calendar, groups) = Calendar::open(file, common, text, tally);
    let broken = calendar.broken.clone().into_iter().map(Err);
    let mut room = MAX_ROWS;
    Box::new(broken.chain(groups.into_iter().flat_map(move |group| calendar.rows(&group, tally, &mut room))))
}

/// A calendar being read.
struct Calendar<'a> {
    file: &'a File,
    common: &'a Common,
    scope: String,
    name: String,
    text: String,
    zones: Zones,
    broken: Vec<Refused>,
}

/// The components of one UID.
struct Group {
    sort: Sort,
    uid: String,
    components: Vec<Component>,
}

impl<'a> Calendar<'a> {
    fn open(file: &'a File, common: &'a Common, text: String, tally: &mut Tally) -> (Self, Vec<Group>) {
        let Frame { components, others, name, broken, .. } = Frame::of(&text);
        for (name, count) in others {
            *tally.other_components.entry(name).or_default() += count;
        }
        let stem = || Path::new(&file.relative).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let mut calendar = Self {
            file,
            common,
            scope: file.scope(&common.source),
            name: name.or_else(stem).unwrap_or_default(),
            text,
            zones: Zones::new(common.zone.clone()),
            broken: broken.into_iter().map(|(line, reason)| file.refuse_line(line, reason)).collect(),
        };
        let (zones, rest): (Vec<_>, Vec<_>) = components.into_iter().partition(|one| one.kind == "VTIMEZONE");
        for zone in zones {
            let added = calendar.parse(&zone).and_then(|parsed| calendar.zones.add(&parsed));
            calendar.note(&zone, added);
        }
        let groups = calendar.groups(rest);
        (calendar, groups)
    }

    fn note(&mut self, component: &Component, done: Result<(), String>) {
        self.broken.extend(done.err().map(|reason| self.file.refuse_line(component.line, reason)));
    }

    fn parse(&self, component: &Component) -> Result<ICalendar, String> {
        let text = self.text.get(component.range.clone()).unwrap_or_default();
        match Parser::new(text).entry() {
            Entry::ICalendar(calendar) if !calendar.components.is_empty() => Ok(calendar),
            _ => Err(format!("{} is broken; export it again", component.kind)),
        }
    }

    /// Components by UID, in the order of their first. One without a UID is known by its text.
    fn groups(&mut self, components: Vec<Component>) -> Vec<Group> {
        let (mut groups, mut known) = (Vec::<Group>::new(), BTreeMap::new());
        for component in components {
            let uid = match self.parse(&component) {
                Ok(parsed) => parsed.components.first().and_then(|one| one.uid()).map(|uid| uid.trim().to_owned()),
                Err(reason) => {
                    self.note(&component, Err(reason));
                    continue;
                }
            };
            let text = self.text.get(component.range.clone()).unwrap_or_default();
            let uid = uid.filter(|uid| !uid.is_empty()).unwrap_or_else(|| hex::encode(Sha256::digest(text)));
            let sort = if component.kind == "VEVENT" { Sort::Event } else { Sort::Task };
            let place = *known.entry((sort, uid.clone())).or_insert_with(|| {
                groups.push(Group { sort, uid, components: Vec::new() });
                groups.len() - 1
            });
            groups[place].components.push(component);
        }
        groups
    }

    /// The rows of one UID, as far as there is `room` for them.
    fn rows(&self, group: &Group, tally: &mut Tally, room: &mut usize) -> Rows<'static> {
        let (parts, mut refused) = Uid { calendar: self, group, tally }.parts(&group.components);
        let mut fits =
            |part: &Part| part.take_from(room).map_err(|reason| refused.push(Refused { at: part.at.clone(), reason }));
        let parts: Vec<_> = parts.into_iter().filter(|part| fits(part).is_ok()).collect();
        Box::new(refused.into_iter().map(Err).chain(parts.into_iter().flat_map(Part::rows)))
    }
}

/// A component with what it says of when it is.
struct Dated {
    line: usize,
    component: ICalendarComponent,
    start: Option<Stamp>,
    /// The occurrence that it takes the place of.
    instead_of: Option<Stamp>,
    version: i64,
}

/// The rows of one component: all alike but for their times.
struct Part {
    at: String,
    sort: Sort,
    item: NewItem,
    key: String,
    start: Option<Stamp>,
    /// Whether a task said when it begins, and not only when it is due.
    begins: bool,
    /// Whether it says when it ends or is due.
    ends: bool,
    length: Length,
    times: Vec<(Option<Moment>, Option<Moment>)>,
    /// Whether the time is part of the key.
    recurs: bool,
}

/// One UID being read.
struct Uid<'a, 't> {
    calendar: &'a Calendar<'a>,
    group: &'a Group,
    tally: &'t mut Tally,
}

impl Uid<'_, '_> {
    fn parts(mut self, components: &[Component]) -> (Vec<Part>, Vec<Refused>) {
        let (mut parts, mut refused) = (Vec::new(), Vec::new());
        let mut dated = Vec::new();
        for component in components {
            match self.dated(component) {
                Ok(one) => dated.push(one),
                Err(reason) => refused.push(self.calendar.file.refuse_line(component.line, reason)),
            }
        }
        let dated = self.newest(dated, &mut refused);
        let (changed, masters): (Vec<_>, Vec<_>) = dated.into_iter().partition(|one| one.instead_of.is_some());
        let start = masters.first().and_then(|one| one.start.clone());
        let masters: Vec<_> = masters.into_iter().map(|one| self.master(&one, &changed)).collect();
        for part in masters.into_iter().chain(changed.iter().map(|one| self.changed(one, start.as_ref()))) {
            match part {
                Ok(part) => parts.push(part),
                Err(broken) => refused.push(broken),
            }
        }
        (parts, refused)
    }

    fn dated(&mut self, component: &Component) -> Result<Dated, String> {
        check_rule(self.calendar.text.get(component.range.clone()).unwrap_or_default())?;
        let mut parsed = self.calendar.parse(component)?.components;
        let parsed = parsed.swap_remove(0);
        let zones = &self.calendar.zones;
        let start = self.group.sort.start(&parsed, zones)?;
        if start.is_none() && self.group.sort == Sort::Event {
            return Err("an event without a DTSTART is never; add one, or leave the event out".to_owned());
        }
        let instead_of = of_component(&parsed, &ICalendarProperty::RecurrenceId, zones)?.into_iter().next();
        let ranged = parsed
            .property(&ICalendarProperty::RecurrenceId)
            .is_some_and(|entry| entry.params.iter().any(|parameter| parameter.name == ICalendarParameterName::Range));
        self.tally.ranges += u64::from(ranged);
        self.tally.floating += u64::from(start.as_ref().is_some_and(Stamp::is_floating));
        let version =
            parsed.property(&ICalendarProperty::Sequence).and_then(|entry| entry.values.first()?.as_integer());
        Ok(Dated { line: component.line, component: parsed, start, instead_of, version: version.unwrap_or(0) })
    }

    /// The last version of each occurrence; that of the others is told.
    fn newest(&self, mut dated: Vec<Dated>, refused: &mut Vec<Refused>) -> Vec<Dated> {
        dated.sort_by_key(|one| (std::cmp::Reverse(one.version), one.line));
        let mut known: BTreeMap<Option<Moment>, usize> = BTreeMap::new();
        dated.retain(|one| {
            let moment = one.instead_of.as_ref().map(Stamp::moment);
            let first = *known.entry(moment).or_insert(one.line);
            if first != one.line {
                let cause = format!(
                    "the component in line {first} has the same UID, of the same or a later version; take one of the two out"
                );
                refused.push(self.calendar.file.refuse_line(one.line, cause));
            }
            first == one.line
        });
        dated.sort_by_key(|one| one.line);
        dated
    }

    /// A series, or what is only once, without the occurrences that others take the place of.
    fn master(&mut self, one: &Dated, changed: &[Dated]) -> Result<Part, Refused> {
        let Some(start) = one.start.clone() else { return self.part(one, vec![(None, None)], false) };
        let series = Series::of(&one.component, &start, &self.calendar.zones, self.calendar.common.horizon);
        let mut series = series.map_err(|reason| self.calendar.file.refuse_line(one.line, reason))?;
        self.tally.cut += u64::from(series.cut);
        let instead = Meant::by(changed.iter().filter_map(|one| one.instead_of.as_ref()), &start);
        series.begins.retain(|moment, _| !instead.holds(*moment));
        let recurs = series.recurs || !changed.is_empty();
        let times = series.begins.into_iter().map(|(begin, end)| (Some(begin), end)).collect();
        self.part(one, times, recurs)
    }

    /// An occurrence of the series that begins at `start`, if that is in the calendar.
    fn changed(&self, one: &Dated, start: Option<&Stamp>) -> Result<Part, Refused> {
        let time = one.start.as_ref().map(Stamp::moment);
        let mut part = self.part(one, vec![(time, None)], false)?;
        if let Some(stamp) = &one.instead_of {
            part.key = format!("{}/{}", part.key, start.unwrap_or(stamp).key(stamp.moment()));
        }
        Ok(part)
    }

    fn part(&self, one: &Dated, times: Vec<(Option<Moment>, Option<Moment>)>, recurs: bool) -> Result<Part, Refused> {
        let Calendar { file, common, zones, name, scope, .. } = self.calendar;
        let sort = self.group.sort;
        let refuse = |reason: String| file.refuse_line(one.line, reason);
        let mut item = fields::item(sort, &one.component, common, name, zones).map_err(refuse)?;
        let rule = Rule::of(&one.component).map_err(refuse)?;
        let zone = one.start.as_ref().filter(|_| sort == Sort::Event).and_then(Stamp::zone_said);
        Attributes::default()
            .text("recurrence", rule.map(|rule| rule.text()))
            .text("time_zone", zone)
            .put_into(&mut item);
        check_room(item.size(), times.len()).map_err(refuse)?;
        let length = match &one.start {
            Some(start) => Length::of(&one.component, start, &sort.ends(), zones).map_err(refuse)?,
            None => Length::None,
        };
        let says = |property: &ICalendarProperty| one.component.has_property(property);
        let begins = says(&ICalendarProperty::Dtstart);
        let ends = says(&sort.ends()) || says(&ICalendarProperty::Duration);
        let (at, key, start) = (file.line(one.line), format!("{scope}/{}", self.group.uid), one.start.clone());
        Ok(Part { at, sort, item, key, start, begins, ends, length, times, recurs })
    }
}

fn check_room(size: usize, occurrences: usize) -> Result<(), String> {
    if occurrences < 2 || size.saturating_mul(occurrences) <= MAX_SERIES {
        return Ok(());
    }
    Err(format!(
        "{occurrences} occurrences of {size} bytes each are more than {MAX_SERIES} together; shorten the text, or end the \
         series sooner"
    ))
}

impl Part {
    fn take_from(&self, room: &mut usize) -> Result<(), String> {
        let size = self.item.size().saturating_mul(self.times.len());
        *room = room.checked_sub(size).ok_or_else(|| {
            format!("the rows of this calendar are more than {MAX_ROWS} bytes with it; split the file, or end its series sooner")
        })?;
        Ok(())
    }

    fn rows(mut self) -> impl Iterator<Item = Result<Sourced, Refused>> {
        std::mem::take(&mut self.times).into_iter().map(move |(begin, end)| Ok(self.row(begin, end)))
    }

    fn row(&self, begin: Option<Moment>, end: Option<Moment>) -> Sourced {
        let mut item = self.item.clone();
        let length = || self.length.end(self.start.as_ref()?, begin?);
        let end = end.or_else(length);
        let times = match self.sort {
            Sort::Event => [("start", begin), ("end", end)],
            Sort::Task if self.begins => [("start", begin), ("due", end.filter(|_| self.ends))],
            Sort::Task => [("due", begin), ("start", None)],
        };
        let times = times.into_iter().fold(Attributes::default(), |said, (name, time)| said.text(name, time));
        times.put_into(&mut item);
        let occurrence = begin.filter(|_| self.recurs).zip(self.start.as_ref());
        let key = occurrence.map(|(begin, start)| format!("{}/{}", self.key, start.key(begin)));
        item.source_key = Some(key.unwrap_or_else(|| self.key.clone()));
        Sourced { at: self.at.clone(), item }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::reading::tests::{rows_of, taken_of},
        *,
    };
    use proptest::prelude::*;

    const CALENDAR: &str = include_str!("../../../tests/data/calendar.ics");

    fn rows(text: &str) -> Vec<Result<Sourced, Refused>> {
        rows_of("x.ics", text.as_bytes(), "notes").0
    }

    #[test]
    fn a_row_has_a_key_of_its_own() {
        let keys: Vec<_> = rows(CALENDAR).into_iter().map(|row| row.unwrap().item.source_key.unwrap()).collect();
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(keys.len(), different.len());
        assert!(keys.contains(&"src/fortnight/2026-04-13T15:00:00Z".to_owned()), "one that was moved keeps its key");
        assert!(keys.contains(&"src/once-utc".to_owned()));
    }

    /// A series of one event with these lines.
    fn series_of(lines: &str) -> Vec<Result<Sourced, Refused>> {
        rows(&format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nSUMMARY:a\n{lines}END:VEVENT\nEND:VCALENDAR\n"))
    }

    #[test]
    fn a_zone_is_named_as_the_database_does_where_it_is_the_same() {
        let berlin = "BEGIN:STANDARD\nDTSTART:16010101T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0100\nEND:STANDARD\n";
        let tokyo = berlin.replace("+0100", "+0900");
        let zone = |name: &str, own: &str| {
            let own = format!("BEGIN:VTIMEZONE\nTZID:{name}\n{own}END:VTIMEZONE\n");
            let event = format!("BEGIN:VEVENT\nUID:a\nSUMMARY:a\nDTSTART;TZID={name}:20260101T090000\nEND:VEVENT\n");
            let text = format!("BEGIN:VCALENDAR\n{own}{event}END:VCALENDAR\n");
            let item = rows(&text).remove(0).unwrap().item;
            item.attributes["time_zone"].as_str().unwrap().to_owned()
        };
        assert_eq!(zone("W. Europe Standard Time", berlin), "Europe/Berlin");
        assert_eq!(zone("W. Europe Standard Time", &tokyo), "W. Europe Standard Time", "its clocks show another time");
        assert_eq!(zone("Europe/Berlin", berlin), "Europe/Berlin");
        assert_eq!(zone("Our office", berlin), "Our office");
    }

    #[test]
    fn a_series_whose_texts_would_fill_a_disk_is_refused() {
        let lines = |size: usize| {
            let text = "x".repeat(size);
            format!("DTSTART:20260101T090000Z\nRRULE:FREQ=DAILY;COUNT=300\nDESCRIPTION:{text}\n")
        };
        assert_eq!(series_of(&lines(100_000)).len(), 300);
        let refused = series_of(&lines(300_000)).remove(0).err().unwrap();
        assert!(refused.at == "x.ics:2" && refused.reason.contains("300 occurrences of 3000"), "{refused:?}");
    }

    #[test]
    fn a_calendar_whose_series_would_fill_a_disk_together_is_refused_where_it_does() {
        let one = |uid: usize| {
            let text = "x".repeat(200_000);
            format!(
                "BEGIN:VEVENT\nUID:{uid}\nSUMMARY:a\nDTSTART:20260101T090000Z\nRRULE:FREQ=DAILY;COUNT=300\nDESCRIPTION:{text}\nEND:VEVENT\n"
            )
        };
        let text = format!("BEGIN:VCALENDAR\n{}END:VCALENDAR\n", (0..19).map(one).collect::<String>());
        // One by one: all of them at once would fill a memory.
        let refused =
            taken_of("x.ics", text.as_bytes(), "notes", |rows| rows.filter_map(Result::err).collect::<Vec<_>>()).0;
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused[0].at == "x.ics:121" && refused[0].reason.contains("split the file"), "{refused:?}");
    }

    #[test]
    fn very_many_dates_exceptions_and_changes_take_no_time() {
        let start = chrono::NaiveDate::from_ymd_opt(2000, 1, 1).unwrap().and_time(chrono::NaiveTime::MIN);
        let time = |minutes: i64| (start + chrono::TimeDelta::minutes(minutes)).format("%Y%m%dT%H%M%S").to_string();
        let times =
            |count: i64, from: i64| (0..count).map(|number| time(2 * number + from)).collect::<Vec<_>>().join(",");
        let zoned = |name: &str, times: &str| format!("{name};TZID=Europe/Berlin:{times}\n");
        let first = zoned("DTSTART", "20000101T000000");
        let many = [zoned("RDATE", &times(5_000, 0)), zoned("EXDATE", &times(30_000, 1))].concat();
        assert_eq!(series_of(&format!("{first}{many}")).len(), 5_000);
        let refused = series_of(&format!("{first}{}", zoned("RDATE", &times(20_000, 0)))).remove(0).err().unwrap();
        assert!(refused.reason.contains("more than 5000 occurrences"), "{refused:?}");
        let change = |number: i64| {
            let time = time(2 * number + 1);
            let lines = [zoned("RECURRENCE-ID", &time), zoned("DTSTART", &time)].concat();
            format!("END:VEVENT\nBEGIN:VEVENT\nUID:a\nSUMMARY:b\n{lines}")
        };
        let changes: String = (0..5_000).map(change).collect();
        assert_eq!(series_of(&format!("{first}RRULE:FREQ=DAILY;COUNT=5000\n{changes}")).len(), 10_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_calendar_makes_the_reader_panic(
            edits in prop::collection::vec((0_usize..200, "[A-Z]{0,5}[;:=]{0,2}[A-Z0-9=,;/+: -]{0,16}"), 1..6),
            places in prop::collection::vec((0_usize..200, "[0-9TZ+=;:-]{1,6}"), 0..6),
        ) {
            let mut lines: Vec<_> = CALENDAR.lines().map(ToOwned::to_owned).collect();
            for (line, tail) in places {
                let line = line % lines.len();
                let kept = lines[line].len() * 2 / 3;
                lines[line].truncate(kept);
                lines[line].push_str(&tail);
            }
            for (line, text) in edits {
                lines.insert(line % lines.len(), text);
            }
            prop_assert!(rows(&lines.join("\n")).len() < 20 * series::MAX_OCCURRENCES);
        }
    }
}
