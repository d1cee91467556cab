//! Writing rows: who may write where, and what a row must be.

use crate::{Put, StoreError};
use domain::{
    id::{ItemId, TeamId},
    item::NewItem,
    kind::{Kinds, Origin},
    rights::Role,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Longer keys would not fit their index.
const MAX_SOURCE_KEY: usize = 1_000;

/// A user who may write, and where.
pub(crate) struct Writer {
    /// The teams whose rows they may write.
    pub(crate) teams: BTreeSet<TeamId>,
}

impl Writer {
    /// The teams are the user's own for a member, all of the workspace for those who manage it. None for whom writing is
    /// closed altogether.
    pub(crate) fn new(role: Option<Role>, own: BTreeSet<TeamId>, every: BTreeSet<TeamId>) -> Option<Self> {
        match role? {
            Role::Guest => None,
            Role::Member => Some(Self { teams: own }),
            Role::Admin | Role::Owner => Some(Self { teams: every }),
        }
    }

    /// Whether the row may be written, or why not and what would be right.
    pub(crate) fn judge(&self, item: &NewItem) -> Result<(), String> {
        let title = short(&item.title);
        let kind = Kinds::builtin().get(&item.resource).ok_or_else(|| {
            format!("`{title}`: there is no kind `{}`; {} exist", item.resource, Kinds::builtin().listed())
        })?;
        match kind.origin {
            Origin::Items => {}
            Origin::Teams => {
                return Err(format!(
                    "teams are the workspace's directory, and `{title}` is no row to write; `mosaic-fed team add NAME`"
                ));
            }
            Origin::Users => {
                return Err(format!(
                    "users are the workspace's directory, and `{title}` is no row to write; `mosaic-fed user add NAME`"
                ));
            }
        }
        kind.check(&item.attributes).map_err(|cause| format!("`{title}`: {cause}"))?;
        if item.body.is_some() && !kind.has("body") {
            return Err(format!(
                "`{title}` has a body, and {} have none: what is secret stays where it is kept; leave the body out and \
                 say where that is with the attribute `kept_in`",
                item.resource
            ));
        }
        if item.title.trim().is_empty() {
            return Err("a row without a title; give it one".into());
        }
        item.check_size().map_err(|cause| cause.to_string())?;
        if holds_nul(item) {
            return Err(format!("`{title}` holds a NUL character, which no text has; remove it"));
        }
        if item.source_key.as_ref().is_some_and(|key| key.len() > MAX_SOURCE_KEY) {
            return Err(format!(
                "the source key of `{title}` is longer than {MAX_SOURCE_KEY} bytes; use a shorter one"
            ));
        }
        match &item.team {
            Some(team) if !self.teams.contains(team) => Err(team_refusal(team, &self.teams)),
            _ => Ok(()),
        }
    }
}

/// That the user may write nowhere in the workspace.
pub(crate) fn nowhere() -> StoreError {
    StoreError::Denied("you may not write in this workspace; its owner or an admin can make you a member".into())
}

/// That a row stands in the way which the user may no longer change.
pub(crate) fn kept_back(title: &str) -> Put {
    let title = short(title);
    Put::Refused(format!("`{title}` belongs to a row that you may no longer change; import it under another source"))
}

/// That there is no such team, and which ones there are for the one who asked.
fn team_refusal(team: &TeamId, known: &BTreeSet<TeamId>) -> String {
    let known = known.iter().map(TeamId::as_str).collect::<Vec<_>>().join(", ");
    if known.is_empty() {
        format!(
            "there is no team `{team}` that you can write to; you are in none, so leave the team out or ask an admin"
        )
    } else {
        format!("there is no team `{team}` that you can write to; choose one that you can: {known}")
    }
}

/// The verdicts on rows that were written for these alone: a row that was added is none, and has no id.
pub(crate) fn undone(puts: Vec<Put>) -> Vec<Put> {
    let added: BTreeSet<_> = puts.iter().filter_map(|put| if let Put::Added(id) = put { *id } else { None }).collect();
    let stays = |id: Option<ItemId>| id.filter(|id| !added.contains(id));
    let undone = |put| match put {
        Put::Added(_) => Put::Added(None),
        // A second row of the same order and source.
        Put::Updated(id) => Put::Updated(stays(id)),
        Put::Unchanged(id) => Put::Unchanged(stays(id)),
        refused @ Put::Refused(_) => refused,
    };
    puts.into_iter().map(undone).collect()
}

fn short(title: &str) -> String {
    domain::audit::one_line(title).chars().take(80).collect()
}

fn holds_nul(item: &NewItem) -> bool {
    let texts = [Some(&item.title), item.body.as_ref(), item.source_key.as_ref()];
    texts.into_iter().flatten().any(|text| text.contains('\0')) || item.attributes.values().any(value_holds_nul)
}

fn value_holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(value_holds_nul),
        Value::Object(map) => map.iter().any(|(name, value)| name.contains('\0') || value_holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// SHA-256 over everything the writer gave: the same source with the same content is no change.
pub(crate) fn content(item: &NewItem) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"mosaic-fed item content 1\0");
    // Serialising plain data of strings, numbers and lists cannot fail; an empty text would only mean one update too many.
    hash.update(serde_json::to_string(item).unwrap_or_default());
    hash.finalize().into()
}
