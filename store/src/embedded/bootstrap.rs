//! Roles, database and pgvector: made at the first start, repaired at every later one, so that a hand-made change does not last.

use super::place::Place;
use super::{DATABASE, EmbeddedError, SUPERUSER, options};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use std::path::Path;
use std::time::Duration;

const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Both roles with every attribute spelled out, and the serving role a member of nothing: what it could SET ROLE to would be its own.
const ROLES: &str = "
DO $$
DECLARE
    name text;
    parent text;
BEGIN
    FOREACH name IN ARRAY ARRAY['mosaic_owner', 'mosaic_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
        EXECUTE format('ALTER ROLE %I WITH LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', name);
        FOR parent IN SELECT role.rolname FROM pg_auth_members m JOIN pg_roles role ON role.oid = m.roleid
                       JOIN pg_roles member ON member.oid = m.member WHERE member.rolname = name LOOP
            EXECUTE format('REVOKE %I FROM %I CASCADE', parent, name);
        END LOOP;
    END LOOP;
END $$";

/// Outside the database of ours nobody but the superuser has business; inside it the serving role may connect and nothing more.
const DATABASE_RIGHTS: &str = "
ALTER DATABASE mosaic OWNER TO mosaic_owner;
REVOKE ALL ON DATABASE mosaic FROM PUBLIC, mosaic_app;
GRANT CONNECT ON DATABASE mosaic TO mosaic_app;
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC";

/// Sets everything up and returns `server_version`.
pub(super) async fn prepare(place: &Place) -> Result<String, EmbeddedError> {
    let failed = |step| move |source| EmbeddedError::Bootstrap { step, log: place.log(), source };
    bounded(roles_and_database(&place.socket)).await.map_err(failed("roles and database"))?;
    bounded(extension(&place.socket)).await.map_err(failed("pgvector"))
}

async fn bounded<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| {
        sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {} s", STEP_TIMEOUT.as_secs()),
        ))
    };
    tokio::time::timeout(STEP_TIMEOUT, step).await.map_err(late)?
}

async fn roles_and_database(socket: &Path) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(&options(socket, SUPERUSER)).await?;
    sqlx::raw_sql(ROLES).execute(&mut connection).await?;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'mosaic')")
        .fetch_one(&mut connection)
        .await?;
    if !exists {
        sqlx::raw_sql("CREATE DATABASE mosaic OWNER mosaic_owner").execute(&mut connection).await?;
    }
    sqlx::raw_sql(DATABASE_RIGHTS).execute(&mut connection).await?;
    connection.close().await
}

/// pgvector is not a trusted extension, so the owner's migrations cannot create it.
async fn extension(socket: &Path) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect_with(&options(socket, SUPERUSER).database(DATABASE)).await?;
    let available: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')")
            .fetch_one(&mut connection)
            .await?;
    if available {
        sqlx::raw_sql(
            "SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS vector; ALTER EXTENSION vector UPDATE",
        )
        .execute(&mut connection)
        .await?;
    }
    let version = sqlx::query_scalar("SELECT current_setting('server_version')").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(version)
}
