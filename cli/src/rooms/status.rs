//! What runs, and who this instance is.

mod lists;

use super::{counted, joined, minute, next_for_members, reach, short, waiting};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
};
use api::{
    client::{Client, ClientError},
    metrics, view,
};
use clap::Args;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a daemon that starts is waited for: a first start makes the database.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at its door.
const PAUSE: Duration = Duration::from_millis(100);

/// The arguments of `status`.
#[derive(Args)]
pub struct StatusArgs {
    /// Wait up to a minute for a daemon that is starting
    #[arg(long)]
    wait: bool,
    /// Print it as metrics, `OpenMetrics` text, for the textfile collector of Prometheus' node exporter say
    #[arg(long)]
    metrics: bool,
}

/// `status`.
pub async fn status(args: &StatusArgs, client: &Client, out: &Out) -> Outcome {
    let patience = if args.wait { PATIENCE } else { Duration::ZERO };
    if args.metrics && out.json {
        let cause = "--metrics prints OpenMetrics text, and --json prints JSON";
        return Err(Failure::new(Exit::Usage, cause).next("mosaic-fed status --metrics"));
    }
    let status = match answered(client, Instant::now() + patience).await {
        // Whoever watches numbers is to see that nothing runs, and when.
        Err(ClientError::NotRunning(why)) if args.metrics => {
            out.raw(written(metrics::not_running())?.as_bytes())?;
            return Err(ClientError::NotRunning(why).into());
        }
        answered => answered?,
    };
    if args.metrics {
        out.raw(written(metrics::of_person(&status))?.as_bytes())?;
        return Ok(Exit::Done);
    }
    out.value(&status, shown)?;
    if !out.json {
        next(&status, client, out).await;
    }
    Ok(Exit::Done)
}

fn written(metrics: Result<String, std::fmt::Error>) -> Outcome<String> {
    metrics.map_err(|error| Failure::new(Exit::Failed, format!("the metrics could not be written: {error}")))
}

/// What is to be done about what it says; only people are told.
async fn next(status: &view::Status, client: &Client, out: &Out) {
    if status.audit_fault.is_some() {
        out.remark("make room, or mend what else the database says is amiss; then answers are given again");
        out.next("status");
    } else if let Some(first) = status.waiting_grants.first() {
        status.waiting_grants.iter().for_each(|waiting| out.remark(&waiting::waits(waiting)));
        out.next(&waiting::confirm(first.grant.as_str()));
    } else if status.pending_grants > 0 {
        let pending = counted(status.pending_grants, "pending grant");
        out.remark(&format!("nobody has linked to {pending} yet; if an invite is lost or too old, make another"));
        out.next("grant list");
    } else if status.grants == 0 && status.links.is_empty() {
        next_for_members(client, out, "invite NAME --share tasks,notes", "list tasks").await;
    } else {
        out.next("links");
    }
}

/// What the daemon says, or until `end` that it does not listen yet.
async fn answered(client: &Client, end: Instant) -> Result<view::Status, ClientError> {
    loop {
        match client.get("/v1/status").await {
            Err(ClientError::NotRunning(_)) if Instant::now() < end => sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

fn shown(status: &view::Status) -> String {
    let own = joined(status.links.iter().map(|count| format!("{} {}", count.links, count.state)));
    let at_or = |at: &Option<String>, why: &str| at.clone().unwrap_or_else(|| why.to_owned());
    let mut lines = vec![
        format!(
            "{} runs since {} UTC (mosaic-fed {}, process {})",
            status.name,
            minute(status.since),
            status.version,
            status.pid
        ),
        format!("database     {}{}", status.database, if status.database_answers { "" } else { " DOES NOT ANSWER" }),
        format!("links        {}", if own.is_empty() { "none" } else { &own }),
        format!(
            "grants       {} in force, {}{}, {}",
            status.grants,
            unlinked(status),
            counted(status.connections, "connection"),
            format!("{}, {}", counted(status.sessions, "session"), counted(status.calls, "call"))
        ),
        format!("listening    {}", at_or(&status.links_listener, "nowhere: nobody is to dial this instance")),
        format!("enrolment    {}", at_or(&status.enrolment_listener, "closed: no invite is to be dialled with")),
        format!("called at    {}", called(status)),
        format!("programs at  {}", at_or(&status.http_listener, "nowhere but the socket")),
        format!("metrics at   {}", at_or(&status.metrics_listener, "nowhere: `metrics_listen` is not set")),
        format!("proxy        {}", at_or(&status.proxy, "none: other instances are dialled directly")),
        format!("spans to     {}", collector(status.collector.as_ref())),
        format!("audit        {}", status.audit_head.map_or("unknown".to_owned(), |last| counted(last, "entry"))),
    ];
    lines.push(format!("issuer       {}", issuer(&status.issuer)));
    lines.extend(lists::lines(status));
    lines.extend(alarms(status));
    lines.join("\n")
}

/// Where spans go, and when they were taken last.
fn collector(collector: Option<&view::CollectorView>) -> String {
    let Some(view::CollectorView { at, taken_at, failed_at, failure, is_failing }) = collector else {
        return "nowhere: `[telemetry]` is not set".to_owned();
    };
    let taken = match taken_at {
        Some(time) => format!("taken last {} UTC", minute(*time)),
        None => "none taken yet".to_owned(),
    };
    match (failed_at, failure) {
        (Some(time), Some(why)) if *is_failing => format!("{at}, {taken}, NOT TAKEN {} UTC: {why}", minute(*time)),
        (Some(time), Some(why)) => format!("{at}, {taken}; not taken {} UTC: {why}", minute(*time)),
        _ => format!("{at}, {taken}"),
    }
}

fn issuer(issuer: &view::IssuerView) -> String {
    issuer.step_ca.as_ref().map_or_else(|| "this instance's own CA".to_owned(), |at| format!("the step-ca at {at}"))
}

/// How many grants nobody has used the invite of, and how many have a holder who waits.
fn unlinked(status: &view::Status) -> String {
    let (pending, waiting) = (status.pending_grants, status.waiting_grants.len() as u64);
    let counts = [(pending, "pending"), (waiting, "waiting for you to let its holder in")];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, what)| format!("{count} {what}, ")).collect::<Vec<_>>().concat()
}

/// What must not be: each with what it means.
fn alarms(status: &view::Status) -> Vec<String> {
    let alarms = [
        (status.second_check_failures, "answer", "refused by the second check: the database's policies are broken"),
        (status.refused_unrecorded, "call", "refused because no record of it could be written"),
        (
            status.unknown_certificates,
            "call",
            "made with a certificate of this CA that was never issued here: its key may be stolen",
        ),
        (
            status.replaced_certificates,
            "use",
            "of a certificate of this CA that was replaced by a newer one: it may be stolen, see `audit tail --refused`",
        ),
        (status.clock_refusals, "grant", "not made: this machine's clock went back, see the daemon's log"),
        (status.audit_records_lost, "audit record", "lost: the log could not be written"),
    ];
    let raised = alarms.into_iter().filter(|(count, ..)| *count > 0);
    let mut lines: Vec<_> =
        raised.map(|(count, one, what)| format!("ALARM        {}: {what}", counted(count, one))).collect();
    let fault = status.audit_fault.as_ref();
    lines.extend(
        fault.map(|why| {
            format!("ALARM        answers are refused: the log could not be written at the last try ({why})")
        }),
    );
    lines.extend(status.issuer.failure.as_ref().map(|why| {
        let since = status.issuer.away_since.map_or_else(String::new, |since| format!(" since {} UTC", minute(since)));
        format!("ALARM        the issuer of certificates does not answer{since}, as often as it was needed: {why}")
    }));
    lines.extend(status.audit_head_lost.map(|reached| format!("ALARM        {}", view::Status::log_was_lost(reached))));
    lines.extend(status.floors_failure.as_ref().map(|why| {
        format!("ALARM        how far grants have come cannot be written to `grants.floor` ({why}): a database that is put back would not be noticed; see to the disk, it is tried again")
    }));
    if status.floors_lost {
        let lost = "ALARM        `grants.floor` was lost, or had lines of another key: grants that were ended, narrowed or renewed before may \
                    stand again if the database was put back, and keys that were revoked be taken again; look through `mosaic-fed grant \
                    list` and `mosaic-fed key list`, end and revoke what should not stand, then \
                    remove `grants.floor.lost`";
        lines.push(lost.to_owned());
    }
    lines.extend(status.doubtful_grants.iter().map(|grant| {
        let (id, reason) = (short(&grant.id), &grant.reason);
        format!("ALARM        grant {id} permits nothing: {reason}")
    }));
    lines.extend(status.doubtful_keys.iter().map(|key| {
        format!("ALARM        the row of the revoked key {key} is gone or not as it was written: somebody has changed the database; it stays refused")
    }));
    lines.extend(status.degraded_links.iter().map(|link| {
        let view::DegradedLink { link, hours_left, reason, next, .. } = link;
        let ends =
            if *hours_left == 0 { "has ended".to_owned() } else { format!("ends in {}", counted(*hours_left, "hour")) };
        let next = next.map_or_else(String::new, |next| format!("; next try {} UTC", minute(next)));
        format!("DEGRADED     the certificate of {link} {ends} and could not be renewed: {reason}{next}")
    }));
    lines.extend(status.failing_calls.iter().map(|call| format!("NOT REACHED  {}: {}", call.grant, call.reason)));
    if status.renewals_done + status.renewals_failed > 0 {
        let (done, failed) = (counted(status.renewals_done, "certificate"), counted(status.renewals_failed, "attempt"));
        lines.push(format!("renewals     {done} of links renewed, {failed} in vain"));
    }
    if status.incidents > 0 {
        let turned_away = counted(status.incidents, "connection");
        lines.push(format!("turned away  {turned_away} before any call, at the handshake or before it"));
    }
    lines
}

/// Where this instance is called, by those who cannot be reached.
fn called(status: &view::Status) -> String {
    let Some(at) = &status.calls_listener else { return "closed: nobody is waited for".to_owned() };
    format!("{at}, {} ready", counted(status.calls_parked, "connection"))
}

/// `id`. What takes time comes after what does not.
pub async fn identity(client: &Client, out: &Out) -> Outcome {
    const REACHED: &str = "/v1/id?reach=true";
    let identity: view::Identity = client.get(if out.json { REACHED } else { "/v1/id" }).await?;
    out.value(&identity, |identity| {
        let hosts = joined(&identity.advertise);
        let hosts = if hosts.is_empty() { "this machine's own addresses".to_owned() } else { hosts };
        format!(
            "name         {}\ninstance     {}\nfingerprint  {}\naudit key    {}\nlinks        {}\nenrolment    {}\ncalled at    {}\nadvertises   {hosts}",
            identity.name, identity.instance, identity.fingerprint, identity.audit_key, identity.listen,
            identity.listen_enrolment, identity.listen_calls
        )
    })?;
    if !out.json {
        let reach = client.get::<view::Identity>(REACHED).await.ok().and_then(|identity| identity.reach);
        reach.iter().flat_map(reach::of_identity).for_each(|line| out.remark(&line));
    }
    out.next("status");
    Ok(Exit::Done)
}
