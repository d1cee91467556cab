//! What an event or a task of a calendar says besides when it is, as the fields of a row.

use super::{
    super::{Common, attributes::Attributes, text},
    stamp::{Stamp, of_component},
    zone::Zones,
};
use calcard::icalendar::{
    ICalendarComponent, ICalendarEntry, ICalendarParameterName as Parameter, ICalendarParameterValue,
    ICalendarProperty as Property, ICalendarRelationshipType, ICalendarStatus, ICalendarValue,
};
use domain::{
    Time,
    id::{Resource, Tag},
    item::NewItem,
};
use serde_json::{Map, Value};

/// What a component without a title is called, as tables show it elsewhere.
const UNTITLED: &str = "(no title)";

/// The sorts of component that rows are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// VEVENT.
    Event,
    /// VTODO.
    Task,
}

impl Sort {
    /// Where it begins: a task without a beginning is when it is due.
    pub fn start(self, component: &ICalendarComponent, zones: &Zones) -> Result<Option<Stamp>, String> {
        let mut stamps = of_component(component, &Property::Dtstart, zones)?;
        if stamps.is_empty() && self == Self::Task {
            stamps = of_component(component, &Property::Due, zones)?;
        }
        Ok(stamps.into_iter().next())
    }

    /// The property that says its end.
    pub const fn ends(self) -> Property {
        match self {
            Self::Event => Property::Dtend,
            Self::Task => Property::Due,
        }
    }
}

/// A row but for its times and its key.
pub fn item(
    sort: Sort,
    component: &ICalendarComponent,
    common: &Common,
    calendar: &str,
    zones: &Zones,
) -> Result<NewItem, String> {
    let title = value(component, &Property::Summary).filter(|title| !title.trim().is_empty());
    let body = value(component, &Property::Description).filter(|body| !body.trim().is_empty());
    let (title, body) = text::titled(title.as_deref().unwrap_or(UNTITLED), body);
    let attributes = match sort {
        Sort::Event => event(component, calendar),
        Sort::Task => task(component, zones)?,
    };
    Ok(NewItem {
        resource: sort.resource(),
        title,
        body,
        team: common.team.clone(),
        project: common.project.clone(),
        tags: values(component, &Property::Categories).filter_map(|tag| tag.trim().parse::<Tag>().ok()).collect(),
        attributes,
        source_key: None,
        created_at: made(component, zones)?,
    })
}

impl Sort {
    fn resource(self) -> Resource {
        match self {
            Self::Event => super::super::events(),
            Self::Task => super::super::tasks(),
        }
    }
}

fn event(component: &ICalendarComponent, calendar: &str) -> Map<String, Value> {
    let status = component.status().and_then(|status| match status {
        ICalendarStatus::Confirmed => Some("confirmed"),
        ICalendarStatus::Tentative => Some("tentative"),
        ICalendarStatus::Cancelled => Some("cancelled"),
        _ => None,
    });
    Attributes::default()
        .text("status", status)
        .text("location", value(component, &Property::Location))
        .text("organizer", entries(component, &Property::Organizer).find_map(person))
        .list("attendees", entries(component, &Property::Attendee).filter_map(person).collect())
        .text("calendar", Some(calendar))
        .text("link", value(component, &Property::Url))
        .done()
}

fn task(component: &ICalendarComponent, zones: &Zones) -> Result<Map<String, Value>, String> {
    let completed = of_component(component, &Property::Completed, zones)?;
    let status = match component.status() {
        Some(ICalendarStatus::InProcess) => "doing",
        Some(ICalendarStatus::Completed) => "done",
        Some(ICalendarStatus::Cancelled) => "dropped",
        None if !completed.is_empty() => "done",
        _ => "open",
    };
    let priority = component.property(&Property::Priority).and_then(|entry| entry.values.first()?.as_integer());
    let priority = priority.and_then(|priority| match priority {
        1..=4 => Some("high"),
        5 => Some("normal"),
        6..=9 => Some("low"),
        _ => None,
    });
    let depends = entries(component, &Property::RelatedTo).filter(|entry| depends(entry));
    let attributes = Attributes::default()
        .text("status", Some(status))
        .text("priority", priority)
        .text("completed", completed.first().map(Stamp::moment))
        .text("link", value(component, &Property::Url))
        .list("depends_on", depends.filter_map(first_text).collect());
    Ok(attributes.done())
}

/// When it was made, if it says so: the time of the export (DTSTAMP) would change with every one.
fn made(component: &ICalendarComponent, zones: &Zones) -> Result<Option<Time>, String> {
    let made = of_component(component, &Property::Created, zones)?;
    Ok(made.first().and_then(|stamp| stamp.moment().to_string().parse().ok()))
}

fn depends(entry: &ICalendarEntry) -> bool {
    let wanted = ICalendarParameterValue::Reltype(ICalendarRelationshipType::DependsOn);
    entry.parameters(&Parameter::Reltype).any(|kind| *kind == wanted)
}

/// A name, else an address without `mailto:`.
fn person(entry: &ICalendarEntry) -> Option<String> {
    let name = entry.parameters(&Parameter::Cn).find_map(|name| name.as_text()).map(ToOwned::to_owned);
    let address = || {
        let address = first_text(entry)?;
        let scheme = address.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
        Some(if scheme { address[7..].to_owned() } else { address })
    };
    name.filter(|name| !name.trim().is_empty()).or_else(address)
}

fn entries<'a>(component: &'a ICalendarComponent, property: &Property) -> impl Iterator<Item = &'a ICalendarEntry> {
    component.entries.iter().filter(move |entry| entry.name == *property)
}

fn first_text(entry: &ICalendarEntry) -> Option<String> {
    entry.values.first().and_then(ICalendarValue::as_text).map(ToOwned::to_owned)
}

fn values(component: &ICalendarComponent, property: &Property) -> impl Iterator<Item = String> {
    entries(component, property)
        .flat_map(|entry| &entry.values)
        .filter_map(|value| value.as_text().map(ToOwned::to_owned))
}

/// The text of a property; of several values, which one text with commas may become, the whole.
fn value(component: &ICalendarComponent, property: &Property) -> Option<String> {
    let values = &component.property(property)?.values;
    let texts: Vec<_> = values.iter().filter_map(ICalendarValue::as_text).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}
