//! What runs, and who this instance is.

use super::{counted, joined, minute, next_for_members};
use crate::{
    exit::{Exit, Outcome},
    out::Out,
};
use api::{client::Client, view};

/// `status`.
pub async fn status(client: &Client, out: &Out) -> Outcome {
    let status: view::Status = client.get("/v1/status").await?;
    out.value(&status, shown)?;
    if status.grants == 0 && status.links.is_empty() {
        next_for_members(client, out, "invite NAME --share tasks,notes", "list tasks").await;
    } else {
        out.next("links");
    }
    Ok(Exit::Done)
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
            "grants       {} in force, {}, {}",
            status.grants,
            counted(status.connections, "connection"),
            counted(status.calls, "call")
        ),
        format!("listening    {}", at_or(&status.links_listener, "nowhere: there is no grant")),
        format!("enrolment    {}", at_or(&status.enrolment_listener, "closed: no invite is open")),
        format!("audit        {}", status.audit_head.map_or("unknown".to_owned(), |last| counted(last, "entry"))),
    ];
    lines.extend(alarms(status));
    lines.join("\n")
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
        (status.audit_records_lost, "audit record", "lost: the log could not be written"),
    ];
    let raised = alarms.into_iter().filter(|(count, ..)| *count > 0);
    let mut lines: Vec<_> =
        raised.map(|(count, one, what)| format!("ALARM        {}: {what}", counted(count, one))).collect();
    lines.extend(status.degraded_links.iter().map(|link| {
        let view::DegradedLink { link, hours_left, reason, next, .. } = link;
        let ends =
            if *hours_left == 0 { "has ended".to_owned() } else { format!("ends in {}", counted(*hours_left, "hour")) };
        let next = next.map_or_else(String::new, |next| format!("; next try {} UTC", minute(next)));
        format!("DEGRADED     the certificate of {link} {ends} and could not be renewed: {reason}{next}")
    }));
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

/// `id`.
pub async fn identity(client: &Client, out: &Out) -> Outcome {
    let identity: view::Identity = client.get("/v1/id").await?;
    out.value(&identity, |identity| {
        let hosts = joined(&identity.advertise);
        let hosts = if hosts.is_empty() { "this machine's own addresses".to_owned() } else { hosts };
        format!(
            "name         {}\ninstance     {}\nfingerprint  {}\naudit key    {}\nlinks        {}\nenrolment    {}\nadvertises   {hosts}",
            identity.name, identity.instance, identity.fingerprint, identity.audit_key, identity.listen,
            identity.listen_enrolment
        )
    })?;
    out.next("status");
    Ok(Exit::Done)
}
