//! Tells whoever runs the instance what must not stay so, by one command of theirs (`alert_command`): once an hour for each
//! alert, as JSON on its standard input. What a certificate was used for that may be stolen is an alert of its own for each grant.
//!
//! Told is what a command that ended well was told. One that failed is told again at the next look, and what happens within the
//! hour is told after it.
//!
//! The command is run without a shell and without this process's environment, which may hold passwords; it has ten seconds, and
//! nobody reads what it prints. What it is told is what `status` tells: no row, no key, no address of a database.

use crate::exit::{Exit, Failure, Outcome};
use api::view;
use domain::{
    Time,
    id::{GrantId, Name, Spki},
    world::World,
};
use hub::Hub;
use nix::unistd::{AccessFlags, access};
use serde::Serialize;
use spoke::{Spoke, SpokeStatus};
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Weak,
    time::Duration,
};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// How often it is looked whether there is something to tell.
const LOOK: Duration = Duration::from_secs(30);
/// How long one alert is not told again.
const QUIET: Duration = Duration::from_hours(1);
/// How long the command may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the command keeps of the environment.
const KEPT: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// What the command reads.
#[derive(Debug, Serialize)]
struct Alert {
    /// One word for programs.
    #[serde(rename = "alert")]
    kind: &'static str,
    /// What it is about: a link's name, or a grant's id.
    about: String,
    /// This instance.
    instance: Name,
    /// When it was told.
    at: Time,
    /// Cause and next step, one line.
    text: String,
}

/// Looks, and tells.
pub struct Alerts {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Clock.
    pub world: World,
    /// What this instance calls itself.
    pub instance: Name,
    /// Knows of links. Not held: when it is gone, so is whoever would be told of it.
    pub hub: Weak<Hub>,
    /// Knows of certificates and rows.
    pub spoke: Weak<Spoke>,
    /// Where it is kept that the log had reached further.
    pub data_dir: PathBuf,
}

impl Alerts {
    /// Until the daemon stops.
    pub async fn follow(self) {
        let mut told = Told::default();
        while let Some(found) = self.look().await {
            self.tell(&mut told, found).await;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What there is to tell, told already or not; none when the daemon stops.
    async fn look(&self) -> Option<Vec<Found>> {
        let (hub, spoke) = (self.hub.upgrade()?, self.spoke.upgrade()?);
        let status = spoke.status();
        let mut found = counted(&status);
        found.extend(doubtful(&status));
        found.extend(doubtful_keys(&status));
        found.extend(floors(&status));
        found.extend(log_was_lost(&self.data_dir));
        found.extend(issuer(&status));
        found.extend(lists(&status));
        found.extend(degraded(&hub, self.world.now()).await);
        Some(found)
    }

    async fn tell(&self, told: &mut Told, found: Vec<Found>) {
        let now = self.world.now();
        told.keep(&found, now);
        for found in found {
            if !told.is_due(&found, now) {
                continue;
            }
            let (instance, text) = (self.instance.clone(), found.text.clone());
            let alert = Alert { kind: found.alert, about: found.about.clone(), instance, at: now, text };
            match run(&self.command, &alert, PATIENCE).await {
                Ok(()) => told.note(&found, now),
                Err(error) => {
                    tracing::warn!(%error, alert = alert.kind, about = alert.about, "`alert_command` was not told; it is tried again");
                }
            }
        }
    }
}

/// What there is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// Its word.
    alert: &'static str,
    /// What it is about.
    about: String,
    /// A number that grows with each time it happens; none where it lasts and does not happen.
    count: Option<u64>,
    /// Cause and next step.
    text: String,
}

/// What was told of each alert last: when, and up to which count.
#[derive(Debug, Default)]
struct Told(HashMap<(&'static str, String), (Time, Option<u64>)>);

impl Told {
    fn is_due(&self, found: &Found, now: Time) -> bool {
        let Some((at, count)) = self.0.get(&found.key()) else { return true };
        !is_quiet(*at, now) && (found.count.is_none() || found.count > *count)
    }

    fn note(&mut self, found: &Found, now: Time) {
        self.0.insert(found.key(), (now, found.count));
    }

    /// Forgets what is no more, once it may be told again.
    fn keep(&mut self, found: &[Found], now: Time) {
        let there: HashSet<_> = found.iter().map(Found::key).collect();
        self.0.retain(|key, (at, _)| there.contains(key) || is_quiet(*at, now));
    }
}

impl Found {
    fn key(&self) -> (&'static str, String) {
        (self.alert, self.about.clone())
    }
}

/// What is amiss with the lists of revoked certificates.
fn lists(status: &SpokeStatus) -> Vec<Found> {
    let lists = &status.lists;
    let given = lists.given.as_ref().and_then(|list| Some(("given", list.failure.clone()?)));
    let taken = lists.taken.as_ref().and_then(|list| Some(("taken", list.failure.clone()?)));
    let told =
        |(which, text): (&str, String)| Found { alert: "revocation_list", about: which.to_owned(), count: None, text };
    given.into_iter().chain(taken).map(told).collect()
}

fn issuer(status: &SpokeStatus) -> Option<Found> {
    let pki::IssuerStanding { at, away } = &status.issuer;
    let (since, why) = away.as_ref()?;
    let text = format!(
        "since {since} it does not answer: nobody enrols or renews, and it is not told of what is revoked; {why}"
    );
    Some(Found { alert: "issuer_away", about: at.clone().unwrap_or_default(), count: None, text })
}

fn doubtful(status: &SpokeStatus) -> impl Iterator<Item = Found> {
    status.doubtful.iter().map(|(grant, doubt)| {
        let text = format!("{doubt}; it permits nothing: {}", doubt.next());
        Found { alert: "grant_doubtful", about: grant.to_string(), count: None, text }
    })
}

fn doubtful_keys(status: &SpokeStatus) -> impl Iterator<Item = Found> {
    let text = "the row of this revoked key is gone or not as it was written: somebody has changed the database; it stays refused";
    let found =
        |key: &Spki| Found { alert: "key_doubtful", about: key.to_string(), count: None, text: text.to_owned() };
    status.doubtful_keys.iter().map(found)
}

fn floors(status: &SpokeStatus) -> impl Iterator<Item = Found> {
    const LOST: &str = "`grants.floor` was lost, or had lines of another key: grants that were ended, narrowed or renewed before may stand \
                        again if the database was put back, and keys that were revoked be taken again; look through `mosaic-fed grant list` \
                        and `mosaic-fed key list`, end and revoke what should not stand, then remove \
                        `grants.floor.lost`";
    let unwritten = status.floors_failure.as_ref().map(|why| {
        let text = format!("how far grants have come cannot be written to `grants.floor` ({why}): see to the disk");
        ("floors_unwritten", text)
    });
    let lost = status.floors_lost.then(|| ("floors_lost", LOST.to_owned()));
    let found = |(alert, text)| Found { alert, about: "grants.floor".to_owned(), count: None, text };
    unwritten.into_iter().chain(lost).map(found)
}

fn log_was_lost(data_dir: &Path) -> Option<Found> {
    let text = view::Status::log_was_lost(api::head::lost(data_dir)?.reached());
    Some(Found { alert: "audit_head_lost", about: api::head::FILE.to_owned(), count: None, text })
}

async fn degraded(hub: &Hub, now: Time) -> Vec<Found> {
    let links = match hub.degraded().await {
        Ok(links) => links,
        Err(error) => {
            tracing::warn!(%error, "the links could not be looked at for alerts");
            return Vec::new();
        }
    };
    let degraded = links.into_iter().filter_map(|link| view::DegradedLink::of(&view::LinkEntry::new(link, now), now));
    let alert = |link: view::DegradedLink| {
        let text = format!("the certificate ends {}: {}", link.certificate_not_after, link.reason);
        Found { alert: "link_degraded", about: link.link.to_string(), count: None, text }
    };
    degraded.map(alert).collect()
}

/// What happened since the daemon started.
fn counted(status: &SpokeStatus) -> Vec<Found> {
    const REPLACED: &str = "a certificate of this grant that was replaced was used again: it may be stolen; see `mosaic-fed audit \
                            query --ending refused`";
    const UNKNOWN: &str = "a certificate of this CA for this grant was never issued here: its key may be stolen";
    const CLOCK: &str = "this machine's clock went back, and a grant or an invite was not made for it; set it right, or see `serve --clock-is-right`";
    let of = |alert: &'static str, grants: &[(GrantId, u64)], text: &str| {
        let one = |(grant, count): &(GrantId, u64)| (alert, grant.to_string(), *count, text.to_owned());
        grants.iter().map(one).collect::<Vec<_>>()
    };
    let second_check = "an answer was refused by the second check: the database's policies are broken";
    let unrecorded = "the log could not be written, and calls were refused for it; look at the disk and the database";
    let counts = of("replaced_certificate", &status.replaced_of, REPLACED)
        .into_iter()
        .chain(of("unknown_certificate", &status.unknown_of, UNKNOWN))
        .chain([
            ("second_check", String::new(), status.second_check_failures, second_check.to_owned()),
            ("unrecorded", String::new(), status.unrecorded + status.lost_records, unrecorded.to_owned()),
            ("clock_went_back", String::new(), status.clock_refusals, CLOCK.to_owned()),
        ]);
    let happened = counts.filter(|(_, _, count, _)| *count > 0);
    happened.map(|(alert, about, count, text)| Found { alert, about, count: Some(count), text }).collect()
}

/// Whether the command can be run at all: that nobody is told would be seen when there is something to tell, and by nobody.
pub fn checked(command: &[String]) -> Outcome<()> {
    let Some(program) = command.first() else { return Ok(()) };
    let runs = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    let found = if program.contains('/') {
        runs(Path::new(program))
    } else {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        !program.is_empty() && std::env::split_paths(&paths).any(|dir| runs(&dir.join(program)))
    };
    if found {
        return Ok(());
    }
    let cause = format!(
        "`alert_command` begins with `{}`, which is no program that this account can run",
        program.escape_debug()
    );
    Err(Failure::new(Exit::Usage, cause).next(
        "name one, as in [\"/usr/local/bin/tell-me\", \"--urgent\"], make it executable, or take `alert_command` away",
    ))
}

/// Whether what was told at `at` is not told again yet. A time that lies ahead was noted before the clock went back.
fn is_quiet(at: Time, now: Time) -> bool {
    at <= now && now.since(at) < QUIET
}

async fn run(command: &[String], alert: &Alert, patience: Duration) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let kept = KEPT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("`{program}` could not be started: {error}"))?;
    let mut line = serde_json::to_vec(alert).map_err(|error| error.to_string())?;
    line.push(b'\n');
    let told = async {
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read is no failure of ours; how it ends is what counts.
            drop(stdin.write_all(&line).await);
        }
        child.wait().await
    };
    match timeout(patience, told).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{program}` ended with {status}")),
        Ok(Err(error)) => Err(format!("`{program}`: {error}")),
        Err(_) => Err(format!("`{program}` took longer than {patience:?} and was killed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::world::{FakeClock, SeededRng};
    use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

    fn alert() -> Alert {
        let at = Time::from_seconds(1_795_253_400);
        let instance = "office".parse().unwrap();
        Alert { kind: "link_degraded", about: "work".into(), instance, at, text: "offline; check it".into() }
    }

    #[test]
    fn a_command_that_cannot_be_run_is_refused_before_there_is_something_to_tell() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("tell");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let script = script.to_str().unwrap();
        let set = |mode| std::fs::set_permissions(script, std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o644);
        for bad in [script, "", "no-such-program-7ab7", "/nowhere/tell", "/tmp", "/bin/sh -c true"] {
            let failure = checked(&words(&[bad])).unwrap_err();
            assert!(failure.cause.contains("`alert_command`") && failure.next.is_some(), "{bad}");
        }
        set(0o755);
        for good in [&[script, "--urgent"][..], &["sh", "-c", "true"], &[]] {
            assert!(checked(&words(good)).is_ok(), "{good:?}");
        }
    }

    fn words(line: &[&str]) -> Vec<String> {
        line.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn the_command_reads_the_alert_and_nothing_of_this_processs_environment() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("told");
        let script = format!("cat > {0}; env >> {0}", file.display());
        run(&words(&["sh", "-c", &script]), &alert(), PATIENCE).await.unwrap();
        let told = std::fs::read_to_string(file).unwrap();
        let (first, environment) = told.split_once('\n').unwrap();
        let read: serde_json::Value = serde_json::from_str(first).unwrap();
        assert_eq!((&read["alert"], &read["about"]), (&"link_degraded".into(), &"work".into()));
        let strange = environment.lines().filter(|line| {
            let name = line.split('=').next().unwrap_or_default();
            !KEPT.contains(&name) && !["PWD", "SHLVL", "_", "OLDPWD"].contains(&name)
        });
        assert_eq!(strange.collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[tokio::test]
    async fn a_command_that_hangs_fails_or_is_missing_is_told_of_and_ends_nothing() {
        for (line, why) in [
            (vec!["sleep", "600"], "took longer than"),
            (vec!["false"], "ended with"),
            (vec!["/nowhere/at-all"], "could not be started"),
        ] {
            let patience = Duration::from_millis(500);
            assert!(run(&words(&line), &alert(), patience).await.unwrap_err().contains(why), "{line:?}");
        }
        run(&[], &alert(), PATIENCE).await.unwrap();
    }

    fn found(alert: &'static str, about: &str, count: Option<u64>) -> Found {
        Found { alert, about: about.to_owned(), count, text: "look".to_owned() }
    }

    /// What is told of what is found at each of these times, by a command that fails at first as often as is said.
    async fn told(fails: usize, looks: &[(Time, Vec<Found>)]) -> Vec<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let (told, failed) = (dir.path().join("told"), dir.path().join("failed"));
        let script = format!(
            "echo >> {1}; test $(wc -l < {1}) -gt {fails} || exit 1; cat >> {0}",
            told.display(),
            failed.display()
        );
        let clock = Arc::new(FakeClock::new(NOW));
        let world = World::new(Arc::clone(&clock) as _, Arc::new(SeededRng::new(1)));
        let (command, instance) = (words(&["sh", "-c", &script]), "office".parse().unwrap());
        let alerts =
            Alerts { command, world, instance, hub: Weak::new(), spoke: Weak::new(), data_dir: PathBuf::new() };
        let (mut state, mut lines, mut all) = (Told::default(), 0, Vec::new());
        for (now, found) in looks {
            clock.set(*now);
            alerts.tell(&mut state, found.clone()).await;
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            let about = |line: &str| {
                let read: serde_json::Value = serde_json::from_str(line).unwrap();
                read["about"].as_str().unwrap().to_owned()
            };
            all.push(text.lines().skip(lines).map(about).collect());
            lines = text.lines().count();
        }
        all
    }

    const NOW: Time = Time::from_seconds(1_795_253_400);
    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn an_alert_is_told_once_an_hour_whatever_the_clock_does() {
        let work = || vec![found("link_degraded", "work", None)];
        let both = vec![found("link_degraded", "other", None), found("link_degraded", "work", None)];
        let year = Duration::from_hours(24 * 365);
        let looks = [(NOW, work()), (NOW + 59 * MINUTE, both), (NOW + QUIET, work()), (NOW.before(year), work())];
        assert_eq!(told(0, &looks).await, [vec!["work"], vec!["other"], vec!["work"], vec!["work"]]);
    }

    #[tokio::test]
    async fn what_a_command_that_failed_was_to_be_told_it_is_told_at_the_next_look() {
        let stolen = || vec![found("replaced_certificate", "a", Some(1))];
        let looks = [(NOW, stolen()), (NOW + LOOK, stolen()), (NOW + 2 * LOOK, stolen())];
        assert_eq!(told(1, &looks).await, [vec![], vec!["a"], Vec::<&str>::new()]);
    }

    #[tokio::test]
    async fn what_happens_within_the_hour_is_told_after_it_and_nothing_twice() {
        let stolen = |count| vec![found("replaced_certificate", "a", Some(count))];
        let looks = [
            (NOW, stolen(1)),
            (NOW + MINUTE, stolen(2)),
            (NOW + 59 * MINUTE, stolen(2)),
            (NOW + QUIET, stolen(2)),
            (NOW + 3 * QUIET, stolen(2)),
            (NOW, stolen(2)),
        ];
        assert_eq!(told(0, &looks).await, [vec!["a"], vec![], vec![], vec!["a"], vec![], Vec::<&str>::new()]);
    }

    #[test]
    fn the_theft_of_one_grants_certificate_does_not_hide_anothers() {
        let [a, b]: [GrantId; 2] =
            ["1", "2"].map(|n| format!("00000000-0000-4000-8000-00000000000{n}").parse().unwrap());
        let status = SpokeStatus {
            replaced_certificates: 7,
            replaced_of: vec![(a, 3), (b, 7)],
            unknown_of: vec![(a, 1)],
            lost_records: 1,
            ..SpokeStatus::default()
        };
        let found: Vec<_> =
            counted(&status).into_iter().map(|one| (one.alert, one.about, one.count.unwrap())).collect();
        let expected = [
            ("replaced_certificate", a.to_string(), 3),
            ("replaced_certificate", b.to_string(), 7),
            ("unknown_certificate", a.to_string(), 1),
            ("unrecorded", String::new(), 1),
        ];
        assert_eq!(found, expected);
        assert_eq!(counted(&SpokeStatus::default()), []);
    }

    #[test]
    fn what_is_amiss_with_what_is_remembered_of_grants_is_told_with_what_to_do() {
        let status = SpokeStatus { floors_failure: Some("full".into()), floors_lost: true, ..SpokeStatus::default() };
        let found: Vec<_> = floors(&status).map(|one| (one.alert, one.text)).collect();
        assert_eq!(found.iter().map(|(alert, _)| *alert).collect::<Vec<_>>(), ["floors_unwritten", "floors_lost"]);
        assert!(found[1].1.contains("grant list") && found[1].1.contains("remove `grants.floor.lost`"), "{found:?}");
        assert_eq!(floors(&SpokeStatus::default()).count(), 0);
    }
}
