//! Verifies an exported log with nothing but the export: each entry's hash, its place, and the signed head it must reach.

use super::{Entry, Head, SignedHead};
use crate::id::EntryHash;
use serde::{Deserialize, Serialize};

/// One line of an export: entries in order, then one head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A record in its place.
    Entry(Box<Entry>),
    /// Where the log ended when it was exported.
    Head(SignedHead),
}

/// What is wrong with a log, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Broken {
    #[error("line {line} is no audit entry: {cause}")]
    Unreadable { line: u64, cause: String },
    #[error("entry {sequence} (line {line}) was altered: its hash does not fit its content")]
    Altered { line: u64, sequence: u64 },
    #[error(
        "line {line}: entry {found} stands where entry {expected} belongs: records were dropped, added or reordered"
    )]
    Misplaced { line: u64, expected: u64, found: u64 },
    #[error(
        "entry {sequence} (line {line}) does not follow the entry before it: a record before it was altered or replaced"
    )]
    Unchained { line: u64, sequence: u64 },
    #[error("the log ends at entry {found}, but its head says {expected}: {} records are cut off at the end", .expected.abs_diff(*.found))]
    CutOff { found: u64, expected: u64 },
    #[error("the last entry is not the one that the head was signed over")]
    OtherHead,
    #[error("the export has no signed head: its end is missing")]
    NoHead,
    #[error("line {line} stands after the head: nothing may follow it")]
    AfterHead { line: u64 },
}

/// Reads a log line by line. An export may begin after entry 1; then it is bound to the entry before its first.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    line: u64,
    last: Option<(u64, EntryHash)>,
    first: Option<u64>,
    head: Option<SignedHead>,
}

/// A log that fits together, up to the signature of its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The first entry's sequence; none for an empty log.
    pub first: Option<u64>,
    /// Entries read.
    pub entries: u64,
    /// The head they reach; whoever holds the instance's public key checks its signature.
    pub head: SignedHead,
}

impl Verifier {
    /// Takes the next line of JSON.
    pub fn line(&mut self, text: &str) -> Result<(), Broken> {
        self.line += 1;
        let line = self.line;
        if self.head.is_some() {
            return Err(Broken::AfterHead { line });
        }
        match serde_json::from_str(text).map_err(|cause| Broken::Unreadable { line, cause: cause.to_string() })? {
            Line::Entry(entry) => self.entry(&entry),
            Line::Head(head) => {
                self.head = Some(head);
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Broken> {
        let (line, found) = (self.line, entry.sequence);
        let expected = self.last.map_or(found.max(1), |(sequence, _)| sequence + 1);
        if found != expected {
            return Err(Broken::Misplaced { line, expected, found });
        }
        if entry.digest() != entry.hash {
            return Err(Broken::Altered { line, sequence: found });
        }
        let begins = found == 1 && entry.previous != EntryHash::default();
        if begins || self.last.is_some_and(|(_, hash)| hash != entry.previous) {
            return Err(Broken::Unchained { line, sequence: found });
        }
        self.first.get_or_insert(found);
        self.last = Some((found, entry.hash));
        Ok(())
    }

    /// Ends the reading: the entries must reach the head.
    pub fn finish(self) -> Result<Verified, Broken> {
        let head = self.head.ok_or(Broken::NoHead)?;
        let (found, hash) = self.last.unwrap_or_default();
        let Head { sequence: expected, hash: signed, .. } = head.head;
        if found != expected {
            return Err(Broken::CutOff { found, expected });
        }
        if hash != signed {
            return Err(Broken::OtherHead);
        }
        Ok(Verified { first: self.first, entries: self.first.map_or(0, |first| found - first + 1), head })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Time,
        audit::{Act, Ending, Record, Stage, Subject},
        id::{InstanceId, RequestId},
    };
    use uuid::Uuid;

    fn export(entries: u64) -> Vec<String> {
        let mut previous = EntryHash::default();
        let mut lines = Vec::new();
        for sequence in 1..=entries {
            let time = Time::from_seconds(i64::try_from(sequence).unwrap());
            let about = Subject::Act(Act::Start);
            let request = RequestId(Uuid::from_u128(sequence.into()));
            let entry =
                Entry::chain(&Record::new(time, Stage::Admin, Ending::Done, about, request), sequence, previous);
            previous = entry.hash;
            lines.push(serde_json::to_string(&Line::Entry(Box::new(entry))).unwrap());
        }
        let head = Head { sequence: entries, hash: previous, time: Time::from_seconds(9) };
        let signed = SignedHead {
            instance: InstanceId(Uuid::from_u128(1)),
            name: "home".parse().unwrap(),
            head,
            key: String::new(),
            signature: String::new(),
        };
        lines.push(serde_json::to_string(&Line::Head(signed)).unwrap());
        lines
    }

    fn verify(lines: &[String]) -> Result<Verified, Broken> {
        let mut verifier = Verifier::default();
        lines.iter().try_for_each(|line| verifier.line(line))?;
        verifier.finish()
    }

    #[test]
    fn a_whole_log_verifies() {
        for entries in [0, 1, 100] {
            assert_eq!(verify(&export(entries)).unwrap().entries, entries);
        }
    }

    #[test]
    fn an_excerpt_verifies_from_its_first_entry() {
        let verified = verify(&export(10)[4..]).unwrap();
        assert_eq!((verified.first, verified.entries), (Some(5), 6));
    }

    #[test]
    fn any_altered_entry_is_found_at_its_place() {
        for at in 0..50 {
            let mut lines = export(50);
            lines[at] = lines[at].replace("\"rows\":0", "\"rows\":7");
            let place = u64::try_from(at).unwrap() + 1;
            assert_eq!(verify(&lines), Err(Broken::Altered { line: place, sequence: place }));
        }
    }

    #[test]
    fn any_dropped_entry_is_found_at_its_place() {
        for at in 1..49 {
            let mut lines = export(50);
            lines.remove(at);
            let (line, expected) = (u64::try_from(at).unwrap() + 1, u64::try_from(at).unwrap() + 1);
            assert_eq!(verify(&lines), Err(Broken::Misplaced { line, expected, found: expected + 1 }));
        }
    }

    #[test]
    fn swapped_and_rechained_entries_are_found() {
        let mut lines = export(50);
        lines.swap(10, 11);
        assert!(matches!(verify(&lines), Err(Broken::Misplaced { line: 11, .. })));
        let mut lines = export(50);
        let Line::Entry(mut entry) = serde_json::from_str(&lines[20]).unwrap() else { panic!("entry") };
        entry.rows = 7;
        entry.hash = entry.digest();
        lines[20] = serde_json::to_string(&Line::Entry(entry)).unwrap();
        assert_eq!(verify(&lines), Err(Broken::Unchained { line: 22, sequence: 22 }));
    }

    #[test]
    fn a_cut_off_end_is_found() {
        let mut lines = export(50);
        lines.remove(49);
        assert_eq!(verify(&lines), Err(Broken::CutOff { found: 49, expected: 50 }));
        lines.pop();
        assert_eq!(verify(&lines), Err(Broken::NoHead));
    }
}
