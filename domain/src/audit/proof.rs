//! That an entry is in a log, to be verified by whoever has the log's public key and nothing else: C2SP tlog-proof. The entry goes with it.

use super::{
    Entry,
    note::{BadNote, Checkpoint, Note, hash, number},
    tree::{is_included, leaf},
};
use crate::id::NodeHash;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fmt, str::FromStr};

/// The first line of each.
pub const FIRST: &str = "c2sp.org/tlog-proof@v1";
/// No way to the root of a tree is longer.
const MAX_PATH: usize = 64;
/// A proof that is read is at most so long.
pub const MAX_PROOF: usize = 64 * 1024;

/// A proof of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What was recorded.
    pub entry: Entry,
    /// The hashes beside its way to the root, from below.
    pub path: Vec<NodeHash>,
    /// The signed checkpoint of the log that it is in.
    pub checkpoint: Note,
}

/// The proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// It is no such text.
    #[error("this is no proof of an entry: {0}")]
    Form(&'static str),
    /// Its end is no signed checkpoint.
    #[error(transparent)]
    Note(#[from] BadNote),
    /// The entry says another place than the proof.
    #[error("the proof is of entry {proven}, and the entry in it is {told}")]
    Place {
        /// Where the proof leads.
        proven: u64,
        /// What the entry says.
        told: u64,
    },
    /// Its hash is of another entry.
    #[error("entry {0} was altered: its hash does not fit its content")]
    Altered(u64),
    /// The hashes do not lead from the entry to the root.
    #[error(
        "the hashes do not lead from entry {sequence} to the root of the log with {size} entries: one of them was changed"
    )]
    NotThere {
        /// The entry.
        sequence: u64,
        /// Entries at the checkpoint.
        size: u64,
    },
}

impl Proof {
    /// Whether the entry is in the log with this checkpoint. Whether that was signed by the log's key is for `pki` to say.
    pub fn check(&self) -> Result<Checkpoint, BadProof> {
        let checkpoint: Checkpoint = self.checkpoint.text.parse()?;
        let (entry, size) = (&self.entry, checkpoint.size);
        if entry.digest() != entry.hash {
            return Err(BadProof::Altered(entry.sequence));
        }
        let tree = (size, checkpoint.root);
        let index = entry.sequence.checked_sub(1);
        if !index.is_some_and(|index| is_included(leaf(entry.hash), index, tree, &self.path)) {
            return Err(BadProof::NotThere { sequence: entry.sequence, size });
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = serde_json::to_vec(&self.entry).map_err(|_| fmt::Error)?;
        writeln!(f, "{FIRST}\nextra {}\nindex {}", STANDARD.encode(entry), self.entry.sequence.saturating_sub(1))?;
        for hash in &self.path {
            writeln!(f, "{}", STANDARD.encode(hash.0))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Proof {
    type Err = BadProof;

    fn from_str(text: &str) -> Result<Self, BadProof> {
        if text.len() > MAX_PROOF {
            return Err(BadProof::Form("it is longer than 64 KiB"));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(BadProof::Form("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST) {
            return Err(BadProof::Form("its first line is not `c2sp.org/tlog-proof@v1`"));
        }
        let extra =
            lines.next().and_then(|line| line.strip_prefix("extra ")).and_then(|extra| STANDARD.decode(extra).ok());
        let entry = extra.and_then(|json| serde_json::from_slice::<Entry>(&json).ok());
        let entry = entry.ok_or(BadProof::Form("its second line is no entry of a log"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(number);
        let proven = index
            .and_then(|index| index.checked_add(1))
            .ok_or(BadProof::Form("its third line is no place in a log"))?;
        if proven != entry.sequence {
            return Err(BadProof::Place { proven, told: entry.sequence });
        }
        let path = lines.map(hash).collect::<Option<Vec<_>>>().filter(|path| path.len() <= MAX_PATH);
        let path = path.ok_or(BadProof::Form("one of its lines is no SHA-256 in base64"))?;
        Ok(Self { entry, path, checkpoint: checkpoint.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Time,
        audit::{
            Act, Ending, Record, Stage, Subject,
            note::Signature,
            tree::{Edge, Tiles, inclusion},
        },
        id::{EntryHash, RequestId},
    };
    use uuid::Uuid;

    fn proof(sequence: u64, size: u64) -> Proof {
        let (mut edge, mut previous, mut entries) = (Edge::default(), EntryHash::default(), Vec::new());
        for at in 1..=size {
            let record = Record::new(
                Time::from_seconds(0),
                Stage::Admin,
                Ending::Done,
                Subject::Act(Act::Start),
                RequestId(Uuid::from_u128(at.into())),
            );
            let entry = Entry::chain(&record, at, previous);
            previous = entry.hash;
            edge.push(leaf(entry.hash), |_, _, _| {});
            entries.push(entry);
        }
        let tiles: Tiles = edge.tiles().map(|(id, hashes)| (id, hashes.to_vec())).collect();
        let checkpoint = Checkpoint { origin: "log.example".to_owned(), size, root: edge.root() };
        let signatures = vec![Signature { name: "log.example".to_owned(), id: [1; 4], bytes: vec![1; 64] }];
        Proof {
            entry: entries.swap_remove(usize::try_from(sequence).unwrap() - 1),
            path: inclusion(&tiles, sequence - 1, size).unwrap(),
            checkpoint: Note { text: checkpoint.to_string(), signatures },
        }
    }

    #[test]
    fn a_proof_is_read_as_it_was_written_and_holds() {
        for (sequence, size) in [(1, 1), (1, 2), (2, 2), (77, 200), (200, 200)] {
            let proof = proof(sequence, size);
            assert_eq!(proof.to_string().parse(), Ok(proof.clone()));
            assert_eq!(proof.check().map(|checkpoint| checkpoint.size), Ok(size));
        }
    }

    #[test]
    fn nothing_in_it_can_be_changed() {
        let good = proof(77, 200);
        let mut altered = good.clone();
        altered.entry.rows = 7;
        assert_eq!(altered.check(), Err(BadProof::Altered(77)));
        altered.entry.hash = altered.entry.digest();
        assert_eq!(altered.check(), Err(BadProof::NotThere { sequence: 77, size: 200 }));
        let mut other = good.clone();
        other.path.swap(0, 1);
        assert_eq!(other.check(), Err(BadProof::NotThere { sequence: 77, size: 200 }));
        let text = good.to_string();
        assert_eq!(
            text.replace("index 76", "index 75").parse::<Proof>(),
            Err(BadProof::Place { proven: 76, told: 77 })
        );
        // A size of the same shape is for the signature to hold.
        let smaller = text
            .replace(
                "
200
", "
100
",
            )
            .parse::<Proof>()
            .unwrap();
        assert_eq!(smaller.check(), Err(BadProof::NotThere { sequence: 77, size: 100 }));
        for (at, line) in text.lines().enumerate() {
            let others =
                text.lines().enumerate().filter(|(other, _)| *other != at).map(|(_, line)| line.to_owned() + "\n");
            let proof = others.collect::<String>().parse::<Proof>();
            assert!(proof.as_ref().map_or(true, |proof| proof.check().is_err()), "without `{line}`: {proof:?}");
        }
    }
}
