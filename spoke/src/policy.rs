//! What an instance allows at all: the ceiling over its grants, and how a scope that is beyond it is refused or narrowed.

use crate::{
    Spoke,
    grants::{AdminError, By},
};
use domain::{
    audit::{Act, Record, scope_note},
    grant::{Grant, State},
    id::Name,
    kind::Kinds,
    scope::{
        Scope, ScopeError, Spec,
        ceiling::{Ceiling, Difference, Excess},
    },
};
use store::{KeptCeiling, Narrowed};

/// A grant that was narrowed, and in what.
#[derive(Clone, Debug)]
pub struct NarrowedGrant {
    /// As it is now.
    pub grant: Grant,
    /// What it lost.
    pub lost: Vec<Difference>,
}

impl Spoke {
    /// The ceiling in force.
    pub async fn ceiling(&self) -> Result<Option<KeptCeiling>, AdminError> {
        Ok(self.parts.store.ceiling().await?)
    }

    /// Puts a ceiling in force, or takes it away. Grants that are beyond it are narrowed with it, or it is refused with all of them.
    pub async fn set_ceiling(
        &self,
        by: By,
        set_by: Name,
        ceiling: Option<Ceiling>,
        narrow: bool,
    ) -> Result<Vec<NarrowedGrant>, AdminError> {
        let now = self.parts.world.now();
        let beyond = match &ceiling {
            Some(ceiling) => self.beyond(ceiling).await?,
            None => Vec::new(),
        };
        if !narrow && !beyond.is_empty() {
            return Err(too_much(&beyond));
        }
        let (narrowed, lost): (Vec<_>, Vec<_>) =
            beyond.into_iter().map(|(grant, excess)| self.narrowed(by, &grant, excess)).collect::<Result<_, _>>()?;
        let kept = ceiling.map(|ceiling| KeptCeiling { ceiling, set_at: now, set_by });
        let record = Record::act(now, Act::PolicySet, by.user, by.request);
        let record = record.noting(if kept.is_some() { "set" } else { "cleared" });
        let grants = self.parts.store.set_ceiling(kept.as_ref(), narrowed, record).await?;
        self.snapshots.refresh_after_change().await;
        Ok(grants.into_iter().zip(lost).map(|(grant, lost)| NarrowedGrant { grant, lost }).collect())
    }

    /// The spec with defaults that are within the ceiling.
    pub(crate) async fn filled(&self, mut spec: Spec) -> Result<Spec, AdminError> {
        if let Some(kept) = self.ceiling().await? {
            kept.ceiling.fill(&mut spec, Kinds::builtin(), self.parts.world.now());
        }
        Ok(spec)
    }

    /// The scope if it is within the ceiling; with `narrow` what of it is, and what it lost.
    pub(crate) async fn within(&self, scope: Scope, narrow: bool) -> Result<(Scope, Vec<Difference>), AdminError> {
        let Some(kept) = self.ceiling().await? else { return Ok((scope, Vec::new())) };
        let Some(Excess { within, differing }) = self.judged(&kept.ceiling, &scope)? else {
            return Ok((scope, Vec::new()));
        };
        match within {
            Some(within) if narrow => Ok((within, differing)),
            within => {
                let next = match within {
                    Some(_) => "add --narrow to keep what it allows, or see `mosaic-fed policy show`",
                    None => "nothing would be left of it, see `mosaic-fed policy show`",
                };
                let cause = format!("this instance does not allow so much: {}; {next}", told(&differing));
                Err(AdminError::Conflict(cause))
            }
        }
    }

    fn judged(&self, ceiling: &Ceiling, scope: &Scope) -> Result<Option<Excess>, ScopeError> {
        ceiling.judge(scope, Kinds::builtin(), self.parts.world.now())
    }

    /// The grants that have not ended and are beyond a ceiling.
    async fn beyond(&self, ceiling: &Ceiling) -> Result<Vec<(Grant, Excess)>, AdminError> {
        let now = self.parts.world.now();
        ceiling.check(Kinds::builtin(), now)?;
        let mut beyond = Vec::new();
        for view in self.parts.store.grants().await? {
            let grant = view.grant;
            if grant.state == State::Revoked || grant.has_expired(now) || view.doubt.is_some() {
                continue;
            }
            if let Some(excess) = self.judged(ceiling, &grant.scope)? {
                beyond.push((grant, excess));
            }
        }
        Ok(beyond)
    }

    fn narrowed(&self, by: By, grant: &Grant, excess: Excess) -> Result<(Narrowed, Vec<Difference>), AdminError> {
        let Excess { within, differing } = excess;
        let Some(scope) = within else {
            let name = &grant.name;
            return Err(AdminError::Conflict(format!(
                "nothing of grant {name} is within this ceiling; end it first: `mosaic-fed grant revoke {name}`"
            )));
        };
        let record = Record::act(self.parts.world.now(), Act::GrantEdit, by.user, by.request);
        let record = Record { grant: Some(grant.id), ..record }.noting(&scope_note(&scope));
        Ok((Narrowed { grant: grant.id, generation: grant.generation, scope, record }, differing))
    }
}

fn too_much(beyond: &[(Grant, Excess)]) -> AdminError {
    let each: Vec<_> =
        beyond.iter().map(|(grant, excess)| format!("{} ({})", grant.name, told(&excess.differing))).collect();
    AdminError::Conflict(format!(
        "these grants are beyond this ceiling, and nothing was changed: {}; add --narrow to narrow them with it, or look at \
         them first: `mosaic-fed grant list`",
        domain::say::named(each.iter().map(String::as_str))
    ))
}

fn told(differing: &[Difference]) -> String {
    differing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
