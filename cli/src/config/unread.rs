//! What is said of a file of settings that cannot be read. The reader's own words quote the line, which may hold a password; these never do.

use super::{FLAGS, KEYS, LISTS};
use crate::{
    exit::{Exit, Failure},
    nearness::nearest,
};
use std::path::Path;

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
    // What a value itself says of it is better than what its line looks like.
    match bare_word(written).filter(|key| !message.starts_with(&format!("`{key}` is "))) {
        Some(key) => Failure::new(Exit::Usage, format!("{at}: the value of `{key}` is text without quote marks"))
            .next(format!("put it between them, as in {key} = \"…\"")),
        None => Failure::new(Exit::Usage, format!("{at}: {message}")).next("write it as docs/configuration.md says"),
    }
}

/// A key that there is none of, and those that there are in its place, by the reader's words.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

fn unknown_field(at: &str, unknown: &str, known: &[&str]) -> Failure {
    let unknown: String = unknown.escape_debug().take(100).collect();
    let cause = format!("{at}: there is no key `{unknown}` here");
    if let Some(near) = nearest(&unknown, known) {
        return Failure::new(Exit::Usage, format!("{cause} (`{near}` may be meant)"))
            .next(format!("call it `{near}` if that is meant, or take the line away"));
    }
    let keys = keys_of(known).join(", ");
    Failure::new(Exit::Usage, cause).next(format!("the keys are {keys}; docs/configuration.md says what each is"))
}

/// The keys of a table by their whole names; of the file itself all keys that there are.
fn keys_of(known: &[&str]) -> Vec<&'static str> {
    let of_table = |table: &str| {
        let whole = |key: &&str| KEYS.into_iter().find(|whole| *whole == format!("{table}.{key}"));
        known.iter().map(whole).collect::<Option<Vec<_>>>()
    };
    ["ca", "proxy", "telemetry"].into_iter().find_map(of_table).unwrap_or_else(|| KEYS.to_vec())
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
        let within = said("[proxy]\ncolour = \"red\"");
        assert!(
            within.next.unwrap().starts_with("the keys are proxy.url, proxy.except, proxy.names, proxy.auth_file;")
        );
    }
}
