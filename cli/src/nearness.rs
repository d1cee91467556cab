//! Which known word a mistyped one is nearest to.

/// So much alike at least is a word that was mistyped, as 0 to 1 (Jaro and Winkler).
const ALIKE: f64 = 0.8;
/// As alike is one that differs by a single slip, two letters swapped among them (Damerau and Levenshtein).
const SLIP: f64 = 0.95;
/// Of shorter words one slip makes another word.
const LEAST: usize = 3;

/// The word of `known` that `typed` is nearest to, if it is near any.
pub fn nearest<T: AsRef<str>>(typed: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    let rated = known.into_iter().map(|known| (alike(known.as_ref(), typed), known));
    let near = rated.filter(|(alike, _)| *alike >= ALIKE);
    near.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, known)| known)
}

fn alike(known: &str, typed: &str) -> f64 {
    let slipped = typed.chars().count() >= LEAST && strsim::osa_distance(known, typed) <= 1;
    let alike = strsim::jaro_winkler(known, typed);
    if slipped { alike.max(SLIP) } else { alike }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_swapped_letters_are_near_and_another_word_is_not() {
        let known = ["tasks", "notes", "dir", "events"];
        for (typed, meant) in [("task", "tasks"), ("ntoes", "notes"), ("dri", "dir"), ("event", "events")] {
            assert_eq!(nearest(typed, known), Some(meant), "{typed}");
        }
        for typed in ["", "xyz", "d", "machines"] {
            assert_eq!(nearest(typed, known), None, "{typed}");
        }
    }
}
