//! The one way to ask a person for a yes: what cannot be taken back waits for it, and an empty line, as pasting leaves one behind,
//! is no answer at all.

use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
};
use std::io::{self, BufRead, IsTerminal, Write};

/// So often the question is put.
const TRIES: usize = 3;

/// Says `what` comes of something that nothing takes back, and asks; where nobody can be asked, nothing is done. `to` is what is to be agreed
/// to, and `kept` is said of a no.
pub fn agreed((to, question): (&str, &str), what: &str, kept: String, out: &Out) -> Outcome<()> {
    if !io::stdin().is_terminal() {
        let cause = format!("nobody is there to agree to {to}; {what}");
        return Err(Failure::new(Exit::Usage, cause).next("add --yes if you do"));
    }
    out.remark(what);
    if is_agreed(question)? { Ok(()) } else { Err(Failure::new(Exit::Interrupted, kept)) }
}

/// Whether the person at the terminal says yes to this question.
pub fn is_agreed(question: &str) -> Outcome<bool> {
    is_yes(question, &mut io::stdin().lock(), &mut io::stderr())
}

fn is_yes(question: &str, answers: &mut impl BufRead, told: &mut impl Write) -> Outcome<bool> {
    for _ in 0..TRIES {
        drop(told.write_all(format!("{question} [y/N] ").as_bytes()));
        let mut answer = String::new();
        let read = answers.read_line(&mut answer).map_err(Failure::of)?;
        match answer.trim().to_lowercase().as_str() {
            "" if read > 0 => {}
            word => return Ok(matches!(word, "y" | "yes")),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(typed: &str) -> (bool, usize) {
        let mut told = Vec::new();
        let yes = is_yes("Do it?", &mut typed.as_bytes(), &mut told).unwrap();
        (yes, String::from_utf8(told).unwrap().matches("Do it? [y/N] ").count())
    }

    #[test]
    fn only_a_yes_is_one_in_whatever_case() {
        for (typed, yes) in
            [("y\n", true), ("YES\n", true), ("Yes", true), ("Y", true), ("", false), ("anna\n", false), ("n\n", false)]
        {
            assert_eq!(asked(typed), (yes, 1), "{typed:?}");
        }
    }

    #[test]
    fn an_empty_line_is_no_answer_and_the_question_comes_three_times_at_most() {
        assert_eq!(asked("\ny\n"), (true, 2));
        assert_eq!(asked(" \n\nyes\n"), (true, 3));
        assert_eq!(asked("\n\n\ny\n"), (false, 3));
    }
}
