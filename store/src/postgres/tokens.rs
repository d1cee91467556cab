//! Tokens of programs: every transaction acts as their owner, so that row-level security hides all others. Whose one is that somebody shows
//! is asked of the directory first.

use super::{
    Postgres,
    people::subject,
    row::{digest, name, time},
    sql, unit,
};
use crate::{StoreError, Tokens, Trust, rules};
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    id::{Name, TokenId, UserId, WorkspaceId},
    token::{KeptToken, MOST},
};
use sqlx::{Row, postgres::PgRow};
use std::{collections::BTreeSet, sync::Arc};
use time::OffsetDateTime;
use uuid::Uuid;

#[async_trait]
impl Tokens for Postgres {
    async fn add_token(&self, token: &KeptToken, record: Record) -> Result<(), StoreError> {
        let now = self.clock.now().to_offset();
        let mut change = self.change().await?;
        subject(&mut change, token.owner).await?;
        sqlx::query(sql::tokens::FORGET_OLD_TOKENS).bind(token.owner.0).bind(now).execute(&mut *change).await?;
        let held: i64 = sqlx::query_scalar(sql::tokens::COUNT).bind(token.owner.0).fetch_one(&mut *change).await?;
        if usize::try_from(held).unwrap_or(MOST) >= MOST {
            return Err(rules::too_many_tokens());
        }
        let added = sqlx::query(sql::tokens::ADD)
            .bind(token.owner.0)
            .bind(token.id.0)
            .bind(token.workspace.0)
            .bind(token.name.as_str())
            .bind(&token.hash[..])
            .bind(token.added_at.to_offset())
            .bind(token.not_after.to_offset())
            .bind(&self.trust.seal_token(token)[..])
            .execute(&mut *change)
            .await;
        match added {
            Ok(added) if added.rows_affected() == 1 => change.record(&record).await,
            Ok(_) => Err(rules::token_taken(&token.name)),
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                Err(rules::no_user_id(token.owner))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn tokens(&self, owner: UserId) -> Result<Vec<KeptToken>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        subject(&mut unit, owner).await?;
        let rows = sqlx::query(sql::tokens::TOKENS).bind(owner.0).fetch_all(&mut *unit).await?;
        unit.end().await?;
        // One that somebody else wrote is none, and hides no other.
        Ok(rows.iter().filter_map(|row| believed(row, &self.trust)).collect())
    }

    async fn token(&self, id: TokenId) -> Result<Option<KeptToken>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let found = sqlx::query(sql::tokens::DIRECTORY).bind(id.0).fetch_optional(&mut *unit).await?;
        let owner = found.map(|row| row.try_get::<Uuid, _>("owner")).transpose()?;
        let Some(owner) = owner else {
            unit.end().await?;
            return Ok(None);
        };
        subject(&mut unit, UserId(owner)).await?;
        let row = sqlx::query(sql::tokens::TOKEN).bind(owner).bind(id.0).fetch_optional(&mut *unit).await?;
        unit.end().await?;
        Ok(row.and_then(|row| believed(&row, &self.trust)))
    }

    async fn token_ids(&self) -> Result<BTreeSet<TokenId>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let rows = sqlx::query(sql::tokens::DIRECTORY).bind(None::<Uuid>).fetch_all(&mut *unit).await?;
        unit.end().await?;
        rows.iter().map(|row| Ok(TokenId(row.try_get("id")?))).collect()
    }

    async fn note_token(&self, token: &KeptToken, at: Time) -> Result<(), StoreError> {
        let mut unit = unit::write(&self.door).await?;
        subject(&mut unit, token.owner).await?;
        let note = sqlx::query(sql::tokens::NOTE).bind(token.owner.0).bind(token.id.0).bind(at.to_offset());
        note.execute(&mut *unit).await?;
        Ok(unit.end().await?)
    }

    async fn remove_token(&self, owner: UserId, name: &Name, record: Record) -> Result<Option<TokenId>, StoreError> {
        let mut change = self.change().await?;
        subject(&mut change, owner).await?;
        let gone = sqlx::query_scalar(sql::tokens::REMOVE).bind(owner.0).bind(name.as_str());
        let gone: Option<Uuid> = gone.fetch_optional(&mut *change).await?;
        if let Some(gone) = gone {
            // Before the commit: stopped between the two, the token is none all the same.
            self.remember_gone(TokenId(gone)).await;
        }
        change.record_if(gone.is_some(), &record).await?;
        Ok(gone.map(TokenId))
    }
}

impl Postgres {
    async fn remember_gone(&self, token: TokenId) {
        let trust = Arc::clone(&self.trust);
        let learnt = tokio::task::spawn_blocking(move || trust.learn_token_gone(token)).await;
        if let Err(error) = learnt.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            tracing::error!(%error, "that a token was taken away cannot be written beside the database; tried again until it can");
        }
    }
}

/// The token, if it is as the daemon wrote it and was not taken away.
fn believed(row: &PgRow, trust: &Trust) -> Option<KeptToken> {
    let read = || -> Result<(KeptToken, bool), StoreError> {
        let token = kept(row)?;
        let knows = trust.knows_token(&token, row.try_get("seal")?);
        Ok((token, knows))
    };
    match read() {
        Ok((token, true)) => Some(token),
        Ok((token, false)) => {
            tracing::error!(
                ?token,
                "a token is not as this instance wrote it, or was taken away: somebody has changed the database, or put it back"
            );
            None
        }
        Err(error) => {
            tracing::error!(%error, "a token cannot be read");
            None
        }
    }
}

fn kept(row: &PgRow) -> Result<KeptToken, StoreError> {
    let used: Option<OffsetDateTime> = row.try_get("used_at")?;
    Ok(KeptToken {
        id: TokenId(row.try_get("id")?),
        owner: UserId(row.try_get("owner")?),
        workspace: WorkspaceId(row.try_get("workspace")?),
        name: name(row, "name")?,
        hash: digest(row.try_get("hash")?)?,
        added_at: time(row, "added_at")?,
        not_after: time(row, "not_after")?,
        used_at: used.map(Time::from),
    })
}
