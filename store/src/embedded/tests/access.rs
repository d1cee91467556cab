//! Who may do what: roles, peer map, no TCP, durability, and a log without rows.

use super::*;
use nix::unistd::Uid;

#[tokio::test]
async fn the_app_role_owns_nothing_and_cannot_bypass_row_level_security() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let tables = "CREATE TABLE item (n int);
        INSERT INTO item VALUES (1);
        ALTER TABLE item ENABLE ROW LEVEL SECURITY;
        ALTER TABLE item FORCE ROW LEVEL SECURITY;
        GRANT SELECT ON item TO mosaic_app";
    run(&server.owner(), tables).await.unwrap();
    let app = server.app();
    assert_eq!(ask(&app, "SELECT count(*)::text FROM item").await.unwrap(), "0");
    for forbidden in [
        "SET row_security = off; SELECT count(*) FROM item",
        "SET ROLE mosaic_owner",
        "SET ROLE mosaic_super",
        "ALTER TABLE item NO FORCE ROW LEVEL SECURITY",
        "CREATE TABLE mine ()",
        "CREATE TEMP TABLE mine ()",
        "CREATE SCHEMA mine",
        "ALTER ROLE mosaic_app BYPASSRLS",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ] {
        assert!(run(&app, forbidden).await.is_err(), "{forbidden}");
    }
    let attributes = "SELECT (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)::text FROM pg_roles WHERE rolname = current_user";
    assert_eq!(ask(&app, attributes).await.unwrap(), "false");
    let owned = "SELECT count(*)::text FROM pg_shdepend WHERE refobjid = 'mosaic_app'::regrole AND deptype = 'o'";
    assert_eq!(ask(&server.superuser(), owned).await.unwrap(), "0");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_app_role_reaches_no_other_database() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    for other in ["postgres", "template1"] {
        assert!(ask(&server.app().database(other), "SELECT 'in'").await.is_err(), "{other}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn rights_that_were_widened_by_hand_are_gone_after_the_next_start() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let widen = "ALTER ROLE mosaic_app SUPERUSER BYPASSRLS; GRANT mosaic_owner TO mosaic_app; ALTER DATABASE mosaic OWNER TO mosaic_super";
    run(&server.superuser(), widen).await.unwrap();
    server.stop().await.unwrap();
    let server = home.start(Lifetime::Process).await;
    assert!(run(&server.app(), "SET ROLE mosaic_owner").await.is_err());
    let question = "SELECT (SELECT (rolsuper OR rolbypassrls)::text FROM pg_roles WHERE rolname = 'mosaic_app')
        || ' ' || (SELECT datdba::regrole::text FROM pg_database WHERE datname = 'mosaic')";
    assert_eq!(ask(&server.superuser(), question).await.unwrap(), "false mosaic_owner");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_peer_map_names_the_daemons_user_and_root_and_nobody_else() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let own = nix::unistd::User::from_uid(Uid::effective()).unwrap().unwrap().name;
    let mut expected = vec![own.as_str(), "root"];
    expected.sort_unstable();
    expected.dedup();
    let users = "SELECT string_agg(DISTINCT sys_name, ',' ORDER BY sys_name) FROM pg_ident_file_mappings";
    assert_eq!(ask(&server.superuser(), users).await.unwrap(), expected.join(","));
    let methods = "SELECT string_agg(DISTINCT type || ' ' || auth_method, ',') FROM pg_hba_file_rules";
    assert_eq!(ask(&server.superuser(), methods).await.unwrap(), "local peer,local reject");
    if Uid::effective().is_root() {
        assert_lent_account_is_refused(&server).await;
    }
    server.stop().await.unwrap();
}

/// The account that root lends the server owns its files, and yet the server lets it in as nobody.
async fn assert_lent_account_is_refused(server: &Server) {
    let account = Account::choose(Some(server.cluster())).unwrap();
    let mut psql = account.command(&server.programs().join("psql"));
    psql.arg("--host").arg(server.socket()).args(["--username", APP, "--dbname", DATABASE, "--command", "SELECT 1"]);
    let words = programs::run(&mut psql, Duration::from_secs(10)).await.unwrap_err();
    assert!(words.contains("Peer authentication failed"), "{words}");
}

#[tokio::test]
async fn tcp_is_refused_even_after_alter_system() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let open = format!("ALTER SYSTEM SET listen_addresses = '127.0.0.1'; ALTER SYSTEM SET port = {}", address.port());
    // ALTER SYSTEM cannot run in the transaction that several statements at once make.
    for statement in open.split(';') {
        run(&server.superuser(), statement).await.unwrap();
    }
    server.stop().await.unwrap();
    let server = home.start(Lifetime::Process).await;
    assert_eq!(ask(&server.superuser(), "SHOW listen_addresses").await.unwrap(), "");
    let refused = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn durability_cannot_be_switched_off_for_the_server() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        run(&server.superuser(), &format!("ALTER SYSTEM SET {name} = off")).await.unwrap();
    }
    server.stop().await.unwrap();
    let server = home.start(Lifetime::Process).await;
    for name in ["fsync", "synchronous_commit", "full_page_writes", "data_checksums"] {
        assert_eq!(ask(&server.superuser(), &format!("SHOW {name}")).await.unwrap(), "on", "{name}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_failing_statement_leaves_neither_rows_nor_literals_in_the_log() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let marker = leftover::nonce().unwrap();
    let owner = server.owner();
    run(&owner, &format!("CREATE TABLE item (body text PRIMARY KEY); INSERT INTO item VALUES ('{marker}')"))
        .await
        .unwrap();
    let mut connection = PgConnection::connect_with(&owner).await.unwrap();
    let doubled = sqlx::query("INSERT INTO item VALUES ($1)").bind(&marker).execute(&mut connection).await;
    assert!(doubled.is_err());
    assert!(run(&owner, &format!("SELECT '{marker}'::int")).await.is_err());
    let log = std::fs::read_to_string(server.log()).unwrap();
    assert!(!log.contains(&marker), "{log}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn pgvector_is_there_and_letters_beyond_ascii_fold() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let distance = "SELECT ('[3,4]'::vector <-> '[0,0]'::vector)::text";
    assert_eq!(ask(&server.app(), distance).await.unwrap(), "5");
    assert_eq!(ask(&server.app(), "SELECT lower('ÄÖÜÉ')").await.unwrap(), "äöüé");
    server.stop().await.unwrap();
}
