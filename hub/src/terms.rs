//! What a link's grant allows, as the other side told last: over the control session, or asked for its capabilities. In memory only.

use crate::{call::Call, hello::Shares, outcome::Failure};
use domain::{
    id::{Field, Resource},
    kind::Kinds,
    scope::{Door, Verb},
    wire,
};
use proto::v1;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a link's grant allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// What is shared, with the fields that may leave. Only what exists here, so it is small, however much was told.
    pub resources: BTreeMap<Resource, BTreeSet<Field>>,
    /// What may be done with it.
    pub verbs: BTreeSet<Verb>,
    /// Through which doors of this instance its rows may be shown.
    pub doors: BTreeSet<Door>,
}

impl Terms {
    /// Those of a session; none where it does not tell them. What cannot be read is of a later version, and not for this one.
    pub(crate) fn told(terms: &v1::Terms) -> Option<Self> {
        let resource = |told: &v1::ResourceScope| {
            let resource = told.resource.parse().ok()?;
            let fields = existing(&resource, told.fields.iter().filter_map(|field| field.parse().ok()))?;
            Some((resource, fields))
        };
        (!terms.resources.is_empty()).then(|| Self {
            resources: terms.resources.iter().filter_map(resource).collect(),
            verbs: verbs(&terms.verbs),
            doors: wire::named_doors(&terms.doors),
        })
    }

    /// The fields of this kind that are kept back, where it is shared and there is such a kind here.
    pub(crate) fn kept_back(&self, resource: &Resource) -> Option<Vec<Field>> {
        let (given, all) = (self.resources.get(resource)?, &Kinds::builtin().get(resource)?.fields);
        Some(all.keys().filter(|field| !given.contains(*field)).cloned().collect())
    }

    /// How many they are.
    pub(crate) fn withheld(&self, resource: &Resource) -> Option<u32> {
        self.kept_back(resource).map(|fields| u32::try_from(fields.len()).unwrap_or(u32::MAX))
    }
}

/// Those of the fields that this kind has here; none where there is no such kind.
pub(crate) fn existing(resource: &Resource, fields: impl Iterator<Item = Field>) -> Option<BTreeSet<Field>> {
    let kind = Kinds::builtin().get(resource)?;
    Some(fields.filter(|field| kind.fields.contains_key(field)).collect())
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
    /// It was asked, or told them over a session that is gone: nobody would tell of a change.
    Heard(Arc<Terms>),
    /// Its session tells them, and each change.
    Told(Arc<Terms>),
}

impl Known {
    pub(crate) fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Heard(terms) | Self::Told(terms) => Some(terms),
            Self::NotYet | Self::NotSaid => None,
        }
    }
}

/// What a grant gives, as the other side said who was asked; none inside where its grant does not let that be asked.
pub(crate) type Said = Option<Shares>;

impl Call<'_> {
    /// Whether the link may be asked through the door that its question came by. Where the other side has not told its terms since this
    /// daemon started, its session is waited for, and where that does not come about, it is asked, a call of its grant's limit: then what it
    /// said is returned, so that it is not asked for once more.
    pub(crate) async fn allowed(&mut self) -> Result<Option<Said>, Failure> {
        let said = if self.judge().door().is_some() && self.lacks_terms().await {
            Some(self.ask_terms().await?)
        } else {
            None
        };
        self.judge().may_be_asked()?;
        Ok(said)
    }

    /// What the grant gives, asked for.
    pub(crate) async fn ask_terms(&mut self) -> Result<Said, Failure> {
        let link = self.link();
        let said = crate::hello::capabilities(self, link).await?;
        self.answered();
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_told_only_that_is_kept_which_exists_here() {
        let scope = |resource: &str, fields: Vec<String>| v1::ResourceScope { resource: resource.into(), fields };
        let many = (0..100_000).map(|at| format!("f{at}")).chain(["title".into(), "title".into()]).collect();
        let resources = [scope("tasks", many), scope("holograms", vec!["title".into()]), scope("no kind", Vec::new())];
        let told = v1::Terms { resources: resources.into(), doors: vec!["cli".into(); 9], ..v1::Terms::default() };
        let terms = Terms::told(&told).unwrap();
        let tasks: Resource = "tasks".parse().unwrap();
        assert_eq!(terms.resources, [(tasks.clone(), ["title".parse().unwrap()].into())].into());
        let all = Kinds::builtin().get(&tasks).unwrap().fields.len();
        assert_eq!(terms.withheld(&tasks), u32::try_from(all - 1).ok());
        assert!(Terms::told(&v1::Terms::default()).is_none());
    }
}
