//! Grants: every change is a legal move of the domain, made under the audit head's lock together with its record.

use super::{
    Postgres,
    change::Change,
    invites::{handed, last_invite},
    keys,
    row::{self, bigint, name, number, stored, time},
    sql, unit,
};
use crate::{Enrolled, Enrolment, GrantView, Grants, Held, NewInvite, News, Standing, StoreError, rules};
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    grant::{Grant, Leaf, State},
    id::{GrantId, InviteId, Name, Serial, Spki, UserId},
    invite::{Claimant, Invited},
    renewal::Successor,
    scope::Scope,
    seal::Doubt,
};
use sqlx::{PgConnection, Row, postgres::PgRow, types::Json};
use std::collections::HashMap;

#[async_trait]
impl Grants for Postgres {
    async fn grants_version(&self) -> Result<u64, StoreError> {
        let mut unit = unit::read(&self.reserved).await?;
        let version = version(&mut unit).await?.version;
        unit.end().await?;
        Ok(version)
    }

    async fn standing(&self, known: Option<u64>) -> Result<Standing, StoreError> {
        let mut unit = unit::read(&self.reserved).await?;
        let Version { version, complete } = version(&mut unit).await?;
        // A database put back to an earlier state may be behind what is known.
        let since = known.filter(|known| (complete..=version).contains(known));
        let now = self.clock.now().to_offset();
        let (grants, refused) = match since.map(bigint) {
            Some(since) => (
                sqlx::query(sql::grants::MOVED).bind(since),
                sqlx::query(sql::grants::REFUSED_AFTER).bind(now).bind(since),
            ),
            None => (sqlx::query(sql::grants::STANDING), sqlx::query(sql::grants::REFUSED).bind(now)),
        };
        let rows = grants.fetch_all(&mut *unit).await?;
        let refused = refused.fetch_all(&mut *unit).await?;
        let keys = keys::standing(&mut unit, &self.trust).await?;
        unit.end().await?;
        Ok(Standing {
            version,
            since,
            grants: rows.iter().map(|row| self.standing_of(row)).collect::<Result<_, _>>()?,
            refused: refused.iter().map(refused_leaf).collect::<Result<_, _>>()?,
            keys,
        })
    }

    async fn refused_leaves(&self) -> Result<Vec<(Leaf, Time)>, StoreError> {
        let mut unit = unit::read(&self.reserved).await?;
        let now = self.clock.now().to_offset();
        let rows = sqlx::query(sql::grants::REFUSED_SINCE).bind(now).fetch_all(&mut *unit).await?;
        unit.end().await?;
        rows.iter().map(|row| Ok((refused_leaf(row)?, time(row, "refused_at")?))).collect()
    }

    async fn grants_changed(&self) -> News {
        self.changes.changed().await
    }

    async fn grants(&self) -> Result<Vec<GrantView>, StoreError> {
        let views = self.views().await?;
        // One may have moved on between the look at its row and the look at how far it has come.
        if views.iter().any(|view| view.doubt == Some(Doubt::Older)) { self.views().await } else { Ok(views) }
    }

    async fn create_grant(&self, grant: &Grant, record: Record) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let now = self.clock.now();
        change.name_is_free(grant, now).await?;
        change.is_within_ceiling(grant, now).await?;
        change.insert(grant, now).await?;
        change.record(&record).await
    }

    async fn edit_grant(
        &self,
        grant: GrantId,
        generation: u64,
        scope: &Scope,
        record: Record,
    ) -> Result<Grant, StoreError> {
        let mut change = self.change().await?;
        let found = change.grant(grant).await?;
        let edited = rules::edited(&found, generation, scope, self.clock.now())?;
        change.name_is_free(&edited, self.clock.now()).await?;
        change.is_within_ceiling(&edited, self.clock.now()).await?;
        change.update(&edited, None).await?;
        change.record(&record).await?;
        Ok(edited)
    }

    async fn revoke_grant(&self, grant: GrantId, record: Record) -> Result<Grant, StoreError> {
        let mut change = self.urgent_change().await?;
        let row = change.row_of(grant).await?;
        let (found, doubt) = row::held(&row, change.trust())?;
        let revoked = change.end(&found, doubt, self.clock.now()).await?;
        change.record(&record).await?;
        Ok(revoked)
    }

    async fn create_invite(&self, invite: &NewInvite, record: Record) -> Result<(), StoreError> {
        self.new_invite(invite, record).await
    }

    async fn invited(&self, digest: &[u8; 32]) -> Result<Option<Invited>, StoreError> {
        self.invite_of(digest).await
    }

    async fn claim_invite(
        &self,
        invite: InviteId,
        by: Claimant,
        now: Time,
        record: Record,
    ) -> Result<bool, StoreError> {
        self.claim(invite, by, now, record).await
    }

    async fn enrol_grant(&self, enrolment: Enrolment<'_>, record: Record) -> Result<Enrolled, StoreError> {
        self.enrol(enrolment, record).await
    }

    async fn let_in(&self, grant: GrantId, key: Spki, record: Record) -> Result<Grant, StoreError> {
        self.admit(grant, key, record).await
    }

    async fn wrong_words(&self, grant: GrantId, record: Record) -> Result<u32, StoreError> {
        self.count_wrong(grant, record).await
    }

    async fn renew_grant(
        &self,
        grant: GrantId,
        serial: &Serial,
        successor: &Successor,
        record: Record,
    ) -> Result<Grant, StoreError> {
        let mut change = self.change().await?;
        change.is_no_revoked(successor.leaf.spki).await?;
        let found = change.grant(grant).await?;
        let renewed = rules::renewed(&found, serial, successor)?;
        change.refuse_all(found.successor.iter().map(|next| &next.leaf), self.clock.now()).await?;
        change.update(&renewed, None).await?;
        change.keep_grant_key(&renewed, successor.leaf.spki).await?;
        change.record(&record).await?;
        Ok(renewed)
    }

    async fn confirm_leaf(&self, grant: GrantId, serial: &Serial, record: Record) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let now = self.clock.now();
        let found = change.grant(grant).await?;
        let Some(confirmed) = rules::confirmed(&found, serial, now) else {
            change.abandon().await?;
            return Ok(false);
        };
        change.refuse_all(found.former.iter().map(|former| &former.leaf), now).await?;
        change.update(&confirmed, None).await?;
        change.record(&record).await?;
        Ok(true)
    }

    async fn last_invite_end(&self) -> Result<Option<Time>, StoreError> {
        self.last_end().await
    }
}

impl Postgres {
    async fn views(&self) -> Result<Vec<GrantView>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let rows = sqlx::query(sql::grants::ALL_GRANTS).fetch_all(&mut *unit).await?;
        let last = sqlx::query(sql::grants::LAST_INVITES).fetch_all(&mut *unit).await?;
        unit.end().await?;
        let last: HashMap<_, _> = last.iter().map(|row| last_invite(row, &self.trust)).collect::<Result<_, _>>()?;
        let view = |row: &PgRow| {
            let (grant, doubt) = row::held(row, &self.trust)?;
            let (handed, is_other) = handed(row, &self.trust)?;
            let last = last.get(&grant.id);
            Ok(GrantView {
                doubt,
                handed,
                invite_tampered: is_other || last.is_some_and(Option::is_none),
                invite: last.copied().flatten(),
                // Nothing is decided by what people are called, and no name may hide a grant.
                subject_name: name(row, "subject_name").unwrap_or_else(|_| grant.name.clone()),
                peer_name: row.try_get::<Option<&str>, _>("peer_name")?.and_then(|name| name.parse().ok()),
                grant,
                created_at: time(row, "created_at")?,
            })
        };
        rows.iter().map(view).collect()
    }

    /// One grant that is not to be believed must not hide the others; it permits nothing.
    fn standing_of(&self, row: &PgRow) -> Result<(GrantId, Held), StoreError> {
        let (grant, doubt) = row::held(row, &self.trust)?;
        let id = grant.id;
        let held = match (grant.state, doubt) {
            (_, Some(doubt)) => Held::Doubtful(doubt),
            (State::Revoked, None) => Held::Ended(grant.generation),
            (_, None) => Held::Stands(Box::new(grant)),
        };
        Ok((id, held))
    }

    /// Seals what was written before there were seals.
    pub(super) async fn seal_every_grant(&self) -> Result<(), StoreError> {
        // Looked for first: a change waits for whoever makes one, and there is mostly nothing to change.
        let mut unit = unit::read(&self.reserved).await?;
        let any: bool = sqlx::query_scalar(sql::grants::ANY_UNSEALED).fetch_one(&mut *unit).await?;
        unit.end().await?;
        if !any {
            return Ok(());
        }
        let mut change = self.change().await?;
        let rows = sqlx::query(sql::grants::UNSEALED).fetch_all(&mut *change).await?;
        for row in &rows {
            let (grant, doubt) = row::held(row, change.trust())?;
            if doubt != Some(Doubt::Unreadable) {
                change.update(&grant, None).await?;
            }
        }
        change.commit().await
    }

    /// Ends every grant that reads on behalf of a user, also those that are not as they were written.
    pub(super) async fn revoke_all(&self, change: &mut Change, subject: UserId) -> Result<Vec<Grant>, StoreError> {
        let rows = sqlx::query(sql::grants::GRANTS_OF).bind(subject.0).fetch_all(&mut **change).await?;
        let mut revoked = Vec::with_capacity(rows.len());
        for row in &rows {
            let (grant, doubt) = row::held(row, change.trust())?;
            if grant.state != State::Revoked || doubt.is_some() {
                revoked.push(change.end(&grant, doubt, self.clock.now()).await?);
            }
        }
        Ok(revoked)
    }
}

impl Change {
    /// The grant, locked until the end. Conflict where it is not as it was written: nothing more is made of it.
    pub(super) async fn grant(&mut self, id: GrantId) -> Result<Grant, StoreError> {
        let row = self.row_of(id).await?;
        match row::held(&row, self.trust())? {
            (grant, None) => Ok(grant),
            (grant, Some(doubt)) => Err(rules::doubtful(&grant, doubt)),
        }
    }

    async fn row_of(&mut self, id: GrantId) -> Result<PgRow, StoreError> {
        let row = sqlx::query(sql::grants::GRANT).bind(id.0).fetch_optional(&mut **self).await?;
        row.ok_or_else(|| rules::no_grant(id))
    }

    /// The seal of a grant as it is about to be stored.
    fn sealed(&self, grant: &Grant) -> Result<Vec<u8>, StoreError> {
        let scope = serde_json::to_value(grant.scope.to_spec());
        let scope = scope.map_err(|cause| StoreError::Unavailable(format!("a scope cannot be written: {cause}")))?;
        Ok(self.trust().seal(grant, &scope).to_vec())
    }

    /// The head's lock keeps two grants from taking a name at once.
    async fn name_is_free(&mut self, grant: &Grant, now: Time) -> Result<(), StoreError> {
        if grant.has_expired(now) {
            return Ok(());
        }
        let query = sqlx::query_scalar(sql::grants::NAME_TAKEN).bind(grant.name.as_str()).bind(grant.id.0);
        let taken: bool = query.bind(now.to_offset()).fetch_one(&mut **self).await?;
        if taken { Err(rules::grant_name_taken(&grant.name)) } else { Ok(()) }
    }

    async fn insert(&mut self, grant: &Grant, now: Time) -> Result<(), StoreError> {
        let leaf = grant.leaf.as_ref();
        let added = sqlx::query(sql::grants::ADD)
            .bind(grant.id.0)
            .bind(grant.name.as_str())
            .bind(grant.workspace.0)
            .bind(grant.subject.0)
            .bind(grant.peer.map(|peer| peer.0))
            .bind(Json(grant.scope.to_spec()))
            .bind(grant.scope.not_after().to_offset())
            .bind(grant.state.word())
            .bind(stored(grant.generation)?)
            .bind(leaf.map(|leaf| leaf.serial.as_bytes()))
            .bind(leaf.map(|leaf| &leaf.spki.0[..]))
            .bind(leaf.map(|leaf| leaf.not_after.to_offset()))
            .bind(now.to_offset())
            .bind(self.sealed(grant)?)
            .execute(&mut **self)
            .await;
        match added {
            Ok(added) if added.rows_affected() == 1 => Ok(()),
            Ok(_) => Err(self.not_added(grant).await?),
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                Err(rules::no_workspace_id(grant.workspace))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing was inserted: the id is taken, or there is no such subject.
    async fn not_added(&mut self, grant: &Grant) -> Result<StoreError, StoreError> {
        let row = sqlx::query(sql::grants::GRANT).bind(grant.id.0).fetch_optional(&mut **self).await?;
        Ok(if row.is_some() { rules::grant_id_taken(grant.id) } else { rules::no_subject(grant.subject) })
    }

    /// Writes what may change of a grant, and what its peer calls itself where it was just met.
    pub(super) async fn update(&mut self, grant: &Grant, met: Option<&Name>) -> Result<(), StoreError> {
        let (leaf, next, former) = (grant.leaf.as_ref(), grant.successor.as_ref(), grant.former.as_ref());
        sqlx::query(sql::grants::UPDATE)
            .bind(grant.id.0)
            .bind(grant.peer.map(|peer| peer.0))
            .bind(Json(grant.scope.to_spec()))
            .bind(grant.scope.not_after().to_offset())
            .bind(grant.state.word())
            .bind(stored(grant.generation)?)
            .bind(leaf.map(|leaf| leaf.serial.as_bytes()))
            .bind(leaf.map(|leaf| &leaf.spki.0[..]))
            .bind(leaf.map(|leaf| leaf.not_after.to_offset()))
            .bind(met.map(Name::as_str))
            .bind(next.map(|next| next.leaf.serial.as_bytes()))
            .bind(next.map(|next| &next.leaf.spki.0[..]))
            .bind(next.map(|next| next.leaf.not_after.to_offset()))
            .bind(next.map(|next| next.issued_at.to_offset()))
            .bind(former.map(|former| former.leaf.serial.as_bytes()))
            .bind(former.map(|former| &former.leaf.spki.0[..]))
            .bind(former.map(|former| former.leaf.not_after.to_offset()))
            .bind(former.map(|former| former.until.to_offset()))
            .bind(next.map_or(0, |next| i64::from(next.unused)))
            .bind(next.is_some_and(|next| next.waits))
            .bind(self.sealed(grant)?)
            .bind(grant.name.as_str())
            .bind(stored(grant.renewals)?)
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    /// Ends a grant: its certificate is refused at the door and its open invites stop working. One that is doubtful is ended whatever it
    /// says of itself, and its row is one of ours from then on.
    pub(super) async fn end(&mut self, grant: &Grant, doubt: Option<Doubt>, now: Time) -> Result<Grant, StoreError> {
        let revoked = match doubt {
            Some(_) => grant.end(),
            None => grant.revoke().map_err(|cause| rules::illegal_move(grant, cause))?,
        };
        self.refuse_all(grant.leaves(), now).await?;
        self.end_invites(grant.id, now).await?;
        self.update(&revoked, None).await?;
        Ok(revoked)
    }

    pub(super) async fn refuse_all(
        &mut self,
        leaves: impl Iterator<Item = &Leaf> + Send,
        now: Time,
    ) -> Result<(), StoreError> {
        let leaves: Vec<_> = leaves.collect();
        if leaves.is_empty() {
            return Ok(());
        }
        sqlx::query(sql::grants::FORGET_REFUSED).bind(now.to_offset()).execute(&mut **self).await?;
        for leaf in leaves {
            self.refuse(leaf, now).await?;
        }
        Ok(())
    }

    async fn refuse(&mut self, leaf: &Leaf, now: Time) -> Result<(), StoreError> {
        sqlx::query(sql::grants::REFUSE)
            .bind(leaf.serial.as_bytes())
            .bind(&leaf.spki.0[..])
            .bind(leaf.not_after.to_offset())
            .bind(now.to_offset())
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}

/// Where the table of grants stands.
struct Version {
    version: u64,
    /// What was known before this version does not add up to the whole with what changed since.
    complete: u64,
}

async fn version(connection: &mut PgConnection) -> Result<Version, StoreError> {
    let row = sqlx::query(sql::grants::VERSION).fetch_one(connection).await?;
    Ok(Version { version: number(&row, "version")?, complete: number(&row, "complete")? })
}

fn refused_leaf(row: &PgRow) -> Result<Leaf, StoreError> {
    row::leaf(row.try_get("serial")?, row.try_get("spki")?, row.try_get("not_after")?)
}
