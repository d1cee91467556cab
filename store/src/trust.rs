//! Whether a grant's row is to be believed: by its seal, and by how far the grant has come, which is remembered beside the
//! database ([`crate::floors`]). One that somebody else wrote, or that was put back to an earlier state, permits nothing.

use crate::floors::{Floor, Floors, Said, Sealing, aside, put_aside};
use domain::{
    grant::{Grant, State},
    id::{GrantId, InviteId, Spki, TokenId},
    invite::KeptInvite,
    revoked::RevokedKey,
    seal::{Doubt, HeldKeys, RowKey, Seal},
    token::KeptToken,
    words::Opening,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fmt, io, mem,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What judges rows of grants.
pub struct Trust {
    key: RowKey,
    known: Mutex<Known>,
    /// Under a lock of its own, which is taken before the other: whoever judges waits for no disk. None where nothing outlives the process.
    disk: Option<Mutex<Floors>>,
    /// Where it is said that the file was lost.
    aside: Option<PathBuf>,
    /// Where the file is, if it was not there when it was opened.
    new: Option<PathBuf>,
}

/// What is known of all grants, and what of it the file may lack: of each grant one line at most.
#[derive(Default)]
struct Known {
    said: Said,
    unwritten: Said,
    /// Why the file lacks it.
    failure: Option<String>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// By what is remembered in the file at `path`, which is made if there is none, and written anew, shorter.
    ///
    /// # Errors
    /// The file cannot be read or written, or is another key's.
    pub fn open(path: &Path, key: RowKey) -> io::Result<Self> {
        let (disk, said) = Floors::open(path, &key)?;
        let new = said.is_empty().then(|| path.to_owned());
        let known = Mutex::new(Known { said, ..Known::default() });
        Ok(Self { key, known, disk: Some(Mutex::new(disk)), aside: Some(aside(path)), new })
    }

    /// Of an instance that ends with this process.
    pub fn of_this_process(key: RowKey) -> Self {
        Self { key, known: Mutex::default(), disk: None, aside: None, new: None }
    }

    /// The seal of a grant that is stored with the scope `scope`, JSON.
    pub(crate) fn seal(&self, grant: &Grant, scope: &Value) -> Seal {
        self.key.seal(grant, scope)
    }

    /// What this instance adds to the words of whoever uses an invite.
    pub fn opening(&self, invite: InviteId) -> Opening {
        self.key.opening(invite)
    }

    /// The seal of an invite.
    pub(crate) fn seal_invite(&self, invite: &KeptInvite) -> Seal {
        self.key.seal_invite(invite)
    }

    /// Whether an invite is as the daemon wrote it.
    pub(crate) fn knows(&self, invite: &KeptInvite, seal: &[u8]) -> bool {
        self.key.fits_invite(invite, seal)
    }

    /// The seal of a revoked key.
    pub(crate) fn seal_revoked(&self, key: &RevokedKey) -> Seal {
        self.key.seal_revoked(key)
    }

    /// Whether a revoked key is as the daemon wrote it.
    pub(crate) fn knows_revoked(&self, key: &RevokedKey, seal: &[u8]) -> bool {
        self.key.fits_revoked(key, seal)
    }

    /// The seal of what a grant was held with.
    pub(crate) fn seal_held(&self, held: &HeldKeys) -> Seal {
        self.key.seal_held(held)
    }

    /// Whether what a grant was held with is as the daemon wrote it. A renewal is written before the certificate of it is used, which counts it.
    pub(crate) fn knows_held(&self, held: &HeldKeys, seal: &[u8]) -> bool {
        let before = held.renewals.checked_sub(1).map(|renewals| HeldKeys { renewals, ..held.clone() });
        self.key.fits_held(held, seal) || before.is_some_and(|before| self.key.fits_held(&before, seal))
    }

    /// The seal of a program's token.
    pub(crate) fn seal_token(&self, token: &KeptToken) -> Seal {
        self.key.seal_token(token)
    }

    /// Whether a program's token is as the daemon wrote it, and was not taken away.
    pub(crate) fn knows_token(&self, token: &KeptToken, seal: &[u8]) -> bool {
        self.key.fits_token(token, seal) && !self.lock().said.tokens.contains(&token.id)
    }

    /// Remembers that a token was taken away: its row is none, also where the database is put back.
    ///
    /// # Errors
    /// As [`Trust::learn`].
    pub(crate) fn learn_token_gone(&self, token: TokenId) -> io::Result<()> {
        {
            let known = &mut *self.lock();
            if known.said.tokens.insert(token) {
                known.unwritten.tokens.insert(token);
            }
        }
        self.write()
    }

    /// Keys that were revoked, whatever the database says.
    pub fn revoked_keys(&self) -> BTreeSet<Spki> {
        self.lock().said.keys.clone()
    }

    /// Whether this key was revoked, whatever the database says.
    pub fn is_revoked(&self, key: Spki) -> bool {
        self.lock().said.keys.contains(&key)
    }

    /// Whether a grant, as its row says, is to be believed.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn judge(&self, grant: &Grant, scope: &Value, seal: Option<&[u8]>) -> Result<(), Doubt> {
        if !seal.is_some_and(|seal| self.key.fits(grant, scope, seal)) {
            return Err(Doubt::Tampered);
        }
        let (floor, here) = (self.floor(grant.id), Floor::of(grant));
        let stands = grant.state == State::Revoked || here.join(floor) == here;
        if stands { Ok(()) } else { Err(Doubt::Older) }
    }

    /// How far `grant` has come, and must have to stand; [`crate::END`] if it may not.
    pub fn floor(&self, grant: GrantId) -> Floor {
        self.lock().said.floors.get(&grant).copied().unwrap_or_default()
    }

    /// Remembers that the rows of the database are of a time before seals, unless they have had theirs.
    pub(crate) fn note_unsealed(&self) -> io::Result<()> {
        self.note_sealing(Sealing::Begun)
    }

    /// Whether rows without a seal are of a time before there were any.
    pub(crate) fn is_to_seal(&self) -> bool {
        self.lock().said.sealing == Some(Sealing::Begun)
    }

    /// Remembers that every row has its seal: one without is not as this instance wrote it.
    pub(crate) fn note_sealed(&self) -> io::Result<()> {
        self.note_sealing(Sealing::Done)
    }

    fn note_sealing(&self, sealing: Sealing) -> io::Result<()> {
        {
            let known = &mut *self.lock();
            if known.said.sealing < Some(sealing) {
                known.said.sealing = Some(sealing);
                known.unwritten.sealing = Some(sealing);
            }
        }
        self.write()
    }

    /// Says that there should have been a file, if there was none.
    pub(crate) fn note_lost(&self) -> io::Result<()> {
        self.new.as_ref().map_or(Ok(()), |path| put_aside(path, ""))
    }

    /// Whether it was forgotten how far grants had come, and nobody has looked after them yet.
    pub fn is_lost(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.exists())
    }

    /// Remembers that these grants have come this far; durable when it returns.
    ///
    /// # Errors
    /// The file cannot be written. What was to be remembered is until the process ends, and every later call tries again to
    /// write it.
    pub fn learn(&self, moved: impl Iterator<Item = (GrantId, Floor)>) -> io::Result<()> {
        self.learn_all(moved, std::iter::empty())
    }

    /// As [`Trust::learn`], and that these keys were revoked.
    ///
    /// # Errors
    /// As [`Trust::learn`].
    pub fn learn_all(
        &self,
        moved: impl Iterator<Item = (GrantId, Floor)>,
        keys: impl Iterator<Item = Spki>,
    ) -> io::Result<()> {
        {
            let known = &mut *self.lock();
            for key in keys {
                if known.said.keys.insert(key) {
                    known.unwritten.keys.insert(key);
                }
            }
            for (grant, floor) in moved {
                if let Some(raised) = known.said.raise(grant, floor) {
                    known.unwritten.raise(grant, raised);
                }
            }
        }
        self.write()
    }

    /// Writes what the file lacks. Whoever waits for another's writing finds theirs written, or writes it.
    fn write(&self) -> io::Result<()> {
        let Some(disk) = &self.disk else {
            self.lock().unwritten = Said::default();
            return Ok(());
        };
        let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
        let lacking = mem::take(&mut self.lock().unwritten);
        if lacking.is_empty() {
            return Ok(());
        }
        let written = disk.append(&self.key, &lacking, || self.lock().said.clone());
        let mut known = self.lock();
        known.failure = written.as_ref().err().map(ToString::to_string);
        if written.is_err() {
            known.unwritten.join(lacking);
        }
        written
    }

    /// Why the file lacks something that is to be remembered; none while it lacks nothing.
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    // Held for a few lines, never while the disk is waited for.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
