//! What a link's grant allows, as the other side told last: over the control session, or asked for its capabilities. In memory only.

use crate::{call::Call, outcome::Failure, track::kept_back};
use domain::{
    id::{Field, Resource},
    scope::{Door, Verb},
    wire,
};
use proto::v1;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a link's grant allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// What is shared, with the fields that may leave.
    pub resources: BTreeMap<Resource, Vec<Field>>,
    /// What may be done with it.
    pub verbs: BTreeSet<Verb>,
    /// Through which doors of this instance its rows may be shown.
    pub doors: BTreeSet<Door>,
}

impl Terms {
    /// Those of a session; none where it does not tell them. What cannot be read is of a later version, and not for this one.
    pub(crate) fn told(terms: &v1::Terms) -> Option<Self> {
        let resource = |told: &v1::ResourceScope| {
            let fields = told.fields.iter().filter_map(|field| field.parse().ok()).collect();
            Some((told.resource.parse().ok()?, fields))
        };
        (!terms.resources.is_empty()).then(|| Self {
            resources: terms.resources.iter().filter_map(resource).collect(),
            verbs: verbs(&terms.verbs),
            doors: wire::named_doors(&terms.doors),
        })
    }

    /// How many fields of this kind are kept back, where there is such a kind here.
    pub(crate) fn withheld(&self, resource: &Resource) -> Option<u32> {
        let kept_back = kept_back(resource, self.resources.get(resource)?)?;
        Some(u32::try_from(kept_back.len()).unwrap_or(u32::MAX))
    }
}

/// The verbs that are known here.
pub(crate) fn verbs(told: &[i32]) -> BTreeSet<Verb> {
    Verb::ALL.into_iter().filter(|verb| told.contains(&wire::verb(*verb).into())).collect()
}

/// What is known of a link's terms.
#[derive(Clone, Debug, Default)]
pub(crate) enum Known {
    /// Nothing yet, or nothing of the present ones.
    #[default]
    NotYet,
    /// The other side was asked, and does not say.
    NotSaid,
    /// These.
    Told(Terms),
}

impl Known {
    pub(crate) fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Told(terms) => Some(terms),
            Self::NotYet | Self::NotSaid => None,
        }
    }
}

impl Call<'_> {
    /// Whether the link may be asked through the door that its question came by. Where the other side has not told its terms since this
    /// daemon started, its session is waited for, and where that does not come about, it is asked: a call of its grant's limit.
    pub(crate) async fn allowed(&mut self) -> Result<(), Failure> {
        let Some(door) = self.door() else { return Ok(()) };
        if let Known::NotYet = self.known().await {
            let link = self.link();
            crate::hello::capabilities(self, link).await?;
            self.answered();
        }
        match self.known().await {
            Known::Told(Terms { doors, .. }) if !doors.contains(&door) => Err(Failure::not_through(door, &doors)),
            _ => Ok(()),
        }
    }
}
