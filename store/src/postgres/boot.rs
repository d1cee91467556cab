//! The look before serving: whether this database holds tenants apart and keeps what it acknowledged. Facts are read in one
//! statement as the serving role; what they mean is a pure function.
//!
//! Sources: PostgreSQL documentation 5.9 (row security: owners, superusers and BYPASSRLS pass by), CREATE VIEW
//! (`security_invoker`), CREATE FUNCTION (writing SECURITY DEFINER functions safely), 28.1 (reliability).

use super::start::{PROBE, StartError, connect};
use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};

/// Tables that belong to the instance and to no tenant. Every other table must force row-level security.
pub const EXEMPT: [&str; 15] = [
    "_sqlx_migrations",
    "audit",
    "audit_head",
    "audit_tiles",
    "ceiling",
    "grant_calls",
    "grant_keys",
    "grants",
    "grants_version",
    "instance",
    "invites",
    "refused_leaves",
    "revoked_keys",
    "users",
    "workspaces",
];

/// The only functions that may run with their owner's rights. Each has a fixed search path and returns names, not rows.
pub const DEFINERS: [&str; 3] = ["link_directory", "member_directory", "token_directory"];

/// The first minor of each major that has the fixes row-level security needs (CVE-2024-10976, CVE-2025-8713).
const MINORS: [(i32, i32); 3] = [(16, 160_010), (17, 170_006), (18, 180_000)];

const FACTS: &str = "
WITH visible AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_toast%' AND nspname NOT LIKE 'pg\\_temp%'
      AND has_schema_privilege(current_user, oid, 'USAGE')
), relations AS (
    SELECT c.*, v.nspname FROM pg_class c JOIN visible v ON v.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
)
SELECT current_setting('server_version_num')::int AS version,
       current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('row_security') AS row_security,
       me.rolname::text AS role, me.rolsuper AS superuser, me.rolbypassrls AS bypass,
       ARRAY(SELECT relname::text FROM relations WHERE relowner = me.oid ORDER BY 1) AS owned,
       ARRAY(SELECT r.rolname::text FROM pg_roles r
             WHERE r.oid <> me.oid AND NOT me.rolsuper AND pg_has_role(me.oid, r.oid, 'MEMBER')
               AND (r.rolsuper OR r.rolbypassrls OR EXISTS (SELECT FROM relations WHERE relowner = r.oid)) ORDER BY 1) AS becomes,
       ARRAY(SELECT relname::text FROM relations
             WHERE relkind IN ('r', 'p', 'f') AND NOT (relrowsecurity AND relforcerowsecurity)
               AND NOT (nspname = 'public' AND relname = ANY ($1)) ORDER BY 1) AS unforced,
       ARRAY(SELECT p.proname::text FROM pg_proc p JOIN visible v ON v.oid = p.pronamespace
             WHERE p.prosecdef
               AND NOT (v.nspname = 'public' AND p.proname = ANY ($2)
                        AND EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE setting LIKE 'search_path=%'))
             ORDER BY 1) AS definers,
       ARRAY(SELECT relname::text FROM relations
             WHERE relkind = 'm' OR relkind = 'v' AND NOT coalesce(reloptions && ARRAY['security_invoker=true', 'security_invoker=on'], false)
             ORDER BY 1) AS views,
       ARRAY(SELECT privilege FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
             WHERE has_table_privilege(me.oid, to_regclass('public.audit'), privilege)) AS rewrites
FROM pg_roles me WHERE me.rolname = current_user";

#[derive(Clone, Debug, Default)]
struct Facts {
    version: i32,
    fsync: String,
    synchronous_commit: String,
    full_page_writes: String,
    row_security: String,
    role: String,
    superuser: bool,
    bypass: bool,
    owned: Vec<String>,
    becomes: Vec<String>,
    unforced: Vec<String>,
    definers: Vec<String>,
    views: Vec<String>,
    rewrites: Vec<String>,
}

/// Refuses to migrate a database for a role that would pass by its policies, or that may lose what it acknowledges.
pub(super) async fn check_role(app: &PgConnectOptions) -> Result<(), StartError> {
    refuse(judge_role(&facts(app).await?))
}

/// Refuses a migrated database that is not safe to serve from as this role.
pub(super) async fn check(app: &PgConnectOptions) -> Result<(), StartError> {
    let facts = facts(app).await?;
    refuse([judge_role(&facts), objects(&facts)].concat())
}

fn refuse(findings: Vec<String>) -> Result<(), StartError> {
    if findings.is_empty() { Ok(()) } else { Err(StartError::Unsafe(findings)) }
}

async fn facts(app: &PgConnectOptions) -> Result<Facts, StartError> {
    let mut connection = connect(app).await?;
    let facts = match tokio::time::timeout(PROBE, read(&mut connection)).await {
        Ok(facts) => facts.map_err(|error| StartError::Probe(super::error::describe(&error)))?,
        Err(_) => return Err(StartError::Probe(format!("no answer within {} s", PROBE.as_secs()))),
    };
    drop(tokio::time::timeout(PROBE, connection.close()).await);
    Ok(facts)
}

async fn read(connection: &mut PgConnection) -> Result<Facts, sqlx::Error> {
    let row = sqlx::query(FACTS).bind(&EXEMPT[..]).bind(&DEFINERS[..]).fetch_one(connection).await?;
    Ok(Facts {
        version: row.try_get("version")?,
        fsync: row.try_get("fsync")?,
        synchronous_commit: row.try_get("synchronous_commit")?,
        full_page_writes: row.try_get("full_page_writes")?,
        row_security: row.try_get("row_security")?,
        role: row.try_get("role")?,
        superuser: row.try_get("superuser")?,
        bypass: row.try_get("bypass")?,
        owned: row.try_get("owned")?,
        becomes: row.try_get("becomes")?,
        unforced: row.try_get("unforced")?,
        definers: row.try_get("definers")?,
        views: row.try_get("views")?,
        rewrites: row.try_get("rewrites")?,
    })
}

/// Findings that hold whatever tables there are, each with its cause and remedy.
fn judge_role(facts: &Facts) -> Vec<String> {
    [role(facts), durability(facts), version(facts.version).into_iter().collect()].concat()
}

fn role(facts: &Facts) -> Vec<String> {
    let role = &facts.role;
    let mut findings = Vec::new();
    if facts.superuser {
        findings.push(format!("role {role} is a superuser and passes by every policy: ALTER ROLE {role} NOSUPERUSER"));
    }
    if facts.bypass {
        findings.push(format!("role {role} has BYPASSRLS and passes by every policy: ALTER ROLE {role} NOBYPASSRLS"));
    }
    if !facts.owned.is_empty() {
        let tables = facts.owned.join(", ");
        findings.push(format!("role {role} owns {tables} and could change its policies: give it to the owner role (ALTER TABLE … OWNER TO)"));
    }
    for other in &facts.becomes {
        findings.push(format!(
            "role {role} can become {other}, which owns tables or passes by policies: REVOKE {other} FROM {role}"
        ));
    }
    if facts.row_security != "on" {
        findings.push(format!(
            "row_security is {} for role {role}: ALTER ROLE {role} RESET row_security",
            facts.row_security
        ));
    }
    findings
}

fn objects(facts: &Facts) -> Vec<String> {
    let unforced = facts.unforced.iter().map(|table| {
        format!("table {table} does not force row-level security: ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, or move it to another database")
    });
    let definers = facts.definers.iter().map(|function| {
        format!("function {function} runs with its owner's rights (SECURITY DEFINER) and is not one of ours: ALTER FUNCTION {function} SECURITY INVOKER, or drop it")
    });
    let views = facts.views.iter().map(|view| {
        format!(
            "view {view} reads with its owner's rights: ALTER VIEW {view} SET (security_invoker = true), or drop it"
        )
    });
    let rewrites = facts.rewrites.iter().map(|right| {
        format!(
            "role {} has {right} on audit and could rewrite the log: REVOKE {right} ON audit FROM {}",
            facts.role, facts.role
        )
    });
    unforced.chain(definers).chain(views).chain(rewrites).collect()
}

fn durability(facts: &Facts) -> Vec<String> {
    let strong = |name: &str, value: &str| value == "on" || (name == "synchronous_commit" && value == "remote_apply");
    [
        ("fsync", &facts.fsync),
        ("synchronous_commit", &facts.synchronous_commit),
        ("full_page_writes", &facts.full_page_writes),
    ]
    .into_iter()
    .filter(|(name, value)| !strong(name, value))
    .map(|(name, value)| {
        format!("{name} is {value}, so that a crash could undo what was acknowledged: set {name} = on")
    })
    .collect()
}

fn version(found: i32) -> Option<String> {
    let major = found / 10_000;
    let safe = MINORS.iter().find(|(known, _)| *known == major).map_or(major > 18, |(_, first)| found >= *first);
    let shown = format!("{major}.{}", found % 10_000);
    (!safe).then(|| {
        format!("PostgreSQL {shown} lacks fixes that row-level security needs: update to 16.10, 17.6, 18.0 or later")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(facts: &Facts) -> Vec<String> {
        [judge_role(facts), objects(facts)].concat()
    }

    fn safe() -> Facts {
        let on = || String::from("on");
        Facts {
            version: 180_004,
            fsync: on(),
            synchronous_commit: on(),
            full_page_writes: on(),
            row_security: on(),
            role: "mosaic_app".into(),
            ..Facts::default()
        }
    }

    /// The name that the one finding must say.
    fn finding(change: impl FnOnce(&mut Facts)) -> String {
        let mut facts = safe();
        change(&mut facts);
        let findings = judge(&facts);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings[0].clone()
    }

    #[test]
    fn a_safe_database_has_no_finding() {
        assert_eq!(judge(&safe()), Vec::<String>::new());
    }

    #[test]
    fn each_unsafe_fact_is_named_with_its_remedy() {
        assert!(finding(|facts| facts.superuser = true).contains("NOSUPERUSER"));
        assert!(finding(|facts| facts.bypass = true).contains("NOBYPASSRLS"));
        assert!(finding(|facts| facts.becomes = vec!["mosaic_owner".into()]).contains("REVOKE mosaic_owner"));
        assert!(finding(|facts| facts.owned = vec!["items".into()]).contains("owns items"));
        assert!(finding(|facts| facts.row_security = "off".into()).contains("row_security"));
        assert!(finding(|facts| facts.unforced = vec!["items".into()]).contains("table items"));
        assert!(finding(|facts| facts.definers = vec!["peek".into()]).contains("function peek"));
        assert!(finding(|facts| facts.views = vec!["all_items".into()]).contains("security_invoker"));
        assert!(finding(|facts| facts.rewrites = vec!["UPDATE".into()]).contains("UPDATE on audit"));
        assert!(finding(|facts| facts.fsync = "off".into()).contains("fsync"));
        assert!(finding(|facts| facts.synchronous_commit = "local".into()).contains("synchronous_commit"));
        assert!(finding(|facts| facts.full_page_writes = "off".into()).contains("full_page_writes"));
    }

    #[test]
    fn servers_older_than_the_fixed_minor_are_refused() {
        for (number, safe) in [
            (150_014, false),
            (160_009, false),
            (160_010, true),
            (170_005, false),
            (170_006, true),
            (180_000, true),
            (190_000, true),
        ] {
            assert_eq!(version(number).is_none(), safe, "{number}");
        }
    }
}
