use super::*;
use domain::{
    Time,
    id::{ItemId, RequestId},
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

fn bytes_of(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[test]
fn a_cursor_is_read_back_under_its_own_question_and_user_only() {
    for all in [true, false] {
        let mut cursor = Cursor { all, ..cursor() };
        let text = cursor.encode(&bound("tasks", 1));
        if all {
            // Nobody asks any more what has nothing more to give.
            cursor.sources.retain(|(_, progress)| *progress != Progress::Done);
        }
        assert_eq!(Cursor::decode(&text, &bound("tasks", 1)).unwrap(), cursor);
        assert!(matches!(Cursor::decode(&text, &bound("notes", 1)), Err(HubError::Cursor)));
        assert!(matches!(Cursor::decode(&text, &bound("tasks", 2)), Err(HubError::Cursor)));
    }
}

#[test]
fn a_cursor_made_by_hand_gives_no_source_twice_and_no_name_that_is_none() {
    let Cursor { shown, sources, .. } = cursor();
    for twice in [0, 1] {
        let sources = sources.iter().chain(&sources[twice..=twice]).cloned().collect();
        let text = Cursor { shown, all: false, sources }.encode(&bound("tasks", 1));
        assert!(matches!(Cursor::decode(&text, &bound("tasks", 1)), Err(HubError::Cursor)));
    }
    let mut bytes = bytes_of(&cursor().encode(&bound("tasks", 1)));
    let at = bytes.windows(4).position(|four| four == b"work").unwrap();
    bytes[at + 2] = 0x1b;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    assert!(matches!(Cursor::decode(&text, &bound("tasks", 1)), Err(HubError::Question(_))));
}

#[test]
fn a_cursor_of_another_version_or_with_marks_that_are_none_is_refused() {
    let bytes = bytes_of(&cursor().encode(&bound("tasks", 1)));
    // Version; flags; the mark of the first source, behind the oldest row that was shown.
    for (at, wrong) in [(0, 2), (0, 4), (65, 7), (65 + 27, 3), (65 + 27, 8)] {
        let mut bytes = bytes.clone();
        bytes[at] = wrong;
        let text = URL_SAFE_NO_PAD.encode(bytes);
        assert!(matches!(Cursor::decode(&text, &bound("tasks", 1)), Err(HubError::Question(_))), "{at}: {wrong}");
    }
    let empty = Cursor { sources: Vec::new(), ..cursor() }.encode(&bound("tasks", 1));
    assert!(Cursor::decode(&empty, &bound("tasks", 1)).is_err(), "nobody would be asked");
}

/// A cursor of so many links that are all under way, with names of so many characters.
fn of_links(count: u64, name: usize) -> Cursor {
    let at =
        |id: u64| Position { created_at: Time::from_micros(i64::MAX), id: ItemId(Uuid::from_u64_pair(u64::MAX, id)) };
    let named = |id: u64| format!("{id:0>name$}").parse().unwrap();
    let link = |id: u64| (Some((GrantId(Uuid::from_u64_pair(id, u64::MAX)), named(id))), Progress::After(at(id)));
    let here = (None, Progress::After(at(0)));
    Cursor { shown: Some(at(7)), all: true, sources: std::iter::once(here).chain((0..count).map(link)).collect() }
}

#[test]
fn a_cursor_of_256_links_fits_the_address_of_a_request() {
    // A head may have 64 KiB, and an address 65,534 characters.
    for (name, length) in [(63, 36_000), (8, 18_000)] {
        let cursor = of_links(256, name);
        let text = cursor.encode(&bound("tasks", 1));
        assert!(text.len() <= length, "{}", text.len());
        assert_eq!(Cursor::decode(&text, &bound("tasks", 1)).unwrap(), cursor);
    }
}

#[test]
fn of_all_sources_those_that_have_ended_take_no_room() {
    let mut cursor = of_links(256, 63);
    for (_, progress) in &mut cursor.sources[2..] {
        *progress = Progress::Done;
    }
    let text = cursor.encode(&bound("tasks", 1));
    assert!(text.len() < 300, "{}", text.len());
    assert_eq!(Cursor::decode(&text, &bound("tasks", 1)).unwrap().sources.len(), 2);
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
