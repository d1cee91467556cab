//! What is kept of whom to call for a grant: all of it sealed under the key-encryption key for this one grant, so that whoever writes to the
//! database can neither read it nor have this instance call somebody else.

use domain::{
    Time,
    id::{AwaitId, GrantId},
    secret::Secret,
};
use pki::{CallKey, Kek};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Whom to call for a grant, and with what.
#[derive(Clone)]
pub struct Plan {
    /// `host:port`, in the order to try.
    pub addresses: Vec<String>,
    /// What proves the calls of the grant.
    pub key: CallKey,
    /// The invite that is to be brought first; none once it was used.
    pub bringing: Option<Bringing>,
    /// Whom to call meanwhile, and with what, where the grant is held already.
    pub former: Option<(Vec<String>, CallKey)>,
    /// Whether whoever holds the grant dials until the invite was used.
    pub dialled: bool,
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
}

#[derive(Serialize, Deserialize)]
struct Form {
    addresses: Vec<String>,
    key: [u8; 32],
    bringing: Option<(AwaitId, [u8; 32], String, i64)>,
    former: Option<(Vec<String>, [u8; 32])>,
    dialled: bool,
}

fn context(grant: GrantId) -> String {
    format!("call of grant {grant}")
}

/// None where it could not be sealed.
pub(super) fn seal(kek: &Kek, grant: GrantId, plan: &Plan) -> Option<Vec<u8>> {
    let bringing = plan.bringing.as_ref().map(|bringing| {
        let Bringing { id, secret, invite, until } = bringing;
        (*id, *secret.expose(), invite.expose().clone(), until.micros())
    });
    let former = plan.former.as_ref().map(|(addresses, key)| (addresses.clone(), *key.expose()));
    let form =
        Form { addresses: plan.addresses.clone(), key: *plan.key.expose(), bringing, former, dialled: plan.dialled };
    let text = Zeroizing::new(serde_json::to_vec(&form).ok()?);
    kek.seal(&context(grant), &text).ok()
}

/// None where it was not sealed by this instance, for this grant.
pub(super) fn open(kek: &Kek, grant: GrantId, sealed: &[u8]) -> Option<Plan> {
    let text = kek.open(&context(grant), sealed).ok()?;
    let Form { addresses, key, bringing, former, dialled } = serde_json::from_slice(text.expose()).ok()?;
    let bringing = bringing.map(|(id, secret, invite, until)| Bringing {
        id,
        secret: Secret::new(secret),
        invite: Secret::new(invite),
        until: Time::from_micros(until),
    });
    let former = former.map(|(addresses, key)| (addresses, CallKey::from_bytes(key)));
    Some(Plan { addresses, key: CallKey::from_bytes(key), bringing, former, dialled })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::world::World;

    #[test]
    fn a_plan_opens_for_its_grant_and_key_alone() {
        let world = World::system();
        let (kek, grant) = (Kek::generate(&world), GrantId(world.uuid()));
        let plan = Plan {
            addresses: vec!["home.example.org:7445".to_owned()],
            key: CallKey::from_bytes([7; 32]),
            bringing: Some(Bringing {
                id: AwaitId(world.uuid()),
                secret: Secret::new([8; 32]),
                invite: Secret::new("mfi1.x".to_owned()),
                until: world.now(),
            }),
            former: Some((vec!["home.example.org:7446".to_owned()], CallKey::from_bytes([9; 32]))),
            dialled: true,
        };
        let sealed = seal(&kek, grant, &plan).unwrap();
        let read = open(&kek, grant, &sealed).unwrap();
        assert_eq!((read.addresses, read.key.expose()), (plan.addresses, plan.key.expose()));
        assert!(read.dialled);
        let (old, kept) = (read.former.unwrap(), plan.former.unwrap());
        assert_eq!((old.0, old.1.expose()), (kept.0, kept.1.expose()));
        let (read, wrote) = (read.bringing.unwrap(), plan.bringing.unwrap());
        assert_eq!((read.id, read.invite.expose(), read.until), (wrote.id, wrote.invite.expose(), wrote.until));
        assert!(open(&kek, GrantId(world.uuid()), &sealed).is_none());
        assert!(open(&Kek::generate(&world), grant, &sealed).is_none());
        assert!(!sealed.windows(4).any(|bytes| bytes == b"mfi1"));
    }
}
