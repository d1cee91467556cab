//! The environment's variables that begin as ours do: which ones there are, and what is said of one that nothing reads.

use crate::{
    config::KEYS,
    exit::{Exit, Failure, Outcome},
    nearness::nearest as nearest_word,
};

/// Variables that are no keys of the file.
const OTHER_VARIABLES: [&str; 3] = ["MOSAIC_FED_DIR", "MOSAIC_FED_WORKSPACE", SESSION];

/// Which session the commands are of, for whoever types many: a link that is offline is told of once in it.
const SESSION: &str = "MOSAIC_FED_SESSION";

/// What all of them begin with.
pub const PREFIX: &str = "MOSAIC_FED_";

/// Refuses variables that begin as ours do and that nothing here reads: what they were meant for would be done in another place,
/// or with other settings. None of their values is repeated.
pub fn all_known(variables: impl Iterator<Item = String>) -> Outcome<()> {
    let mut unknown: Vec<_> = variables.filter(|name| name.starts_with(PREFIX) && !is_known(name)).collect();
    unknown.sort();
    let said = unknown.iter().map(|name| match nearest(name) {
        Some(near) => format!("{name} ({near} may be meant)"),
        None => name.clone(),
    });
    let all = domain::say::named(said.collect::<Vec<_>>().iter().map(String::as_str));
    let next = match &unknown[..] {
        [] => return Ok(()),
        [one] => match nearest(one) {
            Some(near) => format!("call it {near} if that is meant, or type `unset {one}`"),
            None => format!("type `unset {one}`; the keys are {}", KEYS.join(", ")),
        },
        all => format!("call them as they are meant, or type `unset {}`", all.join(" ")),
    };
    Err(Failure::new(Exit::Usage, format!("the environment has {all}, which no command reads; nothing was done"))
        .next(next))
}

/// The session, where one is named.
pub fn session() -> Outcome<Option<String>> {
    let Some(name) = std::env::var_os(SESSION).filter(|name| !name.is_empty()) else { return Ok(None) };
    let name = name.into_string().ok().filter(|name| hub::is_session(name));
    name.map(Some).ok_or_else(|| {
        let cause = format!("{SESSION} in the environment is not 1 to 128 letters, digits and marks without spaces");
        Failure::new(Exit::Usage, cause).next(format!("type `export {SESSION}=$(uuidgen)`, or `unset {SESSION}`"))
    })
}

fn key_of(variable: &str) -> String {
    variable.trim_start_matches(PREFIX).to_lowercase()
}

/// The key that a variable stands for: a table's name and the key in it are joined there.
pub fn known_key(variable: &str) -> Option<&'static str> {
    KEYS.into_iter().find(|known| known.replace('.', "_") == key_of(variable))
}

fn is_known(variable: &str) -> bool {
    known_key(variable).is_some() || OTHER_VARIABLES.contains(&variable)
}

/// The variable that this one is nearest to, if it is near at all.
fn nearest(variable: &str) -> Option<String> {
    let keys = KEYS.iter().map(|key| format!("{PREFIX}{}", key.replace('.', "_").to_uppercase()));
    let known: Vec<_> = keys.chain(OTHER_VARIABLES.map(ToOwned::to_owned)).collect();
    let near = nearest_word(&key_of(variable), known.iter().map(|known| key_of(known)))?;
    known.into_iter().find(|known| key_of(known) == near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_variable_is_named_with_the_one_that_is_meant() {
        let told = |names: &[&str]| all_known(names.iter().map(|name| (*name).to_owned()));
        told(&["MOSAIC_FED_DIR", "MOSAIC_FED_LISTEN", "MOSAIC_FED_WORKSPACE", "MOSAIC_FED_CA_URL", "HOME", "MOSAIC"])
            .unwrap();
        for (typed, meant) in [
            ("MOSAIC_FED_DIRECTORY", "MOSAIC_FED_DIR"),
            ("MOSAIC_FED_LISTN", "MOSAIC_FED_LISTEN"),
            ("MOSAIC_FED_WORKSPCE", "MOSAIC_FED_WORKSPACE"),
            ("MOSAIC_FED_POSTGRESAPP", "MOSAIC_FED_POSTGRES_APP"),
            ("MOSAIC_FED_dir", "MOSAIC_FED_DIR"),
            ("MOSAIC_FED_DRI", "MOSAIC_FED_DIR"),
            ("MOSAIC_FED_ENROLL_LISTEN", "MOSAIC_FED_LISTEN_ENROLMENT"),
        ] {
            let Failure { cause, next, .. } = told(&[typed]).unwrap_err();
            assert!(cause.contains(&format!("{typed} ({meant} may be meant)")), "{cause}");
            assert!(next.unwrap().starts_with(&format!("call it {meant} if")), "{cause}");
        }
        let Failure { cause, next, .. } = told(&["MOSAIC_FED_XYZ"]).unwrap_err();
        assert!(!cause.contains("meant") && next.unwrap().contains("the keys are listen, "), "{cause}");
        let next = told(&["MOSAIC_FED_XYZ", "MOSAIC_FED_DRI"]).unwrap_err().next.unwrap();
        assert!(next.contains("unset MOSAIC_FED_DRI MOSAIC_FED_XYZ"), "{next}");
    }
}
