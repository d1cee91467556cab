//! The instance that is asked: two people, two teams, several hundred rows, grants for one of them; and what is true of it, read
//! from its tables past everything that answers calls.

use crate::stage::Stage;
use domain::{
    Time,
    audit::Entry,
    grant::Grant,
    id::{GrantId, UserId},
    invite::Invite,
    item::NewItem,
    rights::Role,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use store::AuditQuery;
use tests::instance::{Instance, task, team};

/// What no answer may hold: an attribute of class `secret`.
pub(crate) const REMARK: &str = "remark-that-stays";
/// Rows of the team that alice's grants show.
pub(crate) const TEAM_TASKS: usize = 430;
/// Her own, which they show as well.
pub(crate) const OWN_TASKS: usize = 23;
const NOTES: usize = 120;
/// 2026-01-05T08:00:00Z, in microseconds.
const FIRST: i64 = 1_767_600_000_000_000;

/// An instance with rows.
pub(crate) struct Office {
    /// The instance.
    pub(crate) instance: Instance,
    alice: UserId,
}

/// A grant with an invite that nobody used yet.
pub(crate) struct Offered {
    /// The grant, pending.
    pub(crate) grant: Grant,
    /// Its invite.
    pub(crate) invite: Invite,
}

impl Office {
    /// An instance with several hundred rows, of which a grant of alice's shows her team's and her own.
    pub(crate) async fn start() -> Self {
        Self::of(Instance::start().await).await
    }

    /// The same on an instance that a test has started in its own way.
    pub(crate) async fn of(instance: Instance) -> Self {
        let alice = instance.user("alice", Role::Member).await;
        let bob = instance.user("bob", Role::Member).await;
        instance.team("platform", &["alice"]).await;
        instance.team("customers", &["bob"]).await;
        instance.put(alice, (0..TEAM_TASKS).map(|n| detailed(n, Some("platform"))).collect()).await;
        instance.put(alice, (0..OWN_TASKS).map(|n| detailed(7 * n, None)).collect()).await;
        instance.put(bob, (0..40).map(|n| detailed(n, None)).collect()).await;
        instance.put(bob, (0..30).map(|n| detailed(n, Some("customers"))).collect()).await;
        let note = |n| NewItem {
            resource: "notes".parse().expect("a kind"),
            attributes: serde_json::Map::new(),
            ..detailed(n, Some("platform"))
        };
        instance.put(alice, (0..NOTES).map(note).collect()).await;
        Self { instance, alice }
    }

    /// A grant on alice's behalf, with `spec` as JSON without its workspace.
    pub(crate) async fn offer(&self, spec: &str) -> Offered {
        let (grant, invite) = self.instance.grant("alice", spec).await;
        Offered { grant, invite }
    }

    /// What the owner would read out over the telephone.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.instance)
    }

    /// A grant of `spec` that the client of `stage` holds, in its directory `link`.
    pub(crate) async fn linked(&self, stage: &Stage, spec: &str) -> Grant {
        let offered = self.offer(spec).await;
        let said = stage.enrol("link", &offered.invite.encode(), &self.fingerprint()).await;
        assert_eq!(said.events(), ["invited", "enrolled"], "{said:#?}");
        self.instance.standing(offered.grant.id).await
    }

    /// The rows of a kind that alice's grants show, in the order of lists, from the tables themselves.
    pub(crate) async fn shown(&self, kind: &str) -> Vec<Value> {
        let visible = "i.team = 'platform' OR i.team IS NULL AND i.owner = $2";
        self.rows(kind, visible).await
    }

    /// The rows of a kind that they must not show.
    pub(crate) async fn hidden(&self, kind: &str) -> Vec<Value> {
        self.rows(kind, "i.team = 'customers' OR i.team IS NULL AND i.owner <> $2").await
    }

    async fn rows(&self, kind: &str, condition: &str) -> Vec<Value> {
        let question = format!(
            "SELECT jsonb_strip_nulls(jsonb_build_object('id', i.id, 'resource', i.kind, 'title', i.title, 'body', i.body,
                'team', i.team, 'project', i.project, 'owner', u.name, 'tags', to_jsonb(i.tags), 'attributes', i.attributes,
                'created_at', (extract(epoch FROM i.created_at) * 1000000)::bigint,
                'updated_at', (extract(epoch FROM i.updated_at) * 1000000)::bigint))
             FROM items i JOIN users u ON u.id = i.owner
             WHERE i.kind = $1 AND ({condition}) ORDER BY i.created_at DESC, i.id DESC"
        );
        let mut superuser =
            PgConnection::connect_with(&self.instance.database.superuser()).await.expect("a connection");
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(question)).bind(kind).bind(self.alice.0);
        rows.fetch_all(&mut superuser).await.expect("rows")
    }

    /// The log from after `sequence`.
    pub(crate) async fn log_after(&self, sequence: u64) -> Vec<Entry> {
        let query = AuditQuery { limit: 10_000, ..AuditQuery::default() };
        let entries = self.instance.store.entries(&query).await.expect("the log");
        entries.into_iter().filter(|entry| entry.sequence > sequence).collect()
    }

    /// How far the log is.
    pub(crate) async fn log_end(&self) -> u64 {
        self.log_after(0).await.last().map_or(0, |entry| entry.sequence)
    }

    /// What the log says of the call with the id on this line, under `grant`; not empty.
    pub(crate) async fn on_record(&self, line: &Value, grant: GrantId) -> Vec<Entry> {
        let id = line["request_id"].as_str().expect("an id");
        let log = self.log_after(0).await;
        let found: Vec<_> = log.into_iter().filter(|entry| entry.request.to_string() == id).collect();
        assert!(!found.is_empty(), "the log has no call {id}: {line}");
        assert!(found.iter().all(|entry| entry.grant == Some(grant)), "{found:?}");
        found
    }
}

/// What the owner of an instance would read out over the telephone.
pub(crate) fn fingerprint(instance: &Instance) -> String {
    hex::encode(Sha256::digest(instance.authority.root_der()))
}

/// A task with something in every field, whose time of making three rows share.
fn detailed(n: usize, owner: Option<&str>) -> NewItem {
    let status = ["open", "doing", "waiting", "done"][n % 4];
    let attributes = json!({
        "status": status, "estimate_minutes": 15 * n, "due": "2026-12-01",
        "depends_on": [format!("task {n}"), "Grüße"], "private_remark": REMARK,
    });
    let tags = ["red", "blue", "ops"].into_iter().take(n % 4).map(|tag| tag.parse().expect("a tag"));
    NewItem {
        body: (!n.is_multiple_of(5))
            .then(|| format!("# Row {n}\n\n- naïve ☂ text\n- 日本語, \"quoted\"\t\\ {}", "x".repeat(n))),
        team: owner.map(team),
        project: n.is_multiple_of(3).then(|| "rack".parse().expect("a project")),
        tags: tags.collect(),
        attributes: attributes.as_object().expect("an object").clone(),
        created_at: Some(Time::from_micros(FIRST + i64::try_from(n / 3).expect("few rows") * 61_000_001)),
        ..task(&format!("row {n:04} – “{status}”"))
    }
}
