//! Grants that nobody has linked to yet, or whose holder cannot come in: what is told of their invites, and the command that makes another.

use super::{grants::waits, limits::until, segment};
use crate::exit::{Exit, Failure};
use api::{client::Client, view};
use domain::{Time, id::Name};

/// The command that makes a further invite of a grant. The holder of one that calls is called again: an invite without `--call` is one to
/// dial with.
pub(super) fn invite_again(grant: &view::GrantEntry) -> String {
    let call = if grant.call.is_some() { " --call -" } else { "" };
    format!("grant invite {}{call}", grant.name)
}

/// The next step where the grant is there already and nobody was ever invited to it, as after a daemon that was killed half-way.
pub(super) async fn going_on(failure: Failure, name: &Name, calls: bool, client: &Client) -> Failure {
    if failure.exit != Exit::Conflict {
        return failure;
    }
    let there = client.get::<view::GrantEntry>(&format!("/v1/grants/{}", segment(name.as_str()))).await.ok();
    match there.filter(has_no_invite) {
        Some(there) => {
            let call = if calls { " --call -" } else { "" };
            failure.next(format!(
                "an earlier run broke off before it made an invite for it: see with `mosaic-fed grant show {0}` that it shares what it \
                 should, then mosaic-fed grant invite {0}{call}",
                there.name
            ))
        }
        None => failure,
    }
}

/// Whether nobody can link to it yet: it was made, and then the daemon was stopped.
pub(super) fn has_no_invite(grant: &view::GrantEntry) -> bool {
    grant.state == "pending" && grant.invite.is_none() && !waits(grant)
}

/// Who may use an invite that nobody has used, and until when. One that is `brought` is sealed for the one who waits for it.
pub(super) fn open_invite(terms: &view::InviteTerms, brought: bool, now: Time) -> String {
    let until = until(terms.expires_at);
    let open = if terms.expires_at > now { format!("open until {until}") } else { format!("of no use since {until}") };
    let key = match terms.key {
        _ if brought => ", brought to the one who waits to be called".to_owned(),
        Some(key) => format!(", for the key {key} alone"),
        None => ", for no key in particular".to_owned(),
    };
    let confirm = if terms.confirm { ", its user to be let in by four words" } else { "" };
    format!("invite       {open}{key}{confirm}")
}

/// That a grant stands and its holder is kept out all the same.
pub(super) fn denied_by_list(grant: &view::GrantEntry) -> String {
    let name = &grant.name;
    format!(
        "{name}: its certificate is on the list of revoked ones that `crl_source` gives, so nobody is let in with it, though the grant \
         stands; `mosaic-fed grant revoke {name}` ends it, and `mosaic-fed grant invite {name}` gives its holder another certificate"
    )
}
