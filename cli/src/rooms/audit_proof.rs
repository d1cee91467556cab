//! `audit verify` of a proof: that an entry is in a log, by the proof and the log's key alone.

use super::audit_verify::{Report, unreadable};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
};
use domain::audit::{
    Entry, SignedHead,
    note::{LogKey, origin},
    proof::{FIRST, MAX_PROOF, Proof},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{io::Read, path::Path};

/// What was found of a proof.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VerifiedProof")]
pub struct ProofReport {
    /// The entry that is in the log.
    #[schemars(with = "api::shape::Entry")]
    entry: Entry,
    /// How many entries the log had when that was signed.
    size: u64,
    /// Which log: the id of its instance stands before the first dot.
    origin: String,
    /// The key that signed it, Ed25519, 64 hex digits.
    key: String,
}

/// Whether a file that begins with this line is a proof.
pub fn is_one(first_line: &str) -> bool {
    first_line.strip_suffix('\n') == Some(FIRST)
}

/// The whole text of a proof, of which the first line was read.
pub fn text(path: &Path, first_line: String, rest: impl Read) -> Outcome<String> {
    let mut bytes = first_line.into_bytes();
    rest.take(MAX_PROOF as u64).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Verifies a proof with the key that was given, or that of the data directory's instance.
pub fn verify(path: &Path, text: &str, by: (Option<&str>, Option<&SignedHead>), out: &Out) -> Outcome {
    let broken = |cause: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("{}: {cause}", path.display()))
            .next("ask for the proof again: mosaic-fed audit prove, on the instance whose log it is")
    };
    let proof: Proof = text.parse().map_err(|error| broken(&error))?;
    let checkpoint = proof.check().map_err(|error| broken(&error))?;
    let key = match by {
        (Some(key), _) => key.to_owned(),
        (None, Some(own)) if origin(own.instance) == checkpoint.origin => own.key.clone(),
        _ => return Err(keyless(path, &checkpoint.origin)),
    };
    let mut bytes = [0; 32];
    hex::decode_to_slice(&key, &mut bytes).map_err(|_| keyless(path, &checkpoint.origin))?;
    let by = LogKey { name: checkpoint.origin.clone(), key: bytes };
    pki::verify_note(&proof.checkpoint, &by).map_err(|error| {
        broken(&error)
            .next("compare the key with the audit key that `mosaic-fed id` shows on the instance whose log it is")
    })?;
    let report = ProofReport { entry: proof.entry, size: checkpoint.size, origin: checkpoint.origin, key };
    let text = shown(&report);
    out.value(&Report::Proof(Box::new(report)), |_| text.clone())?;
    Ok(Exit::Done)
}

fn keyless(path: &Path, origin: &str) -> Failure {
    let cause = format!("{}: whose key must have signed it? It is of the log {origin}", path.display());
    Failure::new(Exit::Usage, cause).next("give the audit key that `mosaic-fed id` shows on that instance: --key HEX")
}

fn shown(ProofReport { entry, size, origin, key }: &ProofReport) -> String {
    let said = |what: &str, value: Option<String>| value.map(|value| format!(", {what} {value}")).unwrap_or_default();
    let resource = said("of", entry.resource.as_ref().map(ToString::to_string));
    let grant = said("grant", entry.grant.map(|id| id.to_string()));
    let reason = said("reason", entry.reason.clone());
    let note = Some(&entry.note).filter(|note| !note.is_empty());
    let note = note.map_or_else(String::new, |note| format!("\nnote          {}", crate::out::escaped(note)));
    format!(
        "proven        entry {} is in the log, which had {size} entries\nentry         {} {} {}{resource}{reason}, rows {}{grant}{note}\n\
         request       {}\nsigned by     {origin}\nkey           {key}",
        entry.sequence, entry.time, entry.about, entry.ending, entry.rows, entry.request,
    )
}
