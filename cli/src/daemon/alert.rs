//! Tells whoever runs the instance what must not stay so, by one command of theirs (`alert_command`): once an hour for each
//! alert, as JSON on its standard input.
//!
//! The command is run without a shell and without this process's environment, which may hold passwords; it has ten seconds, and
//! nobody reads what it prints. What it is told is what `status` tells: no row, no key, no address of a database.

use api::view;
use domain::{Time, id::Name, world::World};
use hub::Hub;
use serde::Serialize;
use spoke::{Spoke, SpokeStatus};
use std::{collections::HashMap, process::Stdio, sync::Weak, time::Duration};
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
    /// What it is about: a link's name, where it is about one.
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
}

impl Alerts {
    /// Until the daemon stops.
    pub async fn follow(self) {
        let (mut told, mut before) = (HashMap::new(), None);
        while let Some((found, counts)) = self.look(before.as_ref()).await {
            self.tell(&mut told, found).await;
            before = Some(counts);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What there is to tell now, and the counts that it was judged by; none when the daemon stops.
    async fn look(&self, before: Option<&SpokeStatus>) -> Option<(Vec<Found>, SpokeStatus)> {
        let (hub, spoke) = (self.hub.upgrade()?, self.spoke.upgrade()?);
        let status = spoke.status();
        let mut found = before.map(|before| counted(before, &status)).unwrap_or_default();
        found.extend(status.doubtful.iter().map(|(grant, doubt)| {
            let text = format!("{}; it permits nothing", view::doubt(*doubt));
            ("grant_doubtful", grant.to_string(), text)
        }));
        found.extend(lists(&status));
        found.extend(degraded(&hub, self.world.now()).await);
        Some((found, status))
    }

    async fn tell(&self, told: &mut HashMap<(&'static str, String), Time>, found: Vec<Found>) {
        let now = self.world.now();
        for (alert, about, text) in found {
            if is_quiet(told, (alert, about.clone()), now) {
                continue;
            }
            let alert = Alert { kind: alert, about, instance: self.instance.clone(), at: now, text };
            if let Err(error) = run(&self.command, &alert, PATIENCE).await {
                tracing::warn!(%error, alert = alert.kind, "`alert_command` was not told");
            }
        }
    }
}

/// Its word, what it is about, and the text.
type Found = (&'static str, String, String);

/// What is amiss with the lists of revoked certificates.
fn lists(status: &SpokeStatus) -> Vec<Found> {
    let lists = &status.lists;
    let given = lists.given.as_ref().and_then(|list| Some(("given", list.failure.clone()?)));
    let taken = lists.taken.as_ref().and_then(|list| Some(("taken", list.failure.clone()?)));
    let told = |(which, text): (&str, String)| ("revocation_list", which.to_owned(), text);
    given.into_iter().chain(taken).map(told).collect()
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
        ("link_degraded", link.link.to_string(), text)
    };
    degraded.map(alert).collect()
}

/// What of the counts grew since the last look.
fn counted(before: &SpokeStatus, now: &SpokeStatus) -> Vec<Found> {
    let counts: [(&'static str, u64, u64, &str); 5] = [
        (
            "replaced_certificate",
            before.replaced_certificates,
            now.replaced_certificates,
            "a certificate that was replaced was used again: it may be stolen; see `mosaic-fed audit query --ending refused`",
        ),
        (
            "unknown_certificate",
            before.unknown_certificates,
            now.unknown_certificates,
            "a certificate of this CA was never issued here: its key may be stolen",
        ),
        (
            "second_check",
            before.second_check_failures,
            now.second_check_failures,
            "an answer was refused by the second check: the database's policies are broken",
        ),
        (
            "unrecorded",
            before.unrecorded + before.lost_records,
            now.unrecorded + now.lost_records,
            "the log could not be written, and calls were refused for it; look at the disk and the database",
        ),
        (
            "clock_went_back",
            before.clock_refusals,
            now.clock_refusals,
            "this machine's clock went back, and a grant was not made for it; set it right, then start the daemon again",
        ),
    ];
    let grown = counts.into_iter().filter(|(_, before, now, _)| now > before);
    grown.map(|(alert, _, _, text)| (alert, String::new(), text.to_owned())).collect()
}

/// Whether this was told within the hour; if not, it is told now.
fn is_quiet(told: &mut HashMap<(&'static str, String), Time>, alert: (&'static str, String), now: Time) -> bool {
    // A time that lies ahead was noted before the clock went back.
    told.retain(|_, at| *at <= now && now.since(*at) < QUIET);
    match told.entry(alert) {
        std::collections::hash_map::Entry::Occupied(_) => true,
        std::collections::hash_map::Entry::Vacant(free) => {
            free.insert(now);
            false
        }
    }
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

    fn alert() -> Alert {
        let at = Time::from_seconds(1_795_253_400);
        let instance = "office".parse().unwrap();
        Alert { kind: "link_degraded", about: "work".into(), instance, at, text: "offline; check it".into() }
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

    #[test]
    fn an_alert_is_told_once_an_hour_whatever_the_clock_does() {
        let (mut told, now) = (HashMap::new(), Time::from_seconds(1_795_253_400));
        let work = || ("link_degraded", "work".to_owned());
        assert!(!is_quiet(&mut told, work(), now));
        assert!(is_quiet(&mut told, work(), now + Duration::from_mins(59)));
        assert!(!is_quiet(&mut told, ("link_degraded", "other".to_owned()), now), "another link is another alert");
        assert!(!is_quiet(&mut told, work(), now + QUIET));
        assert!(!is_quiet(&mut told, work(), now.before(Duration::from_hours(24 * 365))), "a clock that went back");
    }
}
