//! Grants that end and that have ended: what is told of the end, and the command that makes another like it.

use super::{counted, joined, limits, millis, minute, next_as, or_dash, segment, short};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::{Out, escaped},
};
use api::{client::Client, view};

pub(super) async fn revoke(client: &Client, out: &Out, grant: &str) -> Outcome {
    let report: view::RevokeReport = client.post(&format!("/v1/grants/{}/revoke", segment(grant)), &()).await?;
    out.value(&report, revoked)?;
    // The log is for those who manage every workspace, and for the operator as long as they act as nobody else.
    let itself = out.reach.acting_as.is_none();
    // By its id: a name may have been that of an earlier grant.
    let log = format!("audit query --grant {}", short(&report.grant.id));
    next_as(client, out, |me| if me.operator && itself { log } else { "grant list".to_owned() }).await;
    Ok(Exit::Done)
}

/// What ending a grant did, in two lines.
pub(super) fn revoked(report: &view::RevokeReport) -> String {
    let ended = if report.drained { "all ended" } else { "not all were seen to end" };
    format!(
        "{} is {} since {}: {} cut, {} in flight, {ended} within {}\n{}",
        report.grant.name,
        report.grant.state,
        report.at,
        counted(report.connections, "connection"),
        counted(report.calls, "call"),
        millis(report.took_us),
        escaped(&receipt(&report.receipt, &or_dash(report.grant.peer_name.as_ref()), report.connections))
    )
}

/// What is known of the side that asked under a grant that has ended, over so many connections; `peer` is what it calls itself.
///
/// One session speaks for the daemon that holds it: of several connections another one with the same key may have had some.
pub(super) fn receipt(receipt: &view::Receipt, peer: &str, connections: u64) -> String {
    match receipt {
        view::Receipt::Unused => "nobody ever used its invite".to_owned(),
        view::Receipt::NeverLetIn => format!("{peer} waited to be let in and never was: nothing was ever shown to it"),
        view::Receipt::Acknowledged { after_us } if connections > 1 => format!(
            "{peer} has acknowledged it after {}: its calls have ended, and it keeps and shows nothing of it. That is the word of the one daemon \
             that held the control session: should another one have the same key, some of the {connections} connections were that one's, and \
             nothing is known of what it shows",
            millis(*after_us)
        ),
        view::Receipt::Acknowledged { after_us } => format!(
            "{peer} has acknowledged it after {}: its calls have ended, and it keeps and shows nothing of it",
            millis(*after_us)
        ),
        view::Receipt::Silent => format!(
            "{peer} was told and has not acknowledged it; nothing leaves any more, but what it was given before it may still show"
        ),
        view::Receipt::Away { until } if connections > 0 => format!(
            "{peer} was connected and had no control session, so it was not told, and nothing is known of what it shows: nothing leaves any \
             more, and what it may still show of earlier answers ends by {until} if it keeps to the protocol"
        ),
        view::Receipt::Away { until } => format!(
            "{peer} was not connected: nothing leaves any more, and what it may still show of earlier answers ends by {until} if it \
             keeps to the protocol"
        ),
    }
}

/// The next step that the failure of a command on one grant leaves open: an ended one is made anew under its name, and one
/// that was named by its user, holder or state is named by its own.
pub(super) async fn explained(failure: Failure, client: &Client, grant: &str) -> Failure {
    let all = client.get::<Vec<view::GrantEntry>>("/v1/grants").await.unwrap_or_default();
    let is_meant = |entry: &&view::GrantEntry| {
        entry.name.as_str() == grant || entry.id.to_string().starts_with(&grant.to_ascii_lowercase())
    };
    let others = || all.iter().filter(|entry| is_about(entry, grant)).map(|entry| &entry.name);
    match (failure.exit, &all.iter().filter(is_meant).collect::<Vec<_>>()[..]) {
        (Exit::Conflict, [entry]) if has_ended(entry) => over(entry, client).await,
        (Exit::Missing, []) => match others().next() {
            Some(first) => failure.next(format!(
                "a grant is called by its own name, and `{grant}` is said of {}: mosaic-fed grant show {first}",
                joined(others())
            )),
            None => failure,
        },
        _ => failure,
    }
}

fn is_about(entry: &view::GrantEntry, text: &str) -> bool {
    let named = [entry.subject.as_ref(), entry.peer_name.as_ref()];
    entry.state == text || named.into_iter().flatten().any(|name| name.as_str() == text)
}

pub(super) fn has_ended(entry: &view::GrantEntry) -> bool {
    matches!(entry.state.as_str(), "revoked" | "expired")
}

/// That a grant is over, since when and by whom, as every command on it says it.
async fn over(entry: &view::GrantEntry, client: &Client) -> Failure {
    let shown = client.get::<view::GrantEntry>(&format!("/v1/grants/{}", entry.id)).await.ok();
    // Shown alone it says more than in a list: how it ended, and whether this instance called.
    let entry = shown.as_ref().unwrap_or(entry);
    let how = entry.ended.as_ref().map_or_else(String::new, |end| format!(": {}", told(end)));
    Failure::new(Exit::Conflict, format!("grant {} is {} and does not come back{how}", entry.name, entry.state))
        .next(again(entry))
}

/// Who or what ended a grant, and when.
pub(super) fn told(end: &view::GrantEnd) -> String {
    let at = end.at.map_or_else(String::new, |at| format!(", {} UTC", minute(at)));
    format!("{}{at}", end.why)
}

/// The next step after an end.
pub(super) fn again(entry: &view::GrantEntry) -> String {
    let anew = anew(entry);
    let first = if anew.contains(limits::IN_A_FILE) {
        format!("write `scope` of what `mosaic-fed grant show {} --json` prints into FILE, then ", entry.name)
    } else {
        String::new()
    };
    format!("{first}make a new one: mosaic-fed {anew}")
}

/// The command that makes a grant of the same name on the same behalf, for the same key, called as that one was, and with words where that
/// one asked for them. What it shares is to be said again, where flags can say it with the limits of the old one, which must not be lost by
/// pasting; a key that was used is good for no other invite.
pub(super) fn anew(entry: &view::GrantEntry) -> String {
    let subject = entry.subject.as_ref().map_or_else(String::new, |subject| format!(" --for {subject}"));
    let bound = entry.invite.and_then(|invite| Some((invite.key?, invite.used)));
    let key = match bound {
        _ if entry.call.is_some() => " --call -".to_owned(),
        Some((_, true)) => " --key FINGERPRINT".to_owned(),
        Some((key, false)) => format!(" --key {key}"),
        None => String::new(),
    };
    let confirm = if entry.invite.is_some_and(|invite| invite.confirm) { " --confirm" } else { "" };
    format!("invite {}{subject} {}{key}{confirm}", entry.name, limits::flags(&entry.scope))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Time;

    #[test]
    fn a_receipt_says_no_more_than_is_known() {
        let said = |one, connections| receipt(&one, "home", connections);
        let away = view::Receipt::Away { until: Time::from_seconds(1_795_253_400) };
        assert!(said(away, 0).starts_with("home was not connected: nothing leaves any more"));
        let cut = said(away, 1);
        assert!(cut.contains("was connected and had no control session") && cut.contains("nothing is known"), "{cut}");
        let word = view::Receipt::Acknowledged { after_us: 5_000 };
        assert!(said(word, 1).ends_with("it keeps and shows nothing of it"), "{}", said(word, 1));
        let two = said(word, 2);
        assert!(
            two.contains("the one daemon that held the control session") && two.contains("some of the 2 connections"),
            "{two}"
        );
    }
}
