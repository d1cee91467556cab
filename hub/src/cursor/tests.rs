use super::*;
use domain::{
    id::RequestId,
    operation::{List, Operation},
    world::World,
};
use proptest::prelude::*;
use uuid::Uuid;

fn asker(user: u128) -> Asker {
    let (user, workspace) = (UserId(Uuid::from_u128(user)), WorkspaceId(Uuid::from_u128(1)));
    Asker::new(user, workspace, RequestId(World::system().uuid()))
}

fn bound(resource: &str, user: u128) -> Bound {
    Bound::new(List::first(resource.parse().unwrap()).query_hash(), &asker(user))
}

fn cursor() -> Cursor {
    let at = |micros| Position { created_at: Time::from_micros(micros), id: ItemId(Uuid::from_u128(9)) };
    let link = |id, name: &str| Some((GrantId(Uuid::from_u128(id)), name.parse().unwrap()));
    let ids = [None, link(1, "work"), link(2, "lab")];
    let progress = [Progress::After(at(-7)), Progress::NotAsked, Progress::Done];
    Cursor { shown: Some(at(5)), all: true, sources: ids.into_iter().zip(progress).collect() }
}

#[test]
fn a_cursor_is_read_back_under_its_own_question_and_user_only() {
    for all in [true, false] {
        let cursor = Cursor { all, ..cursor() };
        let text = cursor.encode(&bound("tasks", 1));
        assert_eq!(Cursor::decode(&text, &bound("tasks", 1)).unwrap(), cursor);
        assert!(matches!(Cursor::decode(&text, &bound("notes", 1)), Err(HubError::Cursor)));
        assert!(matches!(Cursor::decode(&text, &bound("tasks", 2)), Err(HubError::Cursor)));
    }
}

#[test]
fn a_cursor_made_by_hand_gives_no_source_twice_and_no_name_that_is_none() {
    let Cursor { shown, all, sources } = cursor();
    for twice in [0, 1] {
        let sources = sources.iter().chain(&sources[twice..=twice]).cloned().collect();
        let text = Cursor { shown, all, sources }.encode(&bound("tasks", 1));
        assert!(matches!(Cursor::decode(&text, &bound("tasks", 1)), Err(HubError::Cursor)));
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor().encode(&bound("tasks", 1))).unwrap()).unwrap();
    let text = URL_SAFE_NO_PAD.encode(text.replacen("\"work\"", "\"wo\\u001brk\"", 1));
    assert!(matches!(Cursor::decode(&text, &bound("tasks", 1)), Err(HubError::Question(_))));
}

#[test]
fn a_cursor_of_another_version_is_refused() {
    let text = URL_SAFE_NO_PAD.decode(cursor().encode(&bound("tasks", 1))).unwrap();
    let newer = String::from_utf8(text).unwrap().replacen("\"v\":2", "\"v\":3", 1);
    assert!(Cursor::decode(&URL_SAFE_NO_PAD.encode(newer), &bound("tasks", 1)).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}|[A-Za-z0-9_-]{0,200}") {
        prop_assert!(Cursor::decode(&text, &bound("tasks", 1)).is_err());
    }

    #[test]
    fn any_cut_of_a_cursor_is_refused(share in 0.0..1.0_f64) {
        let text = cursor().encode(&bound("tasks", 1));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a small length")]
        let at = (text.len() as f64 * share) as usize;
        prop_assert!(Cursor::decode(&text[..at], &bound("tasks", 1)).is_err());
    }
}
