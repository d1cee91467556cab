//! Finding PostgreSQL: the configured directory, installations, the bundle, and nothing at all.

use super::*;

#[tokio::test]
async fn a_configured_directory_without_programs_is_named() {
    let home = Home::new();
    let empty = home.directory.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let config = Config { programs: Some(empty.clone()), ..home.config(Lifetime::Process) };
    let message = Server::start_in(config, &home.environment).await.unwrap_err().to_string();
    assert!(message.contains(empty.to_str().unwrap()), "{message}");
    assert!(message.contains("no program `postgres`"), "{message}");
}

#[tokio::test]
async fn a_configured_directory_is_used() {
    let home = Home::new();
    let bundle = home.start(Lifetime::Temporary).await;
    let programs = bundle.programs().to_owned();
    bundle.stop().await.unwrap();
    let environment = bare(&home);
    let other = Home::new();
    let config = Config { programs: Some(programs.clone()), ..other.config(Lifetime::Temporary) };
    let environment = Environment { temporary: other.environment.temporary.clone(), ..environment };
    let server = Server::start_in(config, &environment).await.unwrap();
    assert_eq!(server.programs(), programs);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn without_postgresql_and_pip_the_start_stops_within_a_second_with_the_commands() {
    let home = Home::new();
    let start = Instant::now();
    let config = home.config(Lifetime::Daemon);
    let message = Server::start_in(config, &bare(&home)).await.unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(1));
    for part in ["apt-get install", "postgresql-17-pgvector", "dnf install", "pacman -S", "--postgres URL", "pip3"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[tokio::test]
async fn an_installation_that_is_too_old_is_named_with_its_version() {
    let home = Home::new();
    let old = installation(&home, "postgres (PostgreSQL) 17.5");
    let environment = Environment { installations: vec![old.clone()], ..bare(&home) };
    let message = Server::start_in(home.config(Lifetime::Daemon), &environment).await.unwrap_err().to_string();
    assert!(message.contains(&format!("{}: is PostgreSQL 17.5, older than 17.6", old.display())), "{message}");
}

#[tokio::test]
async fn an_installation_without_pgvector_is_passed_over() {
    let home = Home::new();
    let environment =
        Environment { installations: vec![installation(&home, "postgres (PostgreSQL) 99.1")], ..bare(&home) };
    let message = Server::start_in(home.config(Lifetime::Daemon), &environment).await.unwrap_err().to_string();
    assert!(message.contains("has no pgvector"), "{message}");
}

#[tokio::test]
async fn a_bundle_with_another_digest_is_refused_and_deleted() {
    let home = Home::new();
    let programs = home.directory.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    // What a package index that was tampered with would bring.
    let fetches_another_wheel = "while [ \"$1\" != --dest ]; do shift; done; echo other > \"$2/other.whl\"";
    write_program(&programs.join("pip3"), fetches_another_wheel);
    let environment = Environment { path: programs.into(), ..bare(&home) };
    let message = Server::start_in(home.config(Lifetime::Daemon), &environment).await.unwrap_err().to_string();
    assert!(message.contains("instead of 620f397b") || message.contains("instead of e8dc6880"), "{message}");
    let left: Vec<_> =
        std::fs::read_dir(&environment.bundles).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["bundle.lock"]);
}

#[tokio::test]
async fn a_pip_that_cannot_fetch_is_quoted() {
    let home = Home::new();
    let programs = home.directory.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    write_program(&programs.join("pip3"), "echo 'ERROR: no route to the index' >&2; exit 1");
    let environment = Environment { path: programs.into(), ..bare(&home) };
    let message = Server::start_in(home.config(Lifetime::Daemon), &environment).await.unwrap_err().to_string();
    assert!(message.contains("no route to the index"), "{message}");
    assert!(message.contains("--postgres URL"), "{message}");
}

#[tokio::test]
async fn two_that_fetch_at_once_share_one_bundle() {
    let home = Home::new();
    let environment = Environment { path: Environment::of_process().path, ..bare(&home) };
    let (one, two) = tokio::join!(bundle::fetch(&environment), bundle::fetch(&environment));
    let (one, two) = (one.unwrap().unwrap(), two.unwrap().unwrap());
    assert_eq!(one, two);
    let account = Account::choose(None).unwrap();
    let said = programs::run(account.command(&one.join("postgres")).arg("--version"), Duration::from_secs(5)).await;
    assert!(said.unwrap().contains("(PostgreSQL) 18."));
    assert!(!environment.bundles.join("unpacking").exists());
}

/// A machine without PostgreSQL, pip, python or an unpacked bundle.
fn bare(home: &Home) -> Environment {
    Environment {
        path: "".into(),
        installations: Vec::new(),
        bundles: home.directory.path().join("bundles"),
        ..home.environment.clone()
    }
}

/// An installation as the search sees it: programs that say their version.
fn installation(home: &Home, version: &str) -> PathBuf {
    let directory = home.directory.path().join("installation/bin");
    place::make_directory(&directory, 0o755).unwrap();
    for name in ["postgres", "initdb"] {
        write_program(&directory.join(name), &format!("echo '{version}'"));
    }
    directory
}

fn write_program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}
