//! A database that says other things than this instance wrote: changed behind the daemon's back, or put back to an earlier state.

use domain::{
    audit::Act,
    grant::{Leaf, State},
    id::{GrantId, Resource, Serial, Spki},
    renewal::{LIFE, Successor},
    rights::Role,
    scope::Verb,
    seal::{Doubt, RowKey},
    world::FakeClock,
};
use spoke::{Edit, Receipt};
use sqlx::{Connection, PgConnection, Row};
use std::{sync::Arc, time::Duration};
use store::{END, Floor, Held, Trust};
use tests::{
    asker::{Asker, enrol, refusal, tasks},
    cluster,
    instance::{Instance, name, task},
};
use tokio::time::{sleep, timeout};
use tonic::Code;

struct Stage {
    office: Instance,
    grant: domain::grant::Grant,
    asker: Asker,
    superuser: PgConnection,
}

impl Stage {
    async fn open() -> Self {
        let office = Instance::start().await;
        office.put(office.owner, vec![task("one")]).await;
        office.user("mallory", Role::Member).await;
        let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        let asker = enrol(&invite).await;
        asker.list(tasks()).await.expect("rows");
        let mut superuser = PgConnection::connect_with(&office.database.superuser()).await.expect("a connection");
        let other = sqlx::query("INSERT INTO workspaces (id, name) VALUES (gen_random_uuid(), 'other')");
        other.execute(&mut superuser).await.expect("another workspace");
        Self { office, grant, asker, superuser }
    }

    /// The same instance with another grant.
    async fn anew(self) -> Self {
        let (grant, invite) = self.office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        let asker = enrol(&invite).await;
        asker.list(tasks()).await.expect("rows");
        Self { grant, asker, ..self }
    }

    async fn write(&mut self, assignment: &str) {
        let update = format!("UPDATE grants SET {assignment} WHERE id = '{}'", self.grant.id);
        let update = sqlx::query(sqlx::AssertSqlSafe(update)).execute(&mut self.superuser).await.expect("an update");
        assert_eq!(update.rows_affected(), 1);
    }

    async fn is_doubted(&self, doubt: Doubt) {
        let waited = timeout(Duration::from_secs(10), async {
            while self.office.spoke.status().doubtful != [(self.grant.id, doubt)] {
                sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "{:?}", self.office.spoke.status().doubtful);
    }

    /// Nothing is made of a grant that is not believed: whatever would be written would be sealed, and higher than before.
    async fn can_only_be_ended(&self, doubt: Doubt) {
        let (spoke, by, id) = (&self.office.spoke, self.office.by(), self.grant.id);
        let now = self.office.standing(id).await;
        let edit = spoke.edit(by, &now, Edit::to(self.grant.scope.to_spec())).await.expect_err("an edit of it");
        assert!(edit.to_string().contains(&doubt.to_string()), "{edit}");
        let again = spoke.invite(by, id).await.err().expect("an invite to it");
        assert!(again.to_string().contains("make a new one"), "{again}");
        let ceiling = serde_json::from_str(r#"{"max_rows_per_query":1}"#).expect("a ceiling");
        let narrowed = spoke.set_ceiling(by, name("owner"), Some(ceiling), true).await.expect("a ceiling");
        assert!(narrowed.iter().all(|one| one.grant.id != id), "a ceiling moves it");
        spoke.set_ceiling(by, name("owner"), None, false).await.expect("no ceiling");
        let tasks: Resource = "tasks".parse().expect("a resource");
        let verdict = spoke.can(id, Verb::List, &tasks).await.expect("a verdict");
        assert!(!verdict.allowed && verdict.why.contains(&doubt.to_string()), "{}", verdict.why);
        let views = self.office.store.grants().await.expect("grants");
        let state = views.iter().find(|view| view.grant.id == id).map(|view| view.standing(self.office.world.now()));
        assert_eq!(state, Some("doubtful"));
        self.is_refused().await;
        let ended = spoke.revoke(by, id).await.expect("it can be ended");
        assert_eq!(ended.grant.state, State::Revoked);
        self.has_ended().await;
    }

    /// Whatever its row was like.
    async fn has_ended(&self) {
        let (spoke, id) = (&self.office.spoke, self.grant.id);
        assert_eq!(spoke.status().doubtful, []);
        assert_eq!(self.office.trust.floor(id), END, "remembered");
        let anew = self.office.store.standing(None).await.expect("the table");
        assert!(matches!(anew.grants[&id], Held::Ended(_)), "{:?}", anew.grants[&id]);
        let again = spoke.revoke(self.office.by(), id).await.expect_err("it has ended");
        assert!(again.to_string().contains("revoked already"), "{again}");
    }

    async fn is_refused(&self) {
        let Ok(dialled) = self.asker.dial().await else { return };
        let mut query = proto::v1::query_service_client::QueryServiceClient::new(dialled.channel);
        let refused = tests::asker::list(&mut query, tasks()).await.expect_err("rows of a grant that is not believed");
        assert_eq!(refusal(&refused), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
    }
}

/// Columns that a seal does not cover, for nothing is decided by them.
const UNSEALED: [(&str, &str); 6] = [
    ("subject_name", "shown to people"),
    ("peer_name", "shown to people"),
    ("created_at", "shown to people"),
    ("not_after", "the scope's own end counts; this one only hides a grant"),
    ("keys_seal", "is a seal itself: without it the grant ends with any key that is revoked"),
    ("moved", "says what to read anew; a full reading does not ask"),
];

#[tokio::test(flavor = "multi_thread")]
async fn grant_row_tampered() {
    let changes = [
        // Wider, longer, another's rows, another key, another holder, another certificate before and after, alive again.
        r#"scope = jsonb_set(scope, '{resources}', '["tasks", "notes"]')"#,
        r#"scope = jsonb_set(scope, '{not_after}', '"2099-01-01T00:00:00Z"')"#,
        "subject = (SELECT id FROM users WHERE name = 'mallory')",
        "spki = sha256('mallory')",
        "name = 'mallory'",
        "peer = gen_random_uuid()",
        "workspace = (SELECT id FROM workspaces WHERE name = 'other')",
        "state = 'pending'",
        "serial = set_byte(serial, 8, 255 - get_byte(serial, 8))",
        "leaf_not_after = leaf_not_after + interval '1 day'",
        "next_serial = set_byte(serial, 8, 255 - get_byte(serial, 8)), next_spki = sha256('mallory'), next_not_after = leaf_not_after, next_issued_at = now(), next_unused = 1",
        "next_serial = set_byte(serial, 8, 255 - get_byte(serial, 8)), next_spki = sha256('mallory'), next_not_after = leaf_not_after, next_issued_at = now(), next_waits = true",
        "former_serial = set_byte(serial, 8, 255 - get_byte(serial, 8)), former_spki = sha256('mallory'), former_not_after = leaf_not_after, former_until = leaf_not_after",
        "generation = generation + 1",
        "seal = NULL",
        "seal = sha256('mallory')",
        // A number that no next one follows.
        "generation = 9223372036854775807",
        "renewals = renewals + 1",
        // Ended, by nobody here.
        "state = 'revoked'",
        "state = 'revoked', generation = generation + 1",
    ];
    let mut stage = Stage::open().await;
    let columns = "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'grants'";
    let columns: Vec<String> = sqlx::query_scalar(columns).fetch_all(&mut stage.superuser).await.expect("columns");
    for column in columns.iter().filter(|column| *column != "id") {
        let tried =
            changes.iter().flat_map(|change| change.split(", ")).any(|one| one.starts_with(&format!("{column} =")));
        let unsealed = UNSEALED.iter().any(|(name, _)| name == column);
        assert!(tried != unsealed, "{column} is changed here, or is named with the reason why it may be");
    }
    for change in changes {
        stage = stage.anew().await;
        stage.write(change).await;
        stage.is_doubted(Doubt::Tampered).await;
        stage.can_only_be_ended(Doubt::Tampered).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_cannot_be_read_is_shown_and_ended_by_its_id() {
    let changes = [
        "name = 'No name!'",
        "scope = '[]'",
        r#"scope = '{"workspace": "main", "resources": ["nothing-known"]}'"#,
        "generation = -1",
        "serial = '\\x00'",
        "spki = '\\x00'",
    ];
    let mut stage = Stage::open().await;
    for change in changes {
        stage = stage.anew().await;
        stage.write(change).await;
        stage.is_doubted(Doubt::Unreadable).await;
        stage.can_only_be_ended(Doubt::Unreadable).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_user_end_all_their_grants_whatever_their_rows_say() {
    let mut stage = Stage::open().await;
    for (change, doubt) in [("state = 'revoked'", Doubt::Tampered), ("scope = '[]'", Doubt::Unreadable)] {
        let user = name(&format!("leaver-{}", &stage.office.world.uuid().to_string()[..8]));
        stage.office.user(user.as_str(), Role::Member).await;
        let (grant, invite) = stage.office.grant(user.as_str(), r#"{"resources":["tasks"]}"#).await;
        let asker = enrol(&invite).await;
        stage = Stage { grant, asker, ..stage };
        stage.write(change).await;
        stage.is_doubted(doubt).await;
        let ended = stage.office.store.remove_user(&user, stage.office.act(Act::UserRemove)).await.expect("a removal");
        assert_eq!(
            ended.iter().map(|grant| (grant.id, grant.state)).collect::<Vec<_>>(),
            [(stage.grant.id, State::Revoked)]
        );
        stage.office.spoke.ended(stage.office.by(), &ended, stage.office.spoke.audience(|_| false)).await;
        stage.has_ended().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_brings_back_neither_a_revoked_grant_nor_a_wider_scope() {
    let mut stage = Stage::open().await;
    for revoke in [true, false] {
        stage = stage.anew().await;
        let (id, by) = (stage.grant.id, stage.office.by());
        let row = sqlx::query("SELECT scope::text, generation, seal FROM grants WHERE id = $1").bind(id.0);
        let before = row.fetch_one(&mut stage.superuser).await.expect("the row");
        if revoke {
            let ended = stage.office.spoke.revoke(by, id).await.expect("a revocation");
            assert!(matches!(ended.receipt, Receipt::Away(_)));
        } else {
            let now = stage.office.standing(id).await;
            let mut narrow = now.scope.to_spec();
            narrow.max_rows_per_query = Some(1);
            stage.office.spoke.edit(by, &now, Edit::to(narrow)).await.expect("an edit");
        }
        // The row, seal and all, as the backup had it.
        let back = sqlx::query(
            "UPDATE grants SET state = 'active', scope = $2::text::jsonb, generation = $3, seal = $4 WHERE id = $1",
        );
        let back = back.bind(id.0).bind(before.get::<String, _>(0)).bind(before.get::<i64, _>(1));
        back.bind(before.get::<Vec<u8>, _>(2)).execute(&mut stage.superuser).await.expect("the backup");
        sqlx::query("DELETE FROM refused_leaves").execute(&mut stage.superuser).await.expect("the backup");
        stage.is_doubted(Doubt::Older).await;
        stage.can_only_be_ended(Doubt::Older).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_outlives_the_daemon_and_its_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grants.floor");
    let open = || Arc::new(Trust::open(&path, cluster::row_key()).expect("a file"));
    let office = Instance::start_remembering(cluster::database().await, open()).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    enrol(&invite).await;
    office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    assert_eq!(open().floor(grant.id), END, "durable when the command returns");
    assert!(Trust::open(&path, RowKey::new([9; 32])).is_err(), "of another key");
    assert_eq!(open().floor(grant.id), END, "which has changed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_a_crash_kept_from_being_remembered_is_learnt_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grants.floor");
    let mut stage = Stage::open().await;
    let id = stage.grant.id;
    let changed = stage.anew().await;
    let (kept, by) = (changed.grant.id, changed.office.by());
    changed.office.spoke.revoke(by, id).await.expect("a revocation");
    stage = changed;
    // Nothing is in this file: as if the daemon had been killed between the commit and the line.
    let open = || Arc::new(Trust::open(&path, cluster::row_key()).expect("a file"));
    let again = stage.office.spoke_after_a_stop(open()).await;
    assert_eq!(again.status().doubtful, []);
    assert_eq!(open().floor(id), END);
    assert_eq!(open().floor(kept), Floor::of(&stage.office.standing(kept).await));
    again.stop().await;
}

/// Renews a grant three times, so that nothing of its first two keys is in its own row.
async fn renew(office: &Instance, clock: &FakeClock, grant: GrantId) -> Vec<Spki> {
    let mut keys = vec![office.standing(grant).await.leaf.expect("a certificate").spki];
    for _ in 0..3 {
        clock.advance(LIFE / 10 + Duration::from_secs(1));
        let (held, now) = (office.standing(grant).await.leaf.expect("a certificate"), office.world.now());
        let serial = Serial::new(&office.world.bytes::<16>()).expect("a number");
        let leaf = Leaf { serial: serial.clone(), spki: Spki(office.world.bytes()), not_after: now + LIFE };
        keys.push(leaf.spki);
        let next = Successor::new(leaf, now);
        let record = || office.act(Act::Certificate);
        office.store.renew_grant(grant, &held.serial, &next, record()).await.expect("a renewal");
        assert!(office.store.confirm_leaf(grant, &serial, record()).await.expect("its first use"));
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_grant_was_held_with_can_be_hidden_from_no_revoked_key() {
    let (clock, world) = tests::clock::standing();
    let office = Instance::start_in(world).await;
    let mut superuser = PgConnection::connect_with(&office.database.superuser()).await.expect("a connection");
    let (other, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    enrol(&invite).await;
    renew(&office, &clock, other.id).await;
    let old = "(SELECT keys_seal FROM old)";
    for (changes, of) in [
        (String::new(), 0),
        (String::new(), 1),
        ("UPDATE invites SET claimed_spki = sha256('mallory') WHERE grant_id = $".to_owned(), 0),
        ("UPDATE invites SET certificate = NULL, serial = NULL WHERE grant_id = $".to_owned(), 0),
        ("DELETE FROM invites WHERE grant_id = $".to_owned(), 0),
        ("DELETE FROM grant_keys WHERE grant_id = $".to_owned(), 1),
        ("UPDATE grant_keys SET spki = sha256('mallory') WHERE grant_id = $ AND spki = KEY".to_owned(), 1),
        ("UPDATE grant_keys SET invite = NULL WHERE grant_id = $ AND spki = KEY".to_owned(), 1),
        ("DELETE FROM grant_keys WHERE grant_id = $ AND spki = KEY; UPDATE grants SET keys_seal = NULL WHERE id = $".to_owned(), 1),
        (
            "DELETE FROM grant_keys WHERE grant_id = $ AND spki = KEY; UPDATE grants SET keys_seal = sha256('x') WHERE id = $"
                .to_owned(),
            1,
        ),
        // As it was when the grant was enrolled, seal and all.
        (format!("DELETE FROM grant_keys WHERE grant_id = $; UPDATE grants SET keys_seal = {old} WHERE id = $"), 1),
    ] {
        let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        enrol(&invite).await;
        let before = format!("CREATE TABLE old AS SELECT keys_seal FROM grants WHERE id = '{}'", grant.id);
        sqlx::query(sqlx::AssertSqlSafe(before)).execute(&mut superuser).await.expect("what it was");
        let keys = renew(&office, &clock, grant.id).await;
        let key = keys[of];
        let hex = key.0.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let changes = changes.replace('$', &format!("'{}'", grant.id)).replace("KEY", &format!("'\\x{hex}'"));
        for change in changes.split("; ").filter(|change| !change.is_empty()) {
            let done = sqlx::query(sqlx::AssertSqlSafe(change)).execute(&mut superuser).await.expect(change);
            assert!(done.rows_affected() > 0, "{change}");
        }
        // A renewal does not make good what was changed.
        renew(&office, &clock, grant.id).await;
        let reason = "".parse().expect("none");
        let ended = office.spoke.revoke_key(office.by(), name("owner"), key, reason).await.expect("a revocation");
        let ended: Vec<_> = ended.grants.iter().map(|ended| ended.grant.id).collect();
        assert_eq!(ended, [grant.id], "{changes}");
        sqlx::query("DROP TABLE old").execute(&mut superuser).await.expect("no table");
    }
    assert_eq!(office.standing(other.id).await.state, State::Active, "nobody hid anything of it");
}
