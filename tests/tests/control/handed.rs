//! A database that says other things than this instance wrote about who may enrol, and about who is let in.

use domain::{
    grant::{Grant, State},
    id::{InstanceId, InviteId, Spki},
    invite::{Invite, Token},
    rights::Role,
    seal::Doubt,
    words::{Added, Opening, Words},
    world::World,
};
use pki::RequestKey;
use spoke::{Edit, Terms};
use sqlx::{Connection, PgConnection};
use std::{sync::Arc, time::Duration};
use store::{Floor, Trust};
use tests::{
    asker::{Asker, NONCE, refusal, send_enrolment, target, tasks},
    cluster,
    instance::{Instance, task},
};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

struct Stage {
    office: Instance,
    superuser: PgConnection,
}

/// A grant that somebody is invited to, and the key they have.
struct Case {
    grant: Grant,
    invite: Invite,
    key: RequestKey,
    home: InstanceId,
    opening: Opening,
}

impl Stage {
    async fn open() -> Self {
        let office = Instance::start().await;
        office.put(office.owner, vec![task("one")]).await;
        office.user("mallory", Role::Member).await;
        let superuser = PgConnection::connect_with(&office.database.superuser()).await.expect("a connection");
        Self { office, superuser }
    }

    /// A grant whose holder has to be let in, with its invite for one key alone.
    async fn invited(&mut self) -> Case {
        let (grant, _) = self.office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        let key = RequestKey::generate().expect("a key");
        let terms = Terms { key: Some(key.spki), confirm: true };
        let made = self.office.spoke.invite_on(self.office.by(), grant.id, terms).await.expect("an invite");
        let invite = Invite::decode(made.invite.expose()).expect("an invite");
        let id = sqlx::query_scalar("SELECT id FROM invites WHERE grant_id = $1 ORDER BY expires_at DESC LIMIT 1");
        let id = id.bind(grant.id.0).fetch_one(&mut self.superuser).await.expect("the invite");
        let opening = cluster::row_key().opening(InviteId(id));
        assert!(opening.commitment() == invite.commitment);
        Case { grant, invite, key, home: InstanceId(World::system().uuid()), opening }
    }

    async fn write(&mut self, statement: &str) {
        let written = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut self.superuser).await;
        assert!(written.expect("a statement").rows_affected() > 0, "{statement}");
    }

    async fn write_invite(&mut self, case: &Case, assignment: &str) {
        let newest = format!(
            "id = (SELECT id FROM invites WHERE grant_id = '{}' ORDER BY expires_at DESC LIMIT 1)",
            case.grant.id
        );
        self.write(&format!("UPDATE invites SET {assignment} WHERE {newest}")).await;
    }

    async fn is_doubted(&self, case: &Case, doubt: Doubt) {
        let waited = timeout(Duration::from_secs(10), async {
            while !self.office.spoke.status().doubtful.contains(&(case.grant.id, doubt)) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "{:?}", self.office.spoke.status().doubtful);
    }

    async fn confirm(&self, case: &Case, key: Spki) -> Result<Grant, String> {
        let added = Added { opening: case.opening, nonce: NONCE };
        let words = Words::of(&case.invite.root, key, case.grant.id, added).to_string();
        let confirmed = self.office.spoke.confirm(self.office.by(), case.grant.id, &[words]).await;
        confirmed.map_err(|error| error.to_string())
    }

    async fn can_be_ended(&self, case: &Case) {
        let ended = self.office.spoke.revoke(self.office.by(), case.grant.id).await.expect("it can be ended");
        assert_eq!(ended.grant.state, State::Revoked);
    }
}

impl Case {
    async fn enrol(&self) -> Result<Asker, Status> {
        self.enrol_with(self.invite.token.expose(), &self.key).await
    }

    async fn enrol_with(&self, token: &str, key: &RequestKey) -> Result<Asker, Status> {
        let answer = send_enrolment(&self.invite, self.home, token, key.csr.clone()).await?;
        let link = Asker::new(self.home, self.grant.id, target(&self.invite, None));
        Ok(link.renewed(answer.certificate, key))
    }
}

fn spent() -> (Code, String) {
    (Code::FailedPrecondition, "INVITE_SPENT".to_owned())
}

async fn is_refused(link: &Asker) {
    let Ok(dialled) = link.dial().await else { return };
    let mut query = proto::v1::query_service_client::QueryServiceClient::new(dialled.channel);
    let refused = tests::asker::list(&mut query, tasks()).await.expect_err("rows for somebody who was not let in");
    assert_eq!(refusal(&refused), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn invite_row_tampered() {
    let [mallorys, other] = ["42", "43"].map(|digits| digits.repeat(32));
    let digest = |token| hex::encode(Token::parse(token).expect("a token").digest());
    let mut stage = Stage::open().await;
    let elsewhere = stage.invited().await.grant.id;
    let unused = [
        // Nobody waits, any key may, for longer, another token, as good as new, another grant's, another's words are not wrong.
        "confirm = false".to_owned(),
        "spki = NULL".to_owned(),
        "expires_at = expires_at + interval '1 year'".to_owned(),
        format!("digest = decode('{}', 'hex')", digest(&mallorys)),
        "wrong_words = 1".to_owned(),
        "used_at = now(), claimed_spki = spki".to_owned(),
        "used_at = now(), claimed_spki = spki, claimed_nonce = sha256('mallory')".to_owned(),
        format!("grant_id = '{elsewhere}'"),
        "id = gen_random_uuid()".to_owned(),
        "seal = NULL".to_owned(),
        "seal = sha256('mallory')".to_owned(),
    ];
    // What it gave is given again, to the same key: another certificate, or one that is not the one it says.
    let used = [
        "certificate = set_byte(certificate, 40, 255 - get_byte(certificate, 40))",
        "serial = set_byte(serial, 8, 255 - get_byte(serial, 8))",
        "serial = NULL, certificate = NULL",
        "used_at = used_at + interval '1 minute'",
        "claimed_nonce = sha256('mallory')",
    ];
    let changes: Vec<_> = unused.into_iter().map(|change| (change, false)).collect();
    let changes: Vec<_> = changes.into_iter().chain(used.map(|change| (change.to_owned(), true))).collect();
    let columns = "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'invites'";
    let columns: Vec<String> = sqlx::query_scalar(columns).fetch_all(&mut stage.superuser).await.expect("columns");
    assert!(!columns.is_empty());
    for column in columns {
        let sets = |one: &str| one.starts_with(&format!("{column} ="));
        assert!(changes.iter().any(|(change, _)| change.split(", ").any(sets)), "{column} is changed here");
    }
    for (change, used) in changes {
        let case = stage.invited().await;
        if used {
            case.enrol().await.expect("a certificate");
        }
        let before = stage.office.standing(case.grant.id).await;
        stage.write_invite(&case, &change).await;
        let token = if change.starts_with("digest") { &mallorys } else { case.invite.token.expose() };
        let refused = case.enrol_with(token, &case.key).await.err().expect("enrolled");
        assert_eq!(refusal(&refused), spent(), "{change}");
        assert_eq!(stage.office.standing(case.grant.id).await, before, "{change}");
        assert!(used || before.peer.is_none());
        stage.can_be_ended(&case).await;
    }
    let case = stage.invited().await;
    let added = format!(
        "INSERT INTO invites (id, grant_id, digest, expires_at, seal)
         SELECT gen_random_uuid(), grant_id, decode('{}', 'hex'), expires_at, seal FROM invites
         WHERE grant_id = '{}' LIMIT 1",
        digest(&other),
        case.grant.id
    );
    stage.write(&added).await;
    let refused = case.enrol_with(&other, &RequestKey::generate().expect("a key")).await.err().expect("enrolled");
    assert_eq!(refusal(&refused), spent());
    case.enrol().await.expect("the one that was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_words_are_shown_that_somebody_else_wrote() {
    let mut stage = Stage::open().await;
    let victims = RequestKey::generate().expect("a key").spki;
    let case = stage.invited().await;
    case.enrol().await.expect("a certificate");
    let words = async |stage: &Stage| {
        let views = stage.office.store.grants().await.expect("grants");
        let view = views.into_iter().find(|view| view.grant.id == case.grant.id).expect("the grant");
        stage.office.spoke.words(&view)
    };
    let added = Added { opening: case.opening, nonce: NONCE };
    assert_eq!(words(&stage).await, Some(Words::of(&case.invite.root, case.key.spki, case.grant.id, added)));
    stage.write_invite(&case, &format!("spki = NULL, claimed_spki = decode('{victims}', 'hex')")).await;
    assert_eq!(words(&stage).await, None, "of the victim's key");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_let_in_by_their_own_words_alone_whatever_the_database_says() {
    let mut stage = Stage::open().await;
    let victims = RequestKey::generate().expect("a key");
    // Let in already; and held, as the invite has it, by somebody who was never here.
    for change in ["state = 'active'", "state = 'active', generation = generation + 1"] {
        let case = stage.invited().await;
        let link = case.enrol().await.expect("a certificate");
        stage.write(&format!("UPDATE grants SET {change} WHERE id = '{}'", case.grant.id)).await;
        stage.is_doubted(&case, Doubt::Tampered).await;
        is_refused(&link).await;
        assert!(stage.confirm(&case, case.key.spki).await.is_err(), "{change}");
        is_refused(&link).await;
        stage.can_be_ended(&case).await;
    }
    let case = stage.invited().await;
    let link = case.enrol().await.expect("a certificate");
    let key = victims.spki;
    stage.write_invite(&case, &format!("spki = NULL, claimed_spki = decode('{key}', 'hex')")).await;
    let refused = stage.confirm(&case, key).await.expect_err("the words of somebody else");
    assert!(refused.contains("somebody has changed the database"), "{refused}");
    is_refused(&link).await;
    stage.can_be_ended(&case).await;
    let case = stage.invited().await;
    let link = case.enrol().await.expect("a certificate");
    for _ in 0..2 {
        assert!(stage.confirm(&case, key).await.expect_err("other words").contains("not the four words"));
    }
    stage.write_invite(&case, "wrong_words = 0").await;
    let refused = stage.confirm(&case, case.key.spki).await.expect_err("as if nobody had tried");
    assert!(refused.contains("somebody has changed the database"), "{refused}");
    is_refused(&link).await;
    stage.can_be_ended(&case).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_brings_back_neither_an_invite_nor_a_holder_who_waited() {
    let mut stage = Stage::open().await;
    for waited in [false, true] {
        let case = stage.invited().await;
        if waited {
            case.enrol().await.expect("a certificate");
        }
        let backup = "CREATE TABLE before_grants AS TABLE grants; CREATE TABLE before_invites AS TABLE invites";
        stage.write(backup).await;
        let link = case.enrol().await.expect("a certificate");
        stage.confirm(&case, case.key.spki).await.expect("the words");
        link.list(tasks()).await.expect("rows");
        stage.can_be_ended(&case).await;
        let back = "DELETE FROM refused_leaves; DELETE FROM invites; DELETE FROM grants;
                    INSERT INTO grants SELECT * FROM before_grants; INSERT INTO invites SELECT * FROM before_invites;
                    DROP TABLE before_grants, before_invites";
        sqlx::raw_sql(back).execute(&mut stage.superuser).await.expect("the backup");
        // Each of these would take the grant further, until it stood where it had stood.
        assert_eq!(refusal(&case.enrol().await.err().expect("enrolled")), spent());
        let put_back = "the database was put back";
        let (by, now) = (stage.office.by(), stage.office.standing(case.grant.id).await);
        if waited {
            assert!(stage.confirm(&case, case.key.spki).await.expect_err("let in").contains(put_back));
        }
        let edit = stage.office.spoke.edit(by, &now, Edit::to(now.scope.to_spec())).await.expect_err("an edit of it");
        assert!(edit.to_string().contains(put_back), "{edit}");
        let again = stage.office.spoke.invite(by, case.grant.id).await.err().expect("an invite to it");
        assert!(again.to_string().contains(put_back), "{again}");
        stage.is_doubted(&case, Doubt::Older).await;
        is_refused(&link).await;
        stage.can_be_ended(&case).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_somebody_was_let_in_is_remembered_beside_the_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grants.floor");
    let open = || Arc::new(Trust::open(&path, cluster::row_key()).expect("a file"));
    let office = Instance::start_remembering(cluster::database().await, open()).await;
    let superuser = PgConnection::connect_with(&office.database.superuser()).await.expect("a connection");
    let mut stage = Stage { office, superuser };
    let case = stage.invited().await;
    case.enrol().await.expect("a certificate");
    let waiting = stage.office.standing(case.grant.id).await;
    assert!(waiting.waits());
    let confirmed = stage.confirm(&case, case.key.spki).await.expect("the words");
    assert_eq!(confirmed.generation, waiting.generation + 1);
    assert_eq!(open().floor(case.grant.id), Floor::of(&confirmed));
}
