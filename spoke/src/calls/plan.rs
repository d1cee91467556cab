//! What is kept of whom to call for a grant: all of it sealed under the key-encryption key for this one grant, so that whoever writes to the
//! database can neither read it nor have this instance call somebody else.

use domain::{
    Time,
    id::{AwaitId, GrantId},
    secret::Secret,
};
use pki::{CallKey, Kek};
use serde::{Deserialize, Serialize};
use std::mem;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Whom to call for a grant, and with what.
#[derive(Clone)]
pub struct Plan {
    /// `host:port`, in the order to try.
    pub addresses: Vec<String>,
    /// What proves the calls of the grant.
    pub key: CallKey,
    /// The invite that is to be brought first; none once it was used.
    pub bringing: Option<Bringing>,
}

/// An invite that is brought to whoever waits for it.
#[derive(Clone)]
pub struct Bringing {
    /// Who waits.
    pub id: AwaitId,
    /// Their secret.
    pub secret: Secret<[u8; 32]>,
    /// The invite.
    pub invite: Secret<String>,
    /// When it stops working.
    pub until: Time,
    /// Who holds the grant until it was used.
    pub meanwhile: Meanwhile,
}

/// Who holds a grant while another invite to it is brought.
#[derive(Clone)]
pub enum Meanwhile {
    /// Nobody does.
    Nobody,
    /// Somebody who dials.
    Dialled,
    /// Somebody who is called.
    Called(Former),
}

/// Whom to call as long as the invite is not used, and with what.
#[derive(Clone)]
pub struct Former {
    /// `host:port`, in the order to try.
    pub addresses: Vec<String>,
    /// What proves these calls.
    pub key: CallKey,
}

impl Plan {
    /// Whoever is called for the grant now, which is not whom its next invite is brought to.
    pub(super) fn holder(&self) -> Meanwhile {
        match &self.bringing {
            None => Meanwhile::Called(Former { addresses: self.addresses.clone(), key: self.key.clone() }),
            Some(bringing) => bringing.meanwhile.clone(),
        }
    }

    /// Whether whoever holds the grant dials.
    pub(super) const fn is_dialled(&self) -> bool {
        matches!(&self.bringing, Some(Bringing { meanwhile: Meanwhile::Dialled, .. }))
    }

    /// What is left of it once its invite was used.
    pub(super) fn used(&self) -> Self {
        Self { addresses: self.addresses.clone(), key: self.key.clone(), bringing: None }
    }
}

/// What is written. Whatever of it is secret is wiped when it is dropped.
#[derive(Serialize, Deserialize)]
struct Form {
    addresses: Vec<String>,
    key: Wiped<[u8; 32]>,
    bringing: Option<Brought>,
    former: Option<(Vec<String>, Wiped<[u8; 32]>)>,
    dialled: bool,
}

/// Who waits, their secret, the invite, and when it stops working.
type Brought = (AwaitId, Wiped<[u8; 32]>, Wiped<String>, i64);

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct Wiped<T: Zeroize>(T);

impl Form {
    fn of(plan: &Plan) -> Self {
        let key = |key: &CallKey| Wiped(*key.expose());
        let bringing = plan.bringing.as_ref().map(|bringing| {
            let (secret, invite) = (Wiped(*bringing.secret.expose()), bringing.invite.expose().clone());
            (bringing.id, secret, Wiped(invite), bringing.until.micros())
        });
        let former = plan.bringing.as_ref().and_then(|bringing| match &bringing.meanwhile {
            Meanwhile::Called(former) => Some((former.addresses.clone(), key(&former.key))),
            Meanwhile::Nobody | Meanwhile::Dialled => None,
        });
        let dialled = plan.is_dialled();
        Self { addresses: plan.addresses.clone(), key: key(&plan.key), bringing, former, dialled }
    }

    /// None where it says what no plan does.
    fn plan(self) -> Option<Plan> {
        let key = |key: &Wiped<[u8; 32]>| CallKey::from_bytes(key.0);
        let meanwhile = match (self.former, self.dialled) {
            (None, false) => Meanwhile::Nobody,
            (None, true) => Meanwhile::Dialled,
            (Some((addresses, old)), false) => Meanwhile::Called(Former { addresses, key: key(&old) }),
            (Some(_), true) => return None,
        };
        let bringing = match self.bringing {
            Some((id, secret, mut invite, until)) => Some(Bringing {
                id,
                secret: Secret::new(secret.0),
                invite: Secret::new(mem::take(&mut invite.0)),
                until: Time::from_micros(until),
                meanwhile,
            }),
            None if matches!(meanwhile, Meanwhile::Nobody) => None,
            None => return None,
        };
        Some(Plan { addresses: self.addresses, key: key(&self.key), bringing })
    }
}

fn context(grant: GrantId) -> String {
    format!("call of grant {grant}")
}

/// None where it could not be sealed.
pub(super) fn seal(kek: &Kek, grant: GrantId, plan: &Plan) -> Option<Vec<u8>> {
    let text = Zeroizing::new(serde_json::to_vec(&Form::of(plan)).ok()?);
    kek.seal(&context(grant), &text).ok()
}

/// None where it was not sealed by this instance, for this grant.
pub(super) fn open(kek: &Kek, grant: GrantId, sealed: &[u8]) -> Option<Plan> {
    let text = kek.open(&context(grant), sealed).ok()?;
    serde_json::from_slice::<Form>(text.expose()).ok()?.plan()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::world::World;

    fn former() -> Former {
        Former { addresses: vec!["home.example.org:7446".to_owned()], key: CallKey::from_bytes([9; 32]) }
    }

    fn plan(world: &World, meanwhile: Option<Meanwhile>) -> Plan {
        let bringing = meanwhile.map(|meanwhile| Bringing {
            id: AwaitId(world.uuid()),
            secret: Secret::new([8; 32]),
            invite: Secret::new("mfi1.x".to_owned()),
            until: world.now(),
            meanwhile,
        });
        let addresses = vec!["home.example.org:7445".to_owned()];
        Plan { addresses, key: CallKey::from_bytes([7; 32]), bringing }
    }

    fn written(plan: &Plan) -> String {
        serde_json::to_string(&Form::of(plan)).unwrap()
    }

    #[test]
    fn a_plan_opens_for_its_grant_and_key_alone_and_is_what_it_was() {
        let world = World::system();
        let (kek, grant) = (Kek::generate(&world), GrantId(world.uuid()));
        let meanwhile = [Meanwhile::Nobody, Meanwhile::Dialled, Meanwhile::Called(former())];
        for meanwhile in [None].into_iter().chain(meanwhile.map(Some)) {
            let dialled = matches!(meanwhile, Some(Meanwhile::Dialled));
            let plan = plan(&world, meanwhile);
            let sealed = seal(&kek, grant, &plan).unwrap();
            let read = open(&kek, grant, &sealed).unwrap();
            assert_eq!(written(&read), written(&plan));
            assert_eq!(read.is_dialled(), dialled);
            assert_eq!(written(&read.used()), written(&super::tests::plan(&world, None)));
            assert!(open(&kek, GrantId(world.uuid()), &sealed).is_none());
            assert!(open(&Kek::generate(&world), grant, &sealed).is_none());
            assert!(!sealed.windows(4).any(|bytes| bytes == b"mfi1"));
        }
    }

    #[test]
    fn whoever_is_called_now_is_who_holds_the_grant() {
        let world = World::system();
        let addresses = |plan: &Plan| match plan.holder() {
            Meanwhile::Called(Former { addresses, key }) => Some((addresses.concat(), key.expose()[0])),
            Meanwhile::Nobody | Meanwhile::Dialled => None,
        };
        assert_eq!(addresses(&plan(&world, None)), Some(("home.example.org:7445".to_owned(), 7)));
        let brought = plan(&world, Some(Meanwhile::Called(former())));
        assert_eq!(addresses(&brought), Some(("home.example.org:7446".to_owned(), 9)));
        assert_eq!(addresses(&plan(&world, Some(Meanwhile::Dialled))), None);
    }

    #[test]
    fn what_was_written_before_opens_and_what_means_nothing_does_not() {
        let read = |form: &str| serde_json::from_str::<Form>(form).unwrap().plan();
        let key = serde_json::to_string(&[1; 32]).unwrap();
        let id = serde_json::to_string(&AwaitId(World::system().uuid())).unwrap();
        let form = |bringing: &str, former: &str, dialled: bool| {
            format!(
                r#"{{"addresses":["a:1"],"key":{key},"bringing":{bringing},"former":{former},"dialled":{dialled}}}"#
            )
        };
        let (bringing, former) = (format!(r#"[{id},{key},"mfi1.x",5]"#), format!(r#"[["b:2"],{key}]"#));
        let read = |bringing: &str, old: &str, dialled| read(&form(bringing, old, dialled));
        assert!(read("null", "null", false).is_some_and(|plan| plan.bringing.is_none()));
        assert!(read(&bringing, &former, false).is_some_and(|plan| !plan.is_dialled()));
        assert!(read(&bringing, "null", true).is_some_and(|plan| plan.is_dialled()));
        assert!(read(&bringing, &former, true).is_none());
        assert!(read("null", &former, false).is_none() && read("null", "null", true).is_none());
    }

    #[test]
    fn what_is_secret_in_the_written_form_is_wiped() {
        const fn wiped<T: ZeroizeOnDrop>(_: &T) {}
        let Form { key, bringing, former, .. } = Form::of(&plan(&World::system(), Some(Meanwhile::Called(former()))));
        let (_, secret, invite, _) = bringing.unwrap();
        wiped(&key);
        wiped(&secret);
        wiped(&invite);
        wiped(&former.unwrap().1);
    }
}
