//! Where files lie: odd names, long names, other people's directories, a database that is missing.

use super::*;
use std::os::unix::fs::MetadataExt;

#[tokio::test]
async fn a_path_with_spaces_umlauts_commas_and_quotes_works() {
    let home = Home::below("Büro, \"Ablage\" d'or");
    let server = home.start(Lifetime::Process).await;
    assert!(server.socket().starts_with(home.directory.path().canonicalize().unwrap()));
    assert_eq!(ask(&server.app(), "SELECT 'here'").await.unwrap(), "here");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_one_elsewhere() {
    let home = Home::below(&"long/".repeat(30));
    let server = home.start(Lifetime::Process).await;
    let socket = server.socket().to_owned();
    assert!(!socket.starts_with(home.directory.path()));
    assert!(socket.join(format!(".s.PGSQL.{PORT}")).as_os_str().len() <= 107);
    assert_eq!(std::fs::metadata(&socket).unwrap().mode() & 0o777, 0o700);
    assert_eq!(ask(&server.app(), "SELECT 'here'").await.unwrap(), "here");
    server.stop().await.unwrap();
    std::fs::remove_dir(&socket).unwrap();
}

#[tokio::test]
async fn nobody_else_may_enter_the_directories_of_a_database() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    for directory in [server.cluster(), server.socket()] {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    assert_eq!(mode(&home.data_dir.join("postgres.json")), 0o600);
    // Configuration and log: the server's account neither owns them nor the directory they lie in.
    let base = server.cluster().parent().unwrap();
    for path in [base.to_owned(), base.join("pg_hba.conf"), base.join("pg_ident.conf"), server.log()] {
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!(meta.uid(), nix::unistd::Uid::effective().as_raw(), "{}", path.display());
        assert_eq!(meta.mode() & 0o022, 0, "{}", path.display());
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_socket_directory_that_is_a_link_or_open_to_others_is_refused_by_name() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let socket = server.socket().to_owned();
    server.stop().await.unwrap();
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o777)).unwrap();
    let message = home.refusal().await;
    assert!(message.contains("its mode is 777") && message.contains(socket.to_str().unwrap()), "{message}");
    std::fs::remove_dir(&socket).unwrap();
    std::os::unix::fs::symlink("/tmp", &socket).unwrap();
    let message = home.refusal().await;
    assert!(message.contains("it is not a directory"), "{message}");
}

#[tokio::test]
async fn a_temporary_database_leaves_the_record_of_the_lasting_one_alone() {
    let home = Home::new();
    let lasting = home.start(Lifetime::Daemon).await;
    let temporary = home.start(Lifetime::Temporary).await;
    assert_ne!(temporary.cluster(), lasting.cluster());
    temporary.stop().await.unwrap();
    drop(lasting);
    let again = home.start(Lifetime::Daemon).await;
    assert!(again.adopted());
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_database_that_went_missing_is_not_replaced_by_an_empty_one() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let cluster = server.cluster().to_owned();
    server.stop().await.unwrap();
    std::fs::rename(&cluster, cluster.with_extension("unmounted")).unwrap();
    let message = home.refusal().await;
    assert!(message.contains("is missing"), "{message}");
    assert!(message.contains("postgres.json"), "{message}");
    std::fs::rename(cluster.with_extension("unmounted"), &cluster).unwrap();
    home.start(Lifetime::Process).await.stop().await.unwrap();
}

#[tokio::test]
async fn an_interrupted_initdb_is_not_taken_for_a_database() {
    let home = Home::new();
    let (place, _, _) = settle(&home);
    let half = place.base.join("cluster.new");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("PG_VERSION"), "18\n").unwrap();
    let server = home.start(Lifetime::Process).await;
    assert!(!half.exists());
    server.stop().await.unwrap();
}

/// The directories that a start would make.
fn settle(home: &Home) -> (Place, Account, Option<Record>) {
    place::make_directory(&home.data_dir, 0o700).unwrap();
    Place::settle(&home.config(Lifetime::Process), &home.environment).unwrap()
}
