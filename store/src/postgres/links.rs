//! Links: every transaction acts as the user whose links are meant, so that row-level security hides all others.

use super::{
    Postgres,
    people::subject,
    row::{digest, name, parsed, time},
    sql, unit,
};
use crate::{LinkEnd, LinkEntry, LinkKey, LinkRecord, Links, MadeOf, NextLeaf, StoreError, rules};
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    id::{GrantId, InstanceId, Spki, UserId},
    invite::Offer,
};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;

#[async_trait]
impl Links for Postgres {
    async fn links(&self, owner: UserId) -> Result<Vec<LinkRecord>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        subject(&mut unit, owner).await?;
        let rows = sqlx::query(sql::links::LINKS).bind(owner.0).fetch_all(&mut *unit).await?;
        unit.end().await?;
        rows.iter().map(link).collect()
    }

    async fn add_link(&self, link: &LinkRecord, record: Record) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        subject(&mut change, link.owner).await?;
        let added = sqlx::query(sql::links::ADD)
            .bind(link.owner.0)
            .bind(link.id.0)
            .bind(link.name.as_str())
            .bind(link.peer.0)
            .bind(link.peer_name.as_str())
            .bind(&link.addresses)
            .bind(&link.tls_name)
            .bind(&link.root)
            .bind(&link.certificate)
            .bind(link.certificate_not_after.to_offset())
            .bind(&link.sealed_key)
            .bind(link.offer.grant_name.as_str())
            .bind(link.offer.workspace.as_str())
            .bind(&link.offer.resources)
            .bind(link.offer.subject.as_str())
            .bind(link.offer.not_after.to_offset())
            .bind(link.added_at.to_offset())
            .bind(link.words.as_deref())
            .bind(link.made_of.as_ref().map(|made| &made.invite[..]))
            .bind(link.made_of.as_ref().map(|made| &made.key.0[..]))
            .bind(link.made_of.as_ref().map(|made| &made.words))
            .execute(&mut *change)
            .await;
        match added {
            Ok(added) if added.rows_affected() == 1 => change.record(&record).await,
            Ok(_) => Err(rules::link_taken(&link.name, link.id)),
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Err(rules::no_user_id(link.owner)),
            Err(error) => Err(error.into()),
        }
    }

    async fn replace_link(&self, link: &LinkRecord, record: Record) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        subject(&mut change, link.owner).await?;
        let replaced = sqlx::query(sql::links::REPLACE)
            .bind(link.owner.0)
            .bind(link.id.0)
            .bind(link.peer.0)
            .bind(link.peer_name.as_str())
            .bind(&link.addresses)
            .bind(&link.tls_name)
            .bind(&link.root)
            .bind(&link.certificate)
            .bind(link.certificate_not_after.to_offset())
            .bind(&link.sealed_key)
            .bind(link.offer.grant_name.as_str())
            .bind(link.offer.workspace.as_str())
            .bind(&link.offer.resources)
            .bind(link.offer.subject.as_str())
            .bind(link.offer.not_after.to_offset())
            .bind(link.words.as_deref())
            .bind(link.made_of.as_ref().map(|made| &made.invite[..]))
            .bind(link.made_of.as_ref().map(|made| &made.key.0[..]))
            .bind(link.made_of.as_ref().map(|made| &made.words))
            .execute(&mut *change)
            .await?;
        if replaced.rows_affected() != 1 {
            return Err(rules::no_link(link.id));
        }
        change.record(&record).await
    }

    async fn keep_next(&self, link: &LinkRecord, next: &NextLeaf, record: Record) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        subject(&mut change, link.owner).await?;
        let kept = sqlx::query(sql::links::KEEP_NEXT)
            .bind(link.owner.0)
            .bind(link.id.0)
            .bind(&link.certificate)
            .bind(&next.certificate)
            .bind(next.not_after.to_offset())
            .bind(&next.sealed_key)
            .execute(&mut *change)
            .await?;
        change.record_if(kept.rows_affected() == 1, &record).await
    }

    async fn take_next(&self, link: &LinkRecord, certificate: &[u8], record: Record) -> Result<bool, StoreError> {
        self.end_next(sql::links::TAKE_NEXT, link, certificate, record).await
    }

    async fn drop_next(&self, link: &LinkRecord, certificate: &[u8], record: Record) -> Result<bool, StoreError> {
        self.end_next(sql::links::DROP_NEXT, link, certificate, record).await
    }

    async fn forget_words(&self, link: &LinkRecord) -> Result<(), StoreError> {
        let mut unit = unit::write(&self.door).await?;
        subject(&mut unit, link.owner).await?;
        let forget = sqlx::query(sql::links::FORGET_WORDS).bind(link.owner.0).bind(link.id.0);
        forget.bind(&link.words).execute(&mut *unit).await?;
        Ok(unit.end().await?)
    }

    async fn remember_end(&self, link: &LinkRecord, end: Option<LinkEnd>) -> Result<(), StoreError> {
        let mut unit = unit::write(&self.door).await?;
        subject(&mut unit, link.owner).await?;
        let how = if end.is_some() { sql::links::REMEMBER_END } else { sql::links::FORGET_END };
        let query = sqlx::query(how).bind(link.owner.0).bind(link.id.0).bind(&link.certificate);
        let query = match end {
            Some(end) => query.bind(end.at.to_offset()).bind(end.last_answer.map(Time::to_offset)),
            None => query,
        };
        query.execute(&mut *unit).await?;
        Ok(unit.end().await?)
    }

    async fn remove_link(&self, owner: UserId, link: GrantId, record: Record) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        subject(&mut change, owner).await?;
        let removed = sqlx::query(sql::links::REMOVE).bind(owner.0).bind(link.0).execute(&mut *change).await?;
        change.record_if(removed.rows_affected() == 1, &record).await
    }

    async fn keep_link_key(&self, key: &LinkKey) -> Result<(), StoreError> {
        self.keep_key(key).await
    }

    async fn link_keys(&self, owner: UserId) -> Result<Vec<LinkKey>, StoreError> {
        self.keys(owner).await
    }

    async fn forget_link_key(&self, owner: UserId, key: Spki) -> Result<(), StoreError> {
        self.forget_key(owner, key).await
    }

    async fn link_directory(&self) -> Result<Vec<LinkEntry>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let rows = sqlx::query(sql::links::DIRECTORY).fetch_all(&mut *unit).await?;
        unit.end().await?;
        let entry = |row: &PgRow| {
            Ok(LinkEntry {
                id: GrantId(row.try_get("id")?),
                name: name(row, "name")?,
                owner: name(row, "owner_name")?,
                peer_name: name(row, "peer_name")?,
                added_at: time(row, "added_at")?,
            })
        };
        rows.iter().map(entry).collect()
    }
}

impl Postgres {
    async fn end_next(
        &self,
        how: &'static str,
        link: &LinkRecord,
        certificate: &[u8],
        record: Record,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        subject(&mut change, link.owner).await?;
        let ended = sqlx::query(how).bind(link.owner.0).bind(link.id.0).bind(certificate).execute(&mut *change).await?;
        change.record_if(ended.rows_affected() == 1, &record).await
    }
}

fn next(row: &PgRow) -> Result<Option<NextLeaf>, StoreError> {
    let certificate: Option<Vec<u8>> = row.try_get("next_certificate")?;
    let Some(certificate) = certificate else { return Ok(None) };
    let not_after = time(row, "next_not_after")?;
    Ok(Some(NextLeaf { certificate, not_after, sealed_key: row.try_get("next_sealed_key")? }))
}

fn made_of(row: &PgRow) -> Result<Option<MadeOf>, StoreError> {
    let invite: Option<&[u8]> = row.try_get("made_of")?;
    let Some(invite) = invite else { return Ok(None) };
    let key = Spki(digest(row.try_get("made_key")?)?);
    Ok(Some(MadeOf { invite: digest(invite)?, key, words: row.try_get("made_words")? }))
}

fn end(row: &PgRow) -> Result<Option<LinkEnd>, StoreError> {
    let at = |column| Ok::<_, StoreError>(row.try_get::<Option<OffsetDateTime>, _>(column)?.map(Time::from));
    let last_answer = at("last_answer")?;
    Ok(at("ended_at")?.map(|at| LinkEnd { at, last_answer }))
}

fn link(row: &PgRow) -> Result<LinkRecord, StoreError> {
    Ok(LinkRecord {
        id: GrantId(row.try_get("id")?),
        name: name(row, "name")?,
        owner: UserId(row.try_get("owner")?),
        peer: InstanceId(row.try_get("peer")?),
        peer_name: name(row, "peer_name")?,
        addresses: row.try_get("addresses")?,
        tls_name: row.try_get("tls_name")?,
        root: row.try_get("root")?,
        certificate: row.try_get("certificate")?,
        certificate_not_after: time(row, "certificate_not_after")?,
        sealed_key: row.try_get("sealed_key")?,
        next: next(row)?,
        offer: Offer {
            grant_name: name(row, "offer_grant_name")?,
            workspace: name(row, "offer_workspace")?,
            resources: row.try_get("offer_resources")?,
            subject: parsed("name", row.try_get("offer_subject")?)?,
            not_after: time(row, "offer_not_after")?,
        },
        words: row.try_get("words")?,
        made_of: made_of(row)?,
        end: end(row)?,
        added_at: time(row, "added_at")?,
    })
}
