//! Time zones of calendars: by their IANA names, by the rules that the calendar itself gives under a name of its own, and by
//! the names that some programs have for them (RFC 5545 section 3.6.5).

use super::{
    series::{Rule, walls},
    stamp::of_component,
};
use calcard::{
    common::{PartialDateTime, timezone::Tz as Known},
    icalendar::{ICalendar, ICalendarComponent, ICalendarProperty, ICalendarValue},
};
use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use std::{collections::HashMap, str::FromStr, sync::Arc};

/// Changes of one rule at most: some calendars begin theirs in 1601.
const MAX_CHANGES: usize = 1_000;

/// Where wall clocks show what.
#[derive(Clone, Debug)]
pub enum Zone {
    /// Always so many seconds ahead of UTC.
    Fixed(i32),
    /// As the IANA database has it.
    Iana(chrono_tz::Tz),
    /// As the calendar says: changes in order, each with the seconds ahead of UTC before and after it.
    Rules(Arc<[Change]>),
}

/// Wall clocks are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Seconds since 1970 UTC.
    at: i64,
    before: i32,
    after: i32,
}

impl Zone {
    /// The instant at which clocks show this, in seconds since 1970 UTC. A time that clocks skip is read as if they had not
    /// been set; of one that they show twice it is the first (RFC 5545 section 3.3.5).
    pub fn instant(&self, wall: NaiveDateTime) -> i64 {
        let shown = wall.and_utc().timestamp();
        let day = TimeDelta::days(1).num_seconds();
        let (before, after) = (self.ahead(shown - day), self.ahead(shown + day));
        let fits = |ahead: &i32| self.ahead(shown - i64::from(*ahead)) == *ahead;
        let ahead = [before, after].into_iter().find(fits).unwrap_or(before);
        shown - i64::from(ahead)
    }

    /// What clocks show at an instant.
    pub fn wall(&self, instant: i64) -> NaiveDateTime {
        naive(instant + i64::from(self.ahead(instant)))
    }

    /// Seconds ahead of UTC at an instant.
    fn ahead(&self, instant: i64) -> i32 {
        match self {
            Self::Fixed(ahead) => *ahead,
            Self::Iana(zone) => zone.offset_from_utc_datetime(&naive(instant)).fix().local_minus_utc(),
            Self::Rules(changes) => {
                let past = changes.partition_point(|change| change.at <= instant);
                let last = past.checked_sub(1).and_then(|last| changes.get(last)).map(|change| change.after);
                last.or_else(|| changes.first().map(|change| change.before)).unwrap_or(0)
            }
        }
    }
}

/// Seconds since 1970 as a calendar writes them; what no calendar can write is 1970.
pub fn naive(seconds: i64) -> NaiveDateTime {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc()
}

/// The zones that times may name.
#[derive(Debug)]
pub struct Zones {
    own: HashMap<String, Zone>,
    /// How times that name none are read.
    pub default: Zone,
}

impl Zones {
    /// None of the calendar's own as yet.
    pub fn new(default: Zone) -> Self {
        Self { own: HashMap::new(), default }
    }

    /// Takes a `VTIMEZONE`, or says why not.
    pub fn add(&mut self, calendar: &ICalendar) -> Result<(), String> {
        let zone = calendar.components.first().ok_or("an empty VTIMEZONE; leave it out")?;
        let name = zone.property(&ICalendarProperty::Tzid).and_then(|entry| entry.values.first()?.as_text());
        let name = name.ok_or("a VTIMEZONE without a TZID; export the calendar again")?;
        let parts = zone.component_ids.iter().filter_map(|id| calendar.component_by_id(*id));
        let mut changes = Vec::new();
        for part in parts {
            changes.extend(observance(part).map_err(|cause| format!("time zone `{name}`: {cause}"))?);
        }
        if changes.is_empty() {
            return Err(format!("time zone `{name}` says no time; export the calendar again"));
        }
        changes.sort_unstable();
        self.own.insert(name.to_owned(), Zone::Rules(changes.into()));
        Ok(())
    }

    /// The zone of this name. What IANA knows is taken as it says: a calendar's copy of it may be old.
    pub fn named(&self, name: &str) -> Result<Zone, String> {
        if let Ok(zone) = chrono_tz::Tz::from_str(name) {
            return Ok(Zone::Iana(zone));
        }
        if let Some(zone) = self.own.get(name) {
            return Ok(zone.clone());
        }
        match Known::from_str(name) {
            Ok(Known::Tz(zone)) => Ok(Zone::Iana(zone)),
            Ok(Known::Fixed(offset)) => Ok(Zone::Fixed(offset.local_minus_utc())),
            _ => Err(format!(
                "there is no time zone `{}`, and the calendar has no VTIMEZONE of it; export it again with its time zones",
                domain::audit::one_line(name)
            )),
        }
    }
}

/// The zone of the IANA database that goes by this name, its own or one that other programs have for it, as in
/// `W. Europe Standard Time` (CLDR windowsZones).
pub fn known(name: &str) -> Option<chrono_tz::Tz> {
    match Known::from_str(name) {
        Ok(Known::Tz(zone)) => Some(zone),
        _ => None,
    }
}

/// When clocks are set to this part of a zone's year.
fn observance(part: &ICalendarComponent) -> Result<Vec<Change>, String> {
    let (before, after) =
        (ahead(part, &ICalendarProperty::Tzoffsetfrom)?, ahead(part, &ICalendarProperty::Tzoffsetto)?);
    // Changes are written as clocks show them before they are set.
    let zones = Zones::new(Zone::Fixed(before));
    let start = of_component(part, &ICalendarProperty::Dtstart, &zones)?;
    let start = start.first().ok_or("DTSTART is missing; export the calendar again")?;
    let mut shown = match Rule::of(part)? {
        Some(rule) => walls(start.wall, &rule.in_zone(&Zone::Fixed(before)), MAX_CHANGES)?,
        None => vec![start.wall],
    };
    shown.extend(of_component(part, &ICalendarProperty::Rdate, &zones)?.iter().map(|stamp| stamp.wall));
    let change = |wall: NaiveDateTime| Change { at: wall.and_utc().timestamp() - i64::from(before), before, after };
    Ok(shown.into_iter().map(change).collect())
}

fn ahead(part: &ICalendarComponent, property: &ICalendarProperty) -> Result<i32, String> {
    let value = part.property(property).and_then(|entry| entry.values.first());
    let Some(ICalendarValue::PartialDateTime(offset)) = value else {
        return Err(format!("{} is missing or broken; export the calendar again", property.as_str()));
    };
    let PartialDateTime { tz_hour, tz_minute, tz_minus, .. } = **offset;
    let seconds = i32::from(tz_hour.unwrap_or(0)) * 3_600 + i32::from(tz_minute.unwrap_or(0)) * 60;
    Ok(if tz_minus { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use calcard::{Entry, Parser};

    fn wall(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").unwrap()
    }

    fn utc(zone: &Zone, text: &str) -> String {
        naive(zone.instant(wall(text))).to_string()
    }

    const OFFICE: &str = "BEGIN:VTIMEZONE\nTZID:Office\nBEGIN:STANDARD\nDTSTART:16010101T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n\
        RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\nBEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:+0100\n\
        TZOFFSETTO:+0200\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n";

    fn office() -> Zones {
        let mut zones = Zones::new(Zone::Fixed(0));
        let Entry::ICalendar(calendar) = Parser::new(OFFICE).entry() else { panic!("no calendar") };
        zones.add(&calendar).unwrap();
        zones
    }

    #[test]
    fn rules_of_a_calendar_say_what_the_database_says() {
        let (own, known) = (office().named("Office").unwrap(), Zone::Iana(chrono_tz::Europe::Berlin));
        for day in 1..=364 {
            for hour in [0, 1, 2, 3, 12] {
                let at = wall("2026-01-01T00:30:00") + TimeDelta::days(day) + TimeDelta::hours(hour);
                assert_eq!(own.instant(at), known.instant(at), "{at}");
                assert_eq!(own.wall(own.instant(at)), known.wall(known.instant(at)), "{at}");
            }
        }
    }

    #[test]
    fn a_time_that_clocks_skip_or_show_twice_has_one_instant() {
        let berlin = Zone::Iana(chrono_tz::Europe::Berlin);
        assert_eq!(utc(&berlin, "2026-03-29T02:30:00"), "2026-03-29 01:30:00");
        assert_eq!(utc(&berlin, "2026-10-25T02:30:00"), "2026-10-25 00:30:00");
        let york = Zone::Iana(chrono_tz::America::New_York);
        assert_eq!(utc(&york, "2026-03-08T02:30:00"), "2026-03-08 07:30:00");
        assert_eq!(utc(&york, "2026-11-01T01:30:00"), "2026-11-01 05:30:00");
    }

    #[test]
    fn other_programs_names_are_known_and_an_unknown_one_is_refused() {
        let zones = office();
        assert!(matches!(zones.named("W. Europe Standard Time"), Ok(Zone::Iana(_))));
        let refused = zones.named("Nowhere/Never").unwrap_err();
        assert!(refused.contains("Nowhere/Never") && refused.contains("; "), "{refused}");
    }
}
