//! Links: made, renewed, seen only by their owner, ended.

use crate::{
    home::{Home, assert_ended, fresh_invite, from, name, tasks},
    side::{Forge, Side, task},
};
use domain::{
    Reason,
    answer::Outcome,
    id::{GrantId, InstanceId},
    invite::Invite,
    words::Opening,
};
use hub::{HubError, LinkState, Sources};
use pki::{CheckedCsr, RequestKey};
use std::collections::HashSet;
use store::{Links as _, StoreError};
use uuid::Uuid;

#[tokio::test]
async fn an_invite_becomes_a_link_named_after_the_sharing_instance() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    let text = side.invite().encode();
    assert_eq!(home.hub.offer(&text).unwrap().offer.resources, ["tasks"]);
    assert_eq!(side.issued(), 0, "an offer sends nothing");
    let linked = home.hub.link(&home.alice, &text, None).await.unwrap();
    assert_eq!((linked.link.name.as_str(), linked.link.state, linked.replaced), ("work", LinkState::Up, false));
    assert_eq!(linked.first.outcome.outcome, Outcome::Ok);
    assert_eq!(linked.first.shares.unwrap().resources.len(), 1);
    assert_eq!(linked.first.hello.unwrap().instance, side.instance);
}

#[tokio::test]
async fn the_key_is_stored_sealed_for_its_own_link_only() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let mut record = home.model.links(home.alice.user).await.unwrap().remove(0);
    // An ASN.1 key of P-256 begins like this in PKCS #8; sealed bytes do not contain it.
    assert!(!record.sealed_key.windows(4).any(|bytes| bytes == [0x30, 0x13, 0x06, 0x07]));
    record.id = GrantId(Uuid::from_u128(77));
    record.name = name("moved");
    let act = domain::audit::Record::act(
        home.world.now(),
        domain::audit::Act::LinkAdd,
        home.alice.user,
        domain::id::RequestId(home.world.uuid()),
    );
    home.model.add_link(&record, act).await.unwrap();
    let page = home.hub.page(&home.alice, tasks(from(&["moved"]), 5)).await.unwrap();
    assert_eq!(page.sources[0].outcome, Outcome::Error);
    assert!(page.sources[0].reason.as_ref().unwrap().contains("does not open with this key"));
}

#[tokio::test]
async fn two_users_links_are_invisible_to_each_other() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    assert!(home.hub.links(&home.bob).await.unwrap().is_empty());
    let secret = "no such link `work`; you have none yet: `mosaic-fed link` makes one of the invite that the other side's \
                  owner made";
    let asked = home.hub.page(&home.bob, tasks(from(&["work"]), 5)).await.unwrap_err();
    let got =
        home.hub.get(&home.bob, &from(&["work"]), ("tasks".parse().unwrap(), task(1, 1).id), false).await.unwrap_err();
    let streamed = home.hub.stream(&home.bob, tasks(from(&["work"]), 5)).await.err().unwrap();
    let pinged = home.hub.ping(&home.bob, &name("work")).await.unwrap_err();
    let unlinked = home.hub.unlink(&home.bob, &name("work"), false).await.unwrap_err();
    for refused in [asked, got, streamed, pinged, unlinked] {
        assert_eq!(refused.to_string(), secret);
    }
    assert!(home.hub.page(&home.bob, tasks(Sources::All, 5)).await.unwrap().rows.is_empty());
    assert_eq!(home.hub.page(&home.alice, tasks(from(&["work"]), 5)).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn an_unknown_link_is_told_with_what_there_is() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let refused = home.hub.page(&home.alice, tasks(from(&["wrok\n"]), 5)).await.unwrap_err();
    assert_eq!(refused.to_string(), "no such link `wrok`; name one of work, as `mosaic-fed links` shows them");
}

#[tokio::test]
async fn a_name_that_is_taken_or_reserved_is_refused_before_the_token_is_spent() {
    let home = Home::new().await;
    let (one, two) = (Side::with("work", vec![]).await, Side::with("work", vec![]).await);
    home.link(&one).await;
    for bad in [None, Some(name("work")), Some(name("here")), Some(name("all"))] {
        let refused = home.hub.link(&home.alice, &two.invite().encode(), bad).await.unwrap_err();
        assert!(matches!(refused, HubError::Name(_)) && refused.to_string().contains("another name"), "{refused}");
    }
    assert_eq!(two.issued(), 0);
    let linked = home.hub.link(&home.alice, &two.invite().encode(), Some(name("other"))).await.unwrap();
    assert_eq!(linked.link.name, name("other"));
}

#[tokio::test]
async fn an_invite_that_made_the_link_before_is_answered_with_it_and_not_sent_again() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    let first = home.link(&side).await;
    for hub in [&home.hub, &home.restarted()] {
        let again = hub.link(&home.alice, &side.invite().encode(), None).await.unwrap();
        assert!(again.already && !again.replaced && !first.already, "{again:?}");
        assert_eq!((again.link.id, &again.words), (first.link.id, &first.words));
        assert_eq!(again.first.outcome.outcome, Outcome::Ok);
    }
    assert_eq!(side.issued(), 1);
    let other = home.hub.link(&home.alice, &fresh_invite(&side, 'c'), None).await.unwrap();
    assert!(other.replaced && !other.already, "another invite of the same grant is used");
    home.hub.unlink(&home.alice, &name("work"), true).await.unwrap();
    let gone = home.hub.link(&home.alice, &side.invite().encode(), None).await;
    assert!(matches!(gone, Err(HubError::Refused { .. })), "nothing is remembered of a link that is gone");
}

#[tokio::test]
async fn that_a_grant_was_ended_is_remembered_with_the_last_answer_whoever_is_away() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    let answered = home.hub.links(&home.alice).await.unwrap()[0].last_success;
    side.deny_all();
    side.registry.cut_all().await;
    assert_ended(&home.ask(5).await, "work", Outcome::Revoked, "new invite");
    for _ in 0..200 {
        if home.model.links(home.alice.user).await.unwrap()[0].end.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    side.die().await;
    for hub in [&home.hub, &home.restarted()] {
        for _ in 0..2 {
            let link = hub.links(&home.alice).await.unwrap().remove(0);
            assert_eq!((link.state, link.last_success), (LinkState::Revoked, answered), "{link:?}");
            let page = hub.page(&home.alice, tasks(from(&["work"]), 5)).await.unwrap();
            assert_ended(&page, "work", Outcome::Revoked, "new invite");
        }
    }
}

#[tokio::test]
async fn a_link_that_is_answered_again_has_not_ended() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let link = home.model.links(home.alice.user).await.unwrap().remove(0);
    let end = store::LinkEnd { at: home.world.now(), last_answer: None };
    home.model.remember_end(&link, Some(end)).await.unwrap();
    let hub = home.restarted();
    assert_eq!(hub.links(&home.alice).await.unwrap()[0].state, LinkState::Revoked);
    assert_eq!(hub.ping(&home.alice, &name("work")).await.unwrap().outcome.outcome, Outcome::Ok);
    assert_eq!(hub.links(&home.alice).await.unwrap()[0].state, LinkState::Up);
    for _ in 0..200 {
        if home.model.links(home.alice.user).await.unwrap()[0].end.is_none() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the end stays remembered");
}

#[tokio::test]
async fn no_more_than_sixteen_invites_are_begun_at_once() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    side.die().await;
    let begin = async |invite: String| home.hub.link(&home.alice, &invite, None).await.unwrap_err();
    for digit in "0123456789abcdef".chars() {
        assert!(matches!(begin(fresh_invite(&side, digit)).await, HubError::Enrolment(_)));
    }
    let refused = begin(side.invite().encode()).await;
    assert!(matches!(refused, HubError::PreparedKey(_)), "{refused:?}");
    for said in ["16 invites of yours", "type `mosaic-fed link` with one of them again", "the first is forgotten at 20"]
    {
        assert!(refused.to_string().contains(said), "{refused}");
    }
    assert!(matches!(begin(fresh_invite(&side, '7')).await, HubError::Enrolment(_)), "one of them goes on");
    let bobs = home.hub.link(&home.bob, &side.invite().encode(), None).await;
    assert!(matches!(bobs, Err(HubError::Enrolment(_))), "nobody fills another's place");
}

#[tokio::test]
async fn an_invite_that_somebody_else_used_is_told_as_spent() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let refused = home.hub.link(&home.bob, &side.invite().encode(), None).await.unwrap_err();
    assert!(matches!(refused, HubError::Refused { reason: Some(Reason::InviteSpent), .. }), "{refused:?}");
    let told = refused.to_string();
    assert!(
        told.starts_with("the other side did not accept the invite: this invite can no longer be used: "),
        "{told}"
    );
    assert!(told.contains("; ask the owner of work for a new one, who types `mosaic-fed grant invite "), "{told}");
    assert!(!told.contains("spent"), "the words of the other side are not needed: {told}");
    assert!(home.hub.links(&home.bob).await.unwrap().is_empty());
    // Whoever holds the grant already is told that it stays.
    home.hub.link(&home.alice, &fresh_invite(&side, 'c'), None).await.unwrap();
    let refused = home.hub.link(&home.alice, &side.invite().encode(), None).await.unwrap_err();
    assert!(refused.to_string().contains("linked as `work` already, which stays as it is"), "{refused}");
}

#[tokio::test]
async fn a_fresh_invite_replaces_the_certificate_in_place() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    let linked = home.hub.link(&home.alice, &side.invite().encode(), Some(name("office"))).await.unwrap();
    let before = home.model.links(home.alice.user).await.unwrap().remove(0);
    side.deny_all();
    let refused = home.hub.link(&home.alice, &fresh_invite(&side, 'c'), Some(name("new"))).await.unwrap_err();
    assert!(refused.to_string().contains("linked as `office` already"), "{refused}");
    let again = home.hub.link(&home.alice, &fresh_invite(&side, 'd'), None).await.unwrap();
    assert!(again.replaced && again.first.outcome.outcome == Outcome::Ok, "{again:?}");
    assert_eq!((&again.link.name, again.link.added_at), (&name("office"), linked.link.added_at));
    let after = home.model.links(home.alice.user).await.unwrap().remove(0);
    assert!(before.certificate != after.certificate && before.sealed_key != after.sealed_key);
    assert_eq!(home.ask(5).await.rows.len(), 1, "the new certificate is used, not the old connection");
}

#[tokio::test]
async fn an_invite_from_elsewhere_cannot_take_over_a_link() {
    let home = Home::new().await;
    let (side, thief) = (Side::with("work", vec![]).await, Side::with("thief", vec![]).await);
    home.link(&side).await;
    let mut invite = thief.invite();
    invite.grant = side.grant;
    let refused = home.hub.link(&home.alice, &invite.encode(), None).await.unwrap_err();
    assert!(matches!(&refused, HubError::OtherLink(why) if why.contains("from another instance")), "{refused:?}");
    invite.instance = side.instance;
    assert!(home.hub.link(&home.alice, &invite.encode(), None).await.is_err());
    assert_eq!(thief.issued(), 0);
}

#[tokio::test]
async fn token_wrong_instance_token_wrong_key_and_another_grant_are_refused_and_nothing_is_kept() {
    let forges: [(&str, Forge); 3] = [
        ("another grant", |order| order.grant = GrantId(Uuid::from_u128(5))),
        ("another instance", |order| order.holder = InstanceId(Uuid::from_u128(6))),
        ("another key", |order| order.csr = CheckedCsr::parse(&RequestKey::generate().unwrap().csr).unwrap()),
    ];
    for (word, forge) in forges {
        let home = Home::new().await;
        let side = Side::start("work", Some(forge)).await;
        let refused = home.hub.link(&home.alice, &side.invite().encode(), None).await.unwrap_err();
        assert!(matches!(&refused, HubError::Enrolment(text) if text.contains(word)), "{refused}");
        assert!(home.hub.links(&home.alice).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn who_cannot_open_the_commitment_of_the_invite_is_not_linked() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    let invite = Invite { commitment: Opening([6; 32]).commitment(), ..side.invite() };
    let refused = home.hub.link(&home.alice, &invite.encode(), None).await.unwrap_err();
    assert!(matches!(&refused, HubError::Enrolment(text) if text.contains("four words")), "{refused}");
    assert!(home.hub.links(&home.alice).await.unwrap().is_empty());
}

/// Whoever forges invites with the token of a real one, to see what this side adds to the words before they choose their own part.
#[tokio::test]
async fn each_invite_is_used_with_a_key_and_a_nonce_of_its_own_and_the_same_one_again_with_the_same() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    let prepared = home.hub.prepare(&home.alice).await.unwrap().key;
    let real = side.invite();
    let forged = [
        Invite { commitment: Opening([6; 32]).commitment(), ..real.clone() },
        Invite { addresses: vec!["192.0.2.1:7443".into()], ..real.clone() },
        Invite { key: Some(prepared), ..real.clone() },
        Invite { key: Some(prepared), commitment: Opening([6; 32]).commitment(), ..real.clone() },
    ];
    // The first use is answered with another opening, so that its key stays kept; each later one finds the token used.
    let mut shown = Vec::new();
    for invite in forged.iter().chain([&real]) {
        let _ = home.hub.link(&home.alice, &invite.encode(), None).await;
        let request = side.board().enrolled.pop().unwrap();
        shown.push((CheckedCsr::parse(&request.csr).unwrap().spki(), request.words_nonce));
    }
    let nonces: HashSet<_> = shown.iter().map(|(_, nonce)| nonce).collect();
    assert_eq!(nonces.len(), shown.len(), "one nonce for two invites");
    assert!(shown.iter().all(|(_, nonce)| nonce.len() == 32));
    let open: HashSet<_> = [0, 1, 4].iter().map(|at: &usize| shown[*at].0).collect();
    assert!(open.len() == 3 && !open.contains(&prepared), "one key for two open invites");
    let bound = &forged[2];
    let _ = home.hub.link(&home.alice, &bound.encode(), None).await;
    assert_eq!(side.board().enrolled.pop().unwrap().words_nonce, shown[2].1, "the same invite once more");
    // A key that was kept for an open invite is not used with one that names it: its nonce of that invite may be known.
    let named = Invite { key: Some(shown[0].0), ..real };
    let refused = home.hub.link(&home.alice, &named.encode(), None).await.unwrap_err();
    assert!(matches!(refused, HubError::PreparedKey(_)), "{refused:?}");
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let home = Home::new().await;
    let (side, other) = (Side::with("work", vec![]).await, Side::with("other", vec![]).await);
    let mut invite = side.invite();
    invite.root = other.invite().root;
    let refused = home.hub.link(&home.alice, &invite.encode(), None).await.unwrap_err();
    assert!(refused.to_string().contains("not the instance of the invite"), "{refused}");
    assert_eq!(side.issued(), 0, "the token was not sent to somebody who could not prove who it is");
}

#[tokio::test]
async fn an_invite_of_a_silent_side_ends_in_words() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    let invite = side.invite().encode();
    side.die().await;
    let refused = home.hub.link(&home.alice, &invite, None).await.unwrap_err();
    assert!(refused.to_string().contains("is mosaic-fed running there"), "{refused}");
    assert!(matches!(home.hub.link(&home.alice, "mfi1.x", None).await, Err(HubError::Invite(_))));
}

#[tokio::test]
async fn an_invite_whose_words_would_act_on_a_terminal_is_refused() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    for hostile in ["tasks\u{1b}[2J", "tasks\nnotes", "\u{202e}sksat"] {
        let mut invite = side.invite();
        invite.offer.resources = vec![hostile.to_owned()];
        assert!(matches!(home.hub.offer(&invite.encode()), Err(HubError::Invite(_))), "{hostile:?}");
        assert!(home.hub.link(&home.alice, &invite.encode(), None).await.is_err());
    }
    assert_eq!(side.issued(), 0);
}

#[tokio::test]
async fn everything_that_is_asked_may_move_between_threads() {
    fn movable<T: Send>(_: &T) {}
    let home = Home::new().await;
    let (alice, work) = (home.alice, name("work"));
    movable(&home.hub.link(&alice, "", None));
    movable(&home.hub.links(&alice));
    movable(&home.hub.ping(&alice, &work));
    movable(&home.hub.unlink(&alice, &work, true));
    movable(&home.hub.forget(&alice, Vec::new()));
    movable(&home.hub.page(&alice, tasks(Sources::All, 1)));
    movable(&home.hub.stream(&alice, tasks(Sources::All, 1)));
    movable(&home.hub.get(&alice, &Sources::All, ("tasks".parse().unwrap(), task(1, 1).id), false));
}

#[tokio::test]
async fn unlink_tells_the_other_side_and_erases_here() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let gone = home.hub.unlink(&home.alice, &name("work"), false).await.unwrap();
    assert!(gone.told && side.board().disconnected, "{gone:?}");
    assert!(home.hub.links(&home.alice).await.unwrap().is_empty());
    assert!(home.model.links(home.alice.user).await.unwrap().is_empty());
}

#[tokio::test]
async fn unlink_works_when_the_other_side_is_dead_and_says_what_stays() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    side.die().await;
    let gone = home.hub.unlink(&home.alice, &name("work"), false).await.unwrap();
    assert!(!gone.told && gone.reason.unwrap().contains("its owner revokes it"));
    assert!(home.model.links(home.alice.user).await.unwrap().is_empty());
}

#[tokio::test]
async fn unlink_now_waits_for_nobody_and_tells_in_the_background() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let gone = home.hub.unlink(&home.alice, &name("work"), true).await.unwrap();
    assert!(!gone.told && home.model.links(home.alice.user).await.unwrap().is_empty());
    for _ in 0..200 {
        if side.board().disconnected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the other side was never told");
}

#[tokio::test]
async fn an_administrator_removes_a_link_without_being_able_to_ask_through_it() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let all = home.model.link_directory().await.unwrap();
    let removed = home.hub.forget(&home.bob, all.clone()).await.unwrap();
    assert_eq!((removed.len(), removed[0].owner.as_str()), (1, "alice"));
    assert!(home.hub.links(&home.alice).await.unwrap().is_empty());
    assert!(matches!(home.hub.forget(&home.bob, all).await, Err(HubError::NoSuchLink(_))));
}

#[tokio::test]
async fn of_two_owners_with_the_same_grant_only_the_one_that_is_named_loses_their_link() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    home.hub.link(&home.bob, &fresh_invite(&side, 'f'), None).await.unwrap();
    let mut named = home.model.link_directory().await.unwrap();
    assert!(named.len() == 2 && named[0].id == named[1].id, "{named:?}");
    named.retain(|entry| entry.owner.as_str() == "alice");
    assert_eq!(home.hub.forget(&home.bob, named.clone()).await.unwrap(), named);
    assert!(home.model.links(home.alice.user).await.unwrap().is_empty());
    assert_eq!(home.hub.page(&home.bob, tasks(from(&["work"]), 5)).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn a_removed_users_connections_are_let_go_and_nobody_elses() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    home.hub.link(&home.bob, &fresh_invite(&side, 'f'), None).await.unwrap();
    home.hub.forget_user(home.alice.user);
    let alices = home.hub.links(&home.alice).await.unwrap()[0].state;
    let bobs = home.hub.links(&home.bob).await.unwrap()[0].state;
    assert_eq!((alices, bobs), (LinkState::Unknown, LinkState::Up));
    for _ in 0..200 {
        if side.registry.connections(side.grant) == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the connection of the removed user stays open");
}

#[tokio::test]
async fn relinking_after_unlink_needs_no_clean_up() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    home.hub.unlink(&home.alice, &name("work"), false).await.unwrap();
    home.hub.link(&home.alice, &fresh_invite(&side, 'e'), None).await.unwrap();
    assert_eq!(home.ask(5).await.rows.len(), 1);
}

#[tokio::test]
async fn a_failed_store_is_an_error_with_its_cause() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    let stranger = hub::Asker { user: domain::id::UserId(Uuid::from_u128(1)), ..home.alice };
    let refused = home.hub.link(&stranger, &side.invite().encode(), None).await.unwrap_err();
    assert!(matches!(refused, HubError::Store(StoreError::Missing(_))), "{refused}");
}
