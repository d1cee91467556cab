//! When an event or a task is: once, or as often as its rules say (RFC 5545 section 3.8.5). Rules are followed as clocks show
//! the time, so that a meeting at nine stays at nine when clocks are set; only then is the instant of each looked up.

use super::{
    stamp::{Moment, Stamp, of_component},
    zone::{Zone, Zones, naive},
};
use calcard::{
    common::{PartialDateTime, timezone::Tz},
    icalendar::{
        ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarDuration, ICalendarEntry, ICalendarProperty,
        ICalendarRecurrenceRule, ICalendarValue,
    },
};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use std::collections::{BTreeMap, HashSet};

/// Occurrences of one series at most.
pub const MAX_OCCURRENCES: usize = 5_000;

/// A recurrence rule whose end is as clocks show it.
#[derive(Clone, Debug)]
pub struct Rule(ICalendarRecurrenceRule);

impl Rule {
    /// The component's rule, if it has one. Of several, which newer calendars do not have, none is left out silently.
    pub fn of(component: &ICalendarComponent) -> Result<Option<Self>, String> {
        let rules: Vec<_> = component.entries.iter().filter(|entry| entry.name == ICalendarProperty::Rrule).collect();
        if component.has_property(&ICalendarProperty::Exrule) || rules.len() > 1 {
            return Err(
                "more than one rule, which RFC 5545 no longer has; export it again from a newer program".to_owned()
            );
        }
        match rules.first().map(|entry| entry.values.first()) {
            None => Ok(None),
            Some(Some(ICalendarValue::RecurrenceRule(rule))) if rule.rscale.is_none() => {
                Ok(Some(Self((**rule).clone())))
            }
            Some(Some(ICalendarValue::RecurrenceRule(_))) => {
                Err("a rule of another calendar than the Gregorian one (RSCALE); export it again without".to_owned())
            }
            Some(_) => Err("RRULE is broken; write it as in FREQ=WEEKLY;COUNT=10".to_owned()),
        }
    }

    /// The same with its end as clocks show it there. A rule that ends with a day ends with all of that day.
    pub fn in_zone(&self, zone: &Zone) -> Self {
        let end = self.0.until.as_ref().and_then(|until| Some((until.has_time(), until.to_date_time()?)));
        let end = end.map(|(has_time, until)| match until.offset {
            Some(offset) => zone.wall((until.date_time - offset).and_utc().timestamp()),
            None if has_time => until.date_time,
            None => last_of(until.date_time.date()),
        });
        end.map_or_else(|| self.clone(), |end| self.until(end))
    }

    /// As the calendar writes it.
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    fn is_endless(&self) -> bool {
        self.0.until.is_none() && self.0.count.is_none()
    }

    fn until(&self, end: NaiveDateTime) -> Self {
        Self(ICalendarRecurrenceRule { until: Some(written(end)), ..self.0.clone() })
    }
}

/// Refuses a rule of which the parser would leave a part out and follow the rest: without its COUNT=0 it would never end.
/// `text` is that of a component.
pub fn check_rule(text: &str) -> Result<(), String> {
    let is_rule = |line: &&str| {
        line.get(..6).is_some_and(|head| ["RRULE:", "RRULE;"].iter().any(|key| head.eq_ignore_ascii_case(key)))
    };
    let mut lines = text.lines().skip_while(|line| !is_rule(line));
    let Some(first) = lines.next() else { return Ok(()) };
    let rest = lines.take_while(|line| line.starts_with([' ', '\t'])).map(|line| &line[1..]);
    let rule: String = std::iter::once(first).chain(rest).collect();
    let parts = rule.split_once(':').map_or("", |(_, parts)| parts).trim();
    let odd = parts.split(';').filter(|part| !part.is_empty()).find(|part| !is_part(part));
    odd.map_or(Ok(()), |part| {
        Err(format!("RRULE has a part that cannot be followed: `{}`; correct it", domain::audit::one_line(part)))
    })
}

fn is_part(part: &str) -> bool {
    const KNOWN: [&str; 12] = [
        "FREQ",
        "UNTIL",
        "BYSECOND",
        "BYMINUTE",
        "BYHOUR",
        "BYDAY",
        "BYMONTHDAY",
        "BYYEARDAY",
        "BYWEEKNO",
        "BYMONTH",
        "BYSETPOS",
        "WKST",
    ];
    let Some((name, value)) = part.split_once('=') else { return false };
    match name.trim().to_uppercase().as_str() {
        "COUNT" => value.trim().parse::<u32>().is_ok_and(|count| count > 0),
        "INTERVAL" => value.trim().parse::<u16>().is_ok_and(|interval| interval > 0),
        "RSCALE" => true,
        name => KNOWN.contains(&name) && !value.trim().is_empty(),
    }
}

fn written(wall: NaiveDateTime) -> PartialDateTime {
    PartialDateTime::from_naive_timestamp(wall.and_utc().timestamp())
}

fn last_of(day: NaiveDate) -> NaiveDateTime {
    day.and_time(NaiveTime::MIN) + TimeDelta::seconds(86_399)
}

/// What clocks show at each occurrence, the first one, which counts, included; at most `limit` of them.
pub fn walls(start: NaiveDateTime, rule: &Rule, limit: usize) -> Result<Vec<NaiveDateTime>, String> {
    let event = ICalendarComponent {
        component_type: ICalendarComponentType::VEvent,
        entries: vec![
            ICalendarEntry::new(ICalendarProperty::Dtstart).with_value(written(start)),
            ICalendarEntry::new(ICalendarProperty::Rrule).with_value(rule.0.clone()),
        ],
        component_ids: Vec::new(),
    };
    let expanded = ICalendar { components: vec![event] }.expand_dates(Tz::Floating, limit);
    if let Some(wrong) = expanded.errors.first() {
        return Err(format!("RRULE cannot be followed: {}; correct it", wrong.error));
    }
    let mut walls: Vec<_> = expanded.events.iter().map(|event| event.start.naive_local()).collect();
    if walls.first() != Some(&start) {
        walls.insert(0, start);
        walls.truncate(rule.0.count.map_or(limit, |count| count as usize));
    }
    Ok(walls)
}

/// How long each occurrence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It says no end.
    None,
    /// So many days, the first one counted.
    Days(i64),
    /// So many seconds, clocks or no clocks.
    Exact(i64),
    /// So many seconds as clocks show them: a night from 23 to 6 ends at 6 also when clocks are set in it.
    Shown(i64),
    /// So many days as clocks show them, then so many seconds.
    Nominal(i64, i64),
}

impl Length {
    /// From the start to the time of `ends` (DTEND or DUE), or by DURATION. A day that something is due counts itself, and
    /// one that an event ends with is the day after its last.
    pub fn of(
        component: &ICalendarComponent,
        start: &Stamp,
        ends: &ICalendarProperty,
        zones: &Zones,
    ) -> Result<Self, String> {
        let last = i64::from(*ends == ICalendarProperty::Due);
        if let Some(end) = of_component(component, ends, zones)?.first() {
            return Self::between(start, end, last).ok_or_else(|| {
                format!("{} is before DTSTART, or one is a day and the other a time; correct it", ends.as_str())
            });
        }
        match component.property(&ICalendarProperty::Duration).map(|entry| entry.values.first()) {
            Some(Some(ICalendarValue::Duration(duration))) if !duration.neg => Ok(Self::lasting(start, duration, last)),
            Some(_) => Err("DURATION is broken; write it as in PT1H30M".to_owned()),
            None if start.is_day => Ok(Self::Days(1)),
            None => Ok(Self::None),
        }
    }

    fn between(start: &Stamp, end: &Stamp, last: i64) -> Option<Self> {
        match (start.moment(), end.moment()) {
            // Some programs write the day itself as the end of one day.
            (Moment::Day(first), Moment::Day(end)) => {
                (end >= first).then(|| Self::Days(((end - first).num_days() + last).max(1)))
            }
            (Moment::At(first), Moment::At(last)) if last < first => None,
            (Moment::At(_), Moment::At(_)) if start.zone_name == end.zone_name => {
                Some(Self::Shown((end.wall - start.wall).num_seconds()))
            }
            (Moment::At(first), Moment::At(last)) => Some(Self::Exact(last - first)),
            _ => None,
        }
    }

    fn lasting(start: &Stamp, duration: &ICalendarDuration, last: i64) -> Self {
        let days = i64::from(duration.weeks) * 7 + i64::from(duration.days);
        let rest = i64::from(duration.hours) * 3_600 + i64::from(duration.minutes) * 60 + i64::from(duration.seconds);
        if start.is_day { Self::Days((days + last).max(1)) } else { Self::Nominal(days, rest) }
    }

    /// When an occurrence that begins then ends. Of days it is the last one.
    pub fn end(self, start: &Stamp, begins: Moment) -> Option<Moment> {
        match (self, begins) {
            (Self::Days(days), Moment::Day(first)) => {
                Some(Moment::Day(first.checked_add_signed(TimeDelta::try_days(days - 1)?)?))
            }
            (Self::Exact(seconds), Moment::At(begins)) => Some(Moment::At(begins + seconds)),
            (Self::Shown(seconds), Moment::At(begins)) => {
                let wall = start.zone.wall(begins).checked_add_signed(TimeDelta::try_seconds(seconds)?)?;
                Some(Moment::At(start.zone.instant(wall)))
            }
            (Self::Nominal(days, seconds), Moment::At(begins)) => {
                let wall = start.zone.wall(begins).checked_add_signed(TimeDelta::try_days(days)?)?;
                Some(Moment::At(start.zone.instant(wall) + seconds))
            }
            _ => None,
        }
    }
}

/// The occurrences of a component, and whether there are more after the horizon.
#[derive(Debug)]
pub struct Series {
    /// Beginnings in order, each with an end of its own where it has one.
    pub begins: BTreeMap<Moment, Option<Moment>>,
    /// Whether a rule or a date makes it a series.
    pub recurs: bool,
    /// Whether the rule goes on after the horizon.
    pub cut: bool,
}

impl Series {
    /// By the component's rule, dates and exceptions. A rule without an end is followed to the end of `horizon`; its first
    /// occurrence is there even so.
    pub fn of(
        component: &ICalendarComponent,
        start: &Stamp,
        zones: &Zones,
        horizon: NaiveDate,
    ) -> Result<Self, String> {
        let rule = Rule::of(component)?;
        let endless = rule.as_ref().is_some_and(Rule::is_endless);
        let mut begins: BTreeMap<_, _> = [(start.moment(), None)].into();
        if let Some(rule) = &rule {
            // A day more than asked for: what is too late in one zone is not in another.
            let end = last_of(horizon) + TimeDelta::days(1);
            let rule = if endless { rule.until(end.max(start.wall)) } else { rule.in_zone(&start.zone) };
            let walls = walls(start.wall, &rule, MAX_OCCURRENCES + 1)?;
            begins.extend(walls.into_iter().map(|wall| (start.at(wall), None)));
        }
        if endless {
            let first = start.moment();
            begins.retain(|moment, _| *moment == first || day(*moment) <= horizon);
        }
        let said = component.entries.iter().filter(|entry| entry.name == ICalendarProperty::Rdate);
        check_count(said.map(|entry| entry.values.len()).sum())?;
        let dates = of_component(component, &ICalendarProperty::Rdate, zones)?;
        let recurs = rule.is_some() || !dates.is_empty();
        begins.extend(dates.iter().map(|stamp| (stamp.moment(), stamp.end)));
        let excluded = of_component(component, &ICalendarProperty::Exdate, zones)?;
        let excluded = Meant::by(&excluded, start);
        begins.retain(|moment, _| !excluded.holds(*moment));
        check_count(begins.len())?;
        Ok(Self { begins, recurs, cut: endless })
    }
}

fn check_count(occurrences: usize) -> Result<(), String> {
    if occurrences <= MAX_OCCURRENCES {
        return Ok(());
    }
    Err(format!(
        "a series of more than {MAX_OCCURRENCES} occurrences; end it sooner, or name an earlier day with --until"
    ))
}

/// The occurrences of a series that exceptions or changes mean: by their instant, or by their day where either is only a day.
pub struct Meant<'a> {
    start: &'a Stamp,
    moments: HashSet<Moment>,
    /// Said as days.
    days: HashSet<NaiveDate>,
    /// Of those said as times.
    dates: HashSet<NaiveDate>,
}

impl<'a> Meant<'a> {
    /// Those that these times mean, of a series that begins at `start`.
    pub fn by<'s>(stamps: impl IntoIterator<Item = &'s Stamp>, start: &'a Stamp) -> Self {
        let mut meant = Self { start, moments: HashSet::new(), days: HashSet::new(), dates: HashSet::new() };
        for stamp in stamps {
            let said = if stamp.is_day { &mut meant.days } else { &mut meant.dates };
            said.insert(stamp.wall.date());
            meant.moments.insert(stamp.moment());
        }
        meant
    }

    /// Whether the occurrence at this moment is one of them.
    pub fn holds(&self, moment: Moment) -> bool {
        let by_day = || match moment {
            Moment::At(_) if self.days.is_empty() => false,
            Moment::At(instant) => self.days.contains(&self.start.zone.wall(instant).date()),
            Moment::Day(day) => self.dates.contains(&day),
        };
        self.moments.contains(&moment) || by_day()
    }
}

fn day(moment: Moment) -> NaiveDate {
    match moment {
        Moment::Day(day) => day,
        Moment::At(instant) => naive(instant).date(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_followed_whole_or_not_at_all() {
        let check =
            |rule: &str| check_rule(&format!("BEGIN:VEVENT\r\nSUMMARY:a\r\nRRULE:{rule}\r\nDTSTART:20260101\r\n"));
        for rule in ["FREQ=DAILY", "freq=weekly;interval=2;byday=mo,\r\n tu;count=3", "FREQ=YEARLY;UNTIL=20270101;"] {
            assert_eq!(check(rule), Ok(()), "{rule}");
        }
        for (rule, part) in [
            ("FREQ=DAILY;COUNT=0", "COUNT=0"),
            ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0"),
            ("FREQ=DAILY;INTERVAL=70000", "INTERVAL=70000"),
            ("FREQ=DAILY;BYEASTER=1", "BYEASTER=1"),
            ("FREQ=DAILY;COUNT", "COUNT"),
            ("FREQ=DAILY;BYDAY=", "BYDAY="),
        ] {
            assert!(check(rule).unwrap_err().contains(&format!("`{part}`")), "{rule}");
        }
        assert_eq!(check_rule("BEGIN:VEVENT\nSUMMARY:RRULE:COUNT=0\n RRULE:COUNT=0\n"), Ok(()));
    }
}
