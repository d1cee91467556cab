//! A calendar's components with their lines, found before anything in them is read: one that is broken costs no other, and one
//! that is too large is not read at all (RFC 5545 sections 3.4 and 3.6).

use super::super::text::MAX_PART;
use std::{collections::BTreeMap, ops::Range};

/// What stands directly in a calendar. Anything else stands in one of these.
const TOP: [&str; 6] = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VCALENDAR"];

/// Components of one calendar at most.
const MAX_COMPONENTS: usize = 200_000;
/// Broken ones that are told at most.
const MAX_BROKEN: usize = 1_000;

/// One component, unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// `VEVENT` and the like.
    pub kind: String,
    /// The line it begins in, from 1.
    pub line: usize,
    /// Where it is in the text.
    pub range: Range<usize>,
}

/// What is in a calendar.
#[derive(Debug, Default)]
pub struct Frame {
    /// Events, tasks and time zones, in order.
    pub components: Vec<Component>,
    /// Components of other kinds, with how many there are.
    pub others: BTreeMap<String, u64>,
    /// What the calendar is called, if it says so.
    pub name: Option<String>,
    /// Lines of what is broken, with cause and next step.
    pub broken: Vec<(usize, String)>,
    open: Option<Open>,
    lost: bool,
    calendars: usize,
}

#[derive(Debug)]
struct Open {
    line: usize,
    start: usize,
    /// The names of what is open, outermost first.
    names: Vec<String>,
}

impl Frame {
    /// Finds the components of a text.
    pub fn of(text: &str) -> Self {
        let mut frame = Self::default();
        let mut at = 0;
        for (line, number) in text.split_inclusive('\n').zip(1..) {
            let end = at + line.len();
            // What begins with a blank goes on from the line before.
            if !line.starts_with([' ', '\t']) {
                frame.line(line.trim_end(), number, at..end);
            }
            at = end;
            if let Some(cause) = frame.full() {
                frame.broken.push((number, cause));
                frame.open = None;
                return frame;
            }
        }
        if let Some(open) = frame.open.take() {
            frame
                .broken
                .push((open.line, format!("{} never ends; the file may be cut off: export it again", open.name())));
        } else if frame.calendars == 0 && frame.components.is_empty() && frame.broken.is_empty() {
            frame
                .broken
                .push((1, "no calendar: there is no BEGIN:VCALENDAR; export it again as iCalendar (.ics)".to_owned()));
        }
        frame
    }

    /// Why nothing further is to be found, if so.
    fn full(&self) -> Option<String> {
        if self.components.len() > MAX_COMPONENTS {
            Some(format!("{MAX_COMPONENTS} components stand before it, and the rest was not read; split the calendar"))
        } else if self.broken.len() >= MAX_BROKEN {
            Some(format!("{MAX_BROKEN} things before it are broken, and the rest was not read; export it again"))
        } else {
            None
        }
    }

    fn line(&mut self, line: &str, number: usize, place: Range<usize>) {
        let Some((key, value)) = line.split_once(':') else { return };
        let name = value.trim().to_uppercase();
        if key.eq_ignore_ascii_case("BEGIN") {
            self.begin(name, number, place.start);
        } else if key.eq_ignore_ascii_case("END") {
            self.end(&name, number, place.end);
        } else if self.open.is_none() && ["X-WR-CALNAME", "NAME"].iter().any(|name| is_property(key, name)) {
            self.name = self.name.take().or_else(|| Some(unescaped(value))).filter(|name| !name.is_empty());
        }
    }

    fn begin(&mut self, name: String, line: usize, start: usize) {
        let top = TOP.contains(&name.as_str());
        if let Some(open) = self.open.as_mut().filter(|_| !top) {
            open.names.push(name);
            return;
        }
        if let Some(open) = self.open.take() {
            let cause = format!("{} has no end before line {line}, where {name} begins; export it again", open.name());
            self.broken.push((open.line, cause));
        }
        // Inside what was given up there is nothing to find until the next component of its own.
        if self.lost && !top {
            return;
        }
        self.lost = false;
        if name == "VCALENDAR" {
            self.calendars += 1;
        } else {
            self.open = Some(Open { line, start, names: vec![name] });
        }
    }

    fn end(&mut self, name: &str, line: usize, end: usize) {
        let Some(mut open) = self.open.take() else {
            if name != "VCALENDAR" && !self.lost {
                self.broken.push((line, format!("END:{name}, and none had begun; export it again")));
            }
            return;
        };
        match open.names.pop() {
            Some(last) if last == name && open.names.is_empty() => self.whole(last, &open, end),
            Some(last) if last == name => self.open = Some(open),
            last => {
                let due = last.unwrap_or_default();
                self.broken
                    .push((open.line, format!("END:{name} in line {line}, where END:{due} is due; export it again")));
                self.lost = true;
            }
        }
    }

    fn whole(&mut self, kind: String, open: &Open, end: usize) {
        if !matches!(kind.as_str(), "VEVENT" | "VTODO" | "VTIMEZONE") {
            *self.others.entry(kind).or_default() += 1;
        } else if end - open.start > MAX_PART {
            let cause = format!("{kind} is larger than {MAX_PART} bytes; take attachments out of it, or leave it out");
            self.broken.push((open.line, cause));
        } else {
            self.components.push(Component { kind, line: open.line, range: open.start..end });
        }
    }
}

impl Open {
    fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// Whether the part before the colon is this property, with parameters or without.
fn is_property(key: &str, name: &str) -> bool {
    key.split(';').next().is_some_and(|key| key.eq_ignore_ascii_case(name))
}

fn unescaped(value: &str) -> String {
    value.trim().replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(frame: &Frame) -> (Vec<usize>, Vec<usize>) {
        (frame.components.iter().map(|one| one.line).collect(), frame.broken.iter().map(|one| one.0).collect())
    }

    #[test]
    fn components_are_found_with_their_lines_and_their_own_parts() {
        let text = "BEGIN:VCALENDAR\r\nX-WR-CALNAME:Home\\, sweet\r\nBEGIN:VEVENT\r\nSUMMARY:a\r\n BEGIN:VEVENT\r\nBEGIN:VALARM\r\n\
            END:VALARM\r\nEND:VEVENT\r\nBEGIN:VJOURNAL\r\nEND:VJOURNAL\r\nbegin:vtodo\r\nend:vtodo\r\nEND:VCALENDAR\r\n";
        let frame = Frame::of(text);
        assert_eq!(lines(&frame), (vec![3, 11], vec![]), "{frame:?}");
        assert_eq!((frame.name.as_deref(), frame.others["VJOURNAL"]), (Some("Home, sweet"), 1));
        assert!(text[frame.components[0].range.clone()].ends_with("END:VEVENT\r\n"));
    }

    #[test]
    fn what_is_broken_is_told_and_what_follows_is_found() {
        let whole = "BEGIN:VEVENT\nEND:VEVENT\n";
        let broken = [
            format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:no end\n{whole}END:VCALENDAR\n"),
            format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VTODO\nBEGIN:VALARM\nEND:VALARM\nEND:VEVENT\n{whole}"),
            format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nBEGIN:VALARM\nEND:VEVENT\n{whole}"),
        ];
        for text in broken {
            let frame = Frame::of(&text);
            assert_eq!((frame.components.len(), lines(&frame).1), (1, vec![2]), "{text} {frame:?}");
        }
        assert_eq!(lines(&Frame::of("BEGIN:VCALENDAR\nBEGIN:VEVENT\n")).1, [2]);
        assert_eq!(lines(&Frame::of("hello\n")).1, [1]);
        assert_eq!(lines(&Frame::of("BEGIN:VCALENDAR\nEND:VCALENDAR\n")).1, Vec::<usize>::new());
        let large = format!("BEGIN:VEVENT\nSUMMARY:{}\nEND:VEVENT\n{whole}", "x".repeat(MAX_PART));
        assert_eq!(lines(&Frame::of(&large)), (vec![4], vec![1]));
    }

    #[test]
    fn past_so_many_that_are_broken_the_rest_is_left() {
        let frame = Frame::of(&format!("BEGIN:VCALENDAR\n{}BEGIN:VEVENT\nEND:VEVENT\n", "END:X\n".repeat(5_000)));
        assert_eq!((frame.components.len(), frame.broken.len()), (0, MAX_BROKEN + 1));
        assert!(frame.broken[MAX_BROKEN].1.contains("the rest was not read; "));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "((BEGIN|END|NAME):(VEVENT|VALARM|VCALENDAR|é)?\r?\n| x\n){0,12}") {
            let frame = Frame::of(&text);
            assert!(frame.components.iter().all(|one| text.get(one.range.clone()).is_some()));
        }
    }
}
