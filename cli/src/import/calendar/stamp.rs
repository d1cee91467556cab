//! Times of a calendar: a day, or what clocks show in a zone; and the moments that they are.

use super::zone::{Zone, Zones, known, naive};
use calcard::common::PartialDateTime;
use calcard::icalendar::{ICalendarComponent, ICalendarEntry, ICalendarPeriod, ICalendarProperty, ICalendarValue};
use chrono::{NaiveDate, NaiveDateTime};
use std::fmt;

/// A day or an instant, as rows keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// A day, wherever one is.
    Day(NaiveDate),
    /// Seconds since 1970 UTC.
    At(i64),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::At(instant) => write!(f, "{}Z", naive(*instant).format("%Y-%m-%dT%H:%M:%S")),
        }
    }
}

/// A time as it is written.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// What clocks show; the first moment of a day.
    pub wall: NaiveDateTime,
    /// Whether it is a day.
    pub is_day: bool,
    /// Where the clocks are.
    pub zone: Zone,
    /// The zone as it is named; `UTC` where the time itself says so, none where it says nothing.
    pub zone_name: Option<String>,
    /// For a period of time: when it ends.
    pub end: Option<Moment>,
}

impl Stamp {
    /// When it is.
    pub fn moment(&self) -> Moment {
        self.at(self.wall)
    }

    /// When another time of the same zone is.
    pub fn at(&self, wall: NaiveDateTime) -> Moment {
        if self.is_day { Moment::Day(wall.date()) } else { Moment::At(self.zone.instant(wall)) }
    }

    /// The name of its zone for people: that of the IANA database where other programs' name for it means the same time.
    pub fn zone_said(&self) -> Option<String> {
        let name = self.zone_name.as_deref()?;
        let known = known(name).filter(|zone| {
            let zone = Zone::Iana(*zone);
            zone.instant(self.wall) == self.zone.instant(self.wall)
        });
        Some(known.map_or(name, |zone| zone.name()).to_owned())
    }

    /// What a row at this moment of the same series is known by. Where no zone is named it is the time as it is written, which
    /// is the same in whatever zone it is read.
    pub fn key(&self, moment: Moment) -> String {
        match moment {
            Moment::At(instant) if self.is_floating() => {
                self.zone.wall(instant).format("%Y-%m-%dT%H:%M:%S").to_string()
            }
            moment => moment.to_string(),
        }
    }

    /// Whether it names no zone, and needs one.
    pub fn is_floating(&self) -> bool {
        !self.is_day && self.zone_name.is_none()
    }
}

/// Every value of this property, in order; what is no time is refused.
pub fn of_component(
    component: &ICalendarComponent,
    property: &ICalendarProperty,
    zones: &Zones,
) -> Result<Vec<Stamp>, String> {
    let entries = component.entries.iter().filter(|entry| entry.name == *property);
    let mut stamps = Vec::new();
    for entry in entries {
        if entry.values.is_empty() {
            return Err(broken(entry, ""));
        }
        for value in &entry.values {
            stamps.push(stamp(entry, value, zones)?);
        }
    }
    Ok(stamps)
}

fn stamp(entry: &ICalendarEntry, value: &ICalendarValue, zones: &Zones) -> Result<Stamp, String> {
    match value {
        ICalendarValue::PartialDateTime(time) => single(entry, time, zones),
        ICalendarValue::Period(ICalendarPeriod::Range { start, end }) => {
            let end = single(entry, end, zones)?.moment();
            Ok(Stamp { end: Some(end), ..single(entry, start, zones)? })
        }
        ICalendarValue::Period(ICalendarPeriod::Duration { start, duration }) => {
            let start = single(entry, start, zones)?;
            let end = match start.moment() {
                Moment::At(instant) => Some(Moment::At(instant + duration.as_seconds())),
                Moment::Day(_) => None,
            };
            Ok(Stamp { end, ..start })
        }
        other => Err(broken(entry, other.as_text().unwrap_or_default())),
    }
}

fn single(entry: &ICalendarEntry, time: &PartialDateTime, zones: &Zones) -> Result<Stamp, String> {
    let is_day = !time.has_time();
    let read = time.to_date_time().ok_or_else(|| broken(entry, "a day that no calendar has"))?;
    let named = entry.tz_id().filter(|_| read.offset.is_none() && !is_day);
    let (zone, zone_name) = match (read.offset, named) {
        (Some(offset), _) => (Zone::Fixed(offset.local_minus_utc()), Some("UTC".to_owned())),
        (None, Some(name)) => (zones.named(name)?, Some(name.to_owned())),
        (None, None) => (zones.default.clone(), None),
    };
    Ok(Stamp { wall: read.date_time, is_day, zone, zone_name, end: None })
}

fn broken(entry: &ICalendarEntry, text: &str) -> String {
    let (name, text) = (entry.name.as_str(), domain::audit::one_line(text));
    format!("{name} is no day or time: `{text}`; write it as in 20261201 or 20261201T090000Z")
}
