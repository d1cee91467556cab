"""The occurrences of calendar.ics as another program sees them, for the test that compares them with ours.

Run in this folder, whenever calendar.ics changes:

    python3 -m venv /tmp/v && /tmp/v/bin/pip install icalendar==7.3.0 recurring-ical-events==3.8.2
    /tmp/v/bin/python occurrences.py > calendar.expected

One line an occurrence: kind, UID, start, end; instants in UTC, days as days, `-` where there is none.
"""

import datetime

import icalendar
import recurring_ical_events

LAST = datetime.datetime(2027, 7, 1, tzinfo=datetime.timezone.utc)


def said(value):
    """A day as it is; an instant in UTC; what names no zone as if it were UTC, as the import does."""
    if not isinstance(value, datetime.datetime):
        return value.isoformat()
    aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
    return aware.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def last_day(value):
    """The end of days is the day after the last; rows keep the last."""
    is_day = not isinstance(value, datetime.datetime)
    return value - datetime.timedelta(days=1) if is_day else value


def line(component):
    start = component["DTSTART"].dt if "DTSTART" in component else None
    if component.name == "VTODO":
        due = component["DUE"].dt if "DUE" in component else None
        return ["tasks", component["UID"], said(start) if start else "-", said(due) if due else "-"]
    end = component["DTEND"].dt if "DTEND" in component else None
    ends = end is not None and (end != start or not isinstance(start, datetime.datetime))
    return ["events", component["UID"], said(start), said(last_day(end)) if ends else "-"]


with open("calendar.ics", "rb") as file:
    calendar = icalendar.Calendar.from_ical(file.read())
found = recurring_ical_events.of(calendar, components=["VEVENT"]).between(datetime.datetime(1970, 1, 1, tzinfo=LAST.tzinfo), LAST)
lines = [line(one) for one in found]
# Tasks are dealt with one by one: a task without a date is in no span of time.
todos = recurring_ical_events.of(calendar, components=["VTODO"]).between(datetime.datetime(1970, 1, 1, tzinfo=LAST.tzinfo), LAST)
lines += [line(one) for one in todos if one["UID"] == "todo-weekly"]
lines += [line(one) for one in calendar.walk("VTODO") if "RRULE" not in one]
print("\n".join(" ".join(parts) for parts in sorted(lines)))
