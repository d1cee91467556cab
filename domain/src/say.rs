//! What messages to people are made of: text of others with nothing hidden in it, and names of what there is for one who named
//! what there is not.

/// Whether a character changes what is seen around it or is not seen itself: control, line-separator and direction characters, and those of the
/// Unicode property `Default_Ignorable_Code_Point` in which text can be hidden. The two that choose how an emoji looks are not among them.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with its hidden characters as `\u{..}`.
pub fn escaped(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(|c| {
        let (plain, escape) = if is_hidden(c) { (None, Some(c.escape_unicode())) } else { (Some(c), None) };
        plain.into_iter().chain(escape.into_iter().flatten())
    })
}

/// Names in one message; past that they are counted.
const MOST: usize = 20;

/// "a", "a, b", or the first 20 "and 7 others".
pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let said = names.by_ref().take(MOST).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => said,
        1 => format!("{said} and 1 other"),
        more => format!("{said} and {more} others"),
    }
}

/// "a exists" or "a, b exist"; `none` where there is nothing to name.
pub fn existing<'a>(names: impl IntoIterator<Item = &'a str>, none: &str) -> String {
    let names: Vec<_> = names.into_iter().collect();
    match names[..] {
        [] => none.to_owned(),
        [one] => format!("{one} exists"),
        [..] => format!("{} exist", named(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_exists_several_exist_and_none_is_said_in_words_of_its_own() {
        let said = [&[][..], &["core"], &["core", "ops"]].map(|names| existing(names.iter().copied(), "it has none"));
        assert_eq!(said, ["it has none", "core exists", "core, ops exist"]);
    }

    #[test]
    fn past_twenty_names_are_counted() {
        let said = [20, 21, 27].map(|count| named(std::iter::repeat_n("a", count)));
        assert!(said[0].ends_with("a, a"), "{}", said[0]);
        assert!(said[1].ends_with("a, a and 1 other"), "{}", said[1]);
        assert!(said[2].ends_with("a, a and 7 others"), "{}", said[2]);
    }
}
