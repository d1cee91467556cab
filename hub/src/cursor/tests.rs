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
    Asker { user, workspace, request: RequestId(World::system().uuid()), trace: None }
}

fn bound(resource: &str, user: u128) -> Bound {
    Bound::new(List::first(resource.parse().unwrap()).query_hash(), &asker(user))
}

fn cursor() -> (Cursor, Vec<SourceId>) {
    let at = |micros| Position { created_at: Time::from_micros(micros), id: ItemId(Uuid::from_u128(9)) };
    let link = |id| Some(GrantId(Uuid::from_u128(id)));
    let ids = vec![None, link(1), link(2)];
    let progress = [Progress::After(at(-7)), Progress::NotAsked, Progress::Done];
    (Cursor { shown: Some(at(5)), sources: ids.iter().copied().zip(progress).collect() }, ids)
}

#[test]
fn a_cursor_is_read_back_under_its_own_question_user_and_sources_only() {
    let (cursor, ids) = cursor();
    let text = cursor.encode(&bound("tasks", 1));
    assert_eq!(Cursor::decode(&text, &bound("tasks", 1), &ids).unwrap(), cursor);
    assert!(Cursor::decode(&text, &bound("notes", 1), &ids).is_err());
    assert!(Cursor::decode(&text, &bound("tasks", 2), &ids).is_err());
    assert!(Cursor::decode(&text, &bound("tasks", 1), &ids[1..]).is_err());
    assert!(Cursor::decode(&text, &bound("tasks", 1), &[ids[0], ids[2], ids[1]]).is_err());
}

#[test]
fn a_cursor_of_another_version_is_refused() {
    let (cursor, ids) = cursor();
    let text = URL_SAFE_NO_PAD.decode(cursor.encode(&bound("tasks", 1))).unwrap();
    let newer = String::from_utf8(text).unwrap().replacen("\"v\":1", "\"v\":2", 1);
    assert!(Cursor::decode(&URL_SAFE_NO_PAD.encode(newer), &bound("tasks", 1), &ids).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}|[A-Za-z0-9_-]{0,200}") {
        prop_assert!(Cursor::decode(&text, &bound("tasks", 1), &[None]).is_err());
    }

    #[test]
    fn any_cut_of_a_cursor_is_refused(share in 0.0..1.0_f64) {
        let (cursor, ids) = cursor();
        let text = cursor.encode(&bound("tasks", 1));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a small length")]
        let at = (text.len() as f64 * share) as usize;
        prop_assert!(Cursor::decode(&text[..at], &bound("tasks", 1), &ids).is_err());
    }
}
