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
    let alike = in_order(known).zip(in_order(typed)).map_or(alike, |(known, typed)| {
        // The very order that was typed decides between two that are the same words.
        alike.max(strsim::jaro_winkler(&known, &typed) * SLIP)
    });
    if slipped { alike.max(SLIP) } else { alike }
}

/// The parts of a name in the order of the alphabet, where it has several: which of them comes first is easily mistaken.
fn in_order(name: &str) -> Option<String> {
    let mut parts: Vec<_> = name.split(['_', '-']).collect();
    parts.sort_unstable();
    (parts.len() > 1).then(|| parts.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_another_order_are_near_as_well() {
        let known = ["listen", "listen_enrolment", "crl_listen", "metrics_listen"];
        for (typed, meant) in [
            ("enroll_listen", "listen_enrolment"),
            ("listen_crl", "crl_listen"),
            ("listen-metrics", "metrics_listen"),
            ("clr_listen", "crl_listen"),
        ] {
            assert_eq!(nearest(typed, known), Some(meant), "{typed}");
        }
    }

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
