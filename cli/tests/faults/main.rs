//! What happens to a running instance when things break: killed processes, starts in bad surroundings, many starts in a row.
//! Real processes of the built program; one file per theme; every test is a sentence.
//!
//! Each proof has a small setting for every change and a large one by hand (`MOSAIC_TEST_SCALE=large`).
#![expect(clippy::print_stdout, reason = "counts and times are part of what a run tells")]

// As a stranger would write it: shared with the suites in `tests/`.
#[cfg(test)]
#[path = "../../../tests/src/asker.rs"]
#[expect(dead_code, reason = "the other suites use the rest")]
mod asker;
#[cfg(test)]
mod busy;
/// Processes are dialled: the suites in `tests/` turn sockets round.
#[cfg(test)]
mod direction {
    use domain::world::Clock;
    use link::{DialPolicy, Dialler, Ways};
    use std::sync::Arc;

    pub fn dialler(clock: Arc<dyn Clock>) -> Dialler {
        Dialler::new(clock, Ways::new(DialPolicy::this_machine()))
    }
}
#[cfg(test)]
mod enrolment;
#[cfg(test)]
#[path = "../cli/harness.rs"]
#[expect(dead_code, reason = "the suite `cli` uses the rest")]
mod harness;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod load;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod starts;
#[cfg(test)]
mod surroundings;
#[cfg(test)]
mod url;

/// The small setting's number, or the large one's.
#[cfg(test)]
fn scale<T>(small: T, large: T) -> T {
    if std::env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large") { large } else { small }
}

/// What the instance's own PostgreSQL keeps in its directory while it runs; the first line is its process id.
#[cfg(test)]
fn lock_file(instance: &harness::Instance) -> std::path::PathBuf {
    let record = harness::database(&instance.data()).unwrap();
    std::path::Path::new(record["cluster"].as_str().unwrap()).join("postmaster.pid")
}

/// A statement behind the daemon's back, with the tools of its own PostgreSQL.
#[cfg(test)]
fn psql(instance: &harness::Instance, statement: &str) -> std::process::Command {
    let file = std::fs::read_to_string(lock_file(instance)).unwrap();
    let lines: Vec<_> = file.lines().collect();
    let program = std::fs::read_link(format!("/proc/{}/exe", lines[0])).unwrap().with_file_name("psql");
    let mut command = std::process::Command::new(program);
    command.args(["-h", lines[4], "-U", "mosaic_super", "-d", "mosaic", "-tAc", statement]);
    command
}
