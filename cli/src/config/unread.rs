//! What is said of a file of settings that cannot be read. The reader's own words quote the line, which may hold a password; these never do.

use super::{FLAGS, KEYS, LISTS};
use crate::{
    exit::{Exit, Failure},
    nearness::nearest,
};
use std::{path::Path, string::FromUtf8Error};

/// The keys whose values are addresses to listen at.
const ADDRESSES: [&str; 6] = ["listen", "listen_enrolment", "listen_calls", "crl_listen", "http", "metrics_listen"];

/// A file that is no text, as another character set leaves it; its bytes are not shown.
pub(super) fn no_text(path: &Path, error: &FromUtf8Error) -> Failure {
    let read = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let line = read.split(|byte| *byte == b'\n').count();
    Failure::new(Exit::Usage, format!("{}, line {line}: this is no UTF-8 text", path.display()))
        .next("save it as UTF-8, or take from that line what is not plain ASCII")
}

/// Cause, with the line, and next step.
pub(super) fn refused(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let at = format!("{}, line {line}", path.display());
    let written = text.lines().nth(line - 1).unwrap_or_default();
    let message = error.message();
    if let Some((unknown, known)) = unknown_key(message) {
        return unknown_field(&at, unknown, &known);
    }
    if message.starts_with("duplicate key") {
        let key = written.split('=').next().unwrap_or_default().trim();
        return Failure::new(Exit::Usage, format!("{at}: `{key}` is there twice")).next("leave one of the two lines");
    }
    if let Some(failure) = no_address(&at, written) {
        return failure;
    }
    // What a value itself says of it is better than what its line looks like.
    match bare_word(written).filter(|key| !message.starts_with(&format!("`{key}` is "))) {
        Some(key) => Failure::new(Exit::Usage, format!("{at}: the value of `{key}` is text without quote marks"))
            .next(format!("put it between them, as in {key} = \"…\"")),
        None => Failure::new(Exit::Usage, format!("{at}: {message}")).next("write it as docs/configuration.md says"),
    }
}

/// Where an address belongs, a number without quote marks: between them it would not be one either.
fn no_address(at: &str, line: &str) -> Option<Failure> {
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), value.split('#').next()?.trim());
    let is_number = value.starts_with(|c: char| c.is_ascii_digit()) && !value.contains(['.', ':']);
    if !ADDRESSES.contains(&key) || !is_number {
        return None;
    }
    let cause = format!("{at}: `{key}` is a number alone, and not an IP address with a port");
    let port = value.parse::<u16>().map_or_else(|_| "24601".to_owned(), |port| port.to_string());
    Some(Failure::new(Exit::Usage, cause).next(format!(
        "write the address, between quote marks, as in {key} = \"127.0.0.1:{port}\", or {key} = \"[::]:{port}\" for all"
    )))
}

/// A key that there is none of, and those that there are in its place, by the reader's words.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

fn unknown_field(at: &str, unknown: &str, known: &[&str]) -> Failure {
    let unknown: String = unknown.escape_debug().take(100).collect();
    // In TOML each line belongs to the table whose name stands above it.
    if let Some(table) = table_of(known).filter(|_| KEYS.contains(&&unknown[..])) {
        let cause = format!("{at}: `{unknown}` is no key of [{table}], below which it stands");
        return Failure::new(Exit::Usage, cause)
            .next("move the line up, above the first line that is a table's name, as [ca] is");
    }
    let cause = format!("{at}: there is no key `{unknown}` here");
    if let Some(near) = nearest(&unknown, known) {
        return Failure::new(Exit::Usage, format!("{cause} (`{near}` may be meant)"))
            .next(format!("call it `{near}` if that is meant, or take the line away"));
    }
    let keys = keys_of(known).join(", ");
    Failure::new(Exit::Usage, cause).next(format!("the keys are {keys}; docs/configuration.md says what each is"))
}

/// The table whose keys these are; none of those of the file itself.
fn table_of(known: &[&str]) -> Option<&'static str> {
    let is_of = |table: &&str| known.iter().all(|key| KEYS.contains(&&format!("{table}.{key}")[..]));
    ["ca", "proxy", "telemetry"].into_iter().find(is_of)
}

/// The keys of a table by their whole names; of the file itself all keys that there are.
fn keys_of(known: &[&str]) -> Vec<&'static str> {
    let table = table_of(known).map(|table| format!("{table}."));
    KEYS.into_iter().filter(|key| table.as_ref().is_none_or(|table| key.starts_with(&table[..]))).collect()
}

/// The known key of a line whose value is text that only lacks its quote marks: TOML takes a bare word for a broken number, and
/// says so.
fn bare_word(line: &str) -> Option<&'static str> {
    let (key, value) = line.split_once('=')?;
    let is_bare = value.trim().starts_with(|c: char| !"\"'[{".contains(c));
    let texts = KEYS.into_iter().filter(|key| !LISTS.contains(key) && !FLAGS.contains(key));
    texts.into_iter().find(|known| *known == key.trim()).filter(|_| is_bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn said(text: &str) -> Failure {
        refused(Path::new("config.toml"), text, &toml::from_str::<Config>(text).unwrap_err())
    }

    #[test]
    fn a_key_with_a_slip_is_told_with_the_one_that_is_meant() {
        for (text, line, near) in [
            ("slow_reqest = \"1s\"", 1, "slow_request"),
            ("log = \"warn\"\nlisten_enrollment = \"[::]:1\"", 2, "listen_enrolment"),
            ("[proxy]\nulr = \"http://p:1\"", 2, "url"),
            ("[telemetry]\n\notlp_endpont = \"hunter2\"", 3, "otlp_endpoint"),
        ] {
            let Failure { cause, next, .. } = said(text);
            assert!(
                cause.contains(&format!("line {line}: ")) && cause.contains(&format!("(`{near}` may be meant)")),
                "{cause}"
            );
            assert!(next.unwrap().starts_with(&format!("call it `{near}`")) && !cause.contains("hunter2"));
        }
        let list = said("alert_command = notify");
        assert!(!list.next.as_ref().unwrap().contains("alert_command = \""), "text is refused there too: {list:?}");
        let far = said("colour = \"red\"");
        assert!(
            far.next.unwrap().starts_with("the keys are listen, ") && !far.cause.contains("meant"),
            "{}",
            far.cause
        );
        for table in ["ca", "proxy", "telemetry"] {
            let Failure { cause, next, .. } = said(&format!("[{table}]\nhedge_after = \"1s\""));
            let belongs = format!("line 2: `hedge_after` is no key of [{table}], below which it stands");
            assert!(cause.contains(&belongs), "{cause}");
            assert_eq!(next.unwrap(), "move the line up, above the first line that is a table's name, as [ca] is");
        }
        let within = said("[proxy]\ncolour = \"red\"");
        assert!(
            within.next.unwrap().starts_with("the keys are proxy.url, proxy.except, proxy.names, proxy.auth_file;")
        );
    }
}
