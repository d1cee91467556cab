//! What people are told of whether others can reach this instance.

use super::joined;
use api::view;
use domain::id::Name;
use std::collections::BTreeSet;

/// The lines for whoever made an invite: nothing where nobody tried, for that is how the first invite of every instance is made.
pub fn of_invite(reach: &view::Reach) -> Vec<String> {
    if reach.state != "tested" {
        return Vec::new();
    }
    let (reached, not): (Vec<_>, Vec<_>) = reach.addresses.iter().partition(|one| one.reached);
    let missed = |listener: &str| !reached.iter().any(|one| one.listener == listener);
    let missed: Vec<_> = not.into_iter().filter(|one| missed(&one.listener)).collect();
    let mut lines = Vec::new();
    if !reached.is_empty() {
        let by: BTreeSet<_> = reached.iter().flat_map(|one| &one.by).collect();
        let by = if by.is_empty() { "another linked instance".to_owned() } else { joined(by) };
        lines.push(format!("reached from outside: {} (by {by})", addresses(&reached)));
    }
    if !missed.is_empty() {
        lines.push(format!(
            "nobody of {} reached {}: open the port on the way to this machine, or name another host with `advertise` in config.toml; \
             where neither can be, --call brings the invite to the other side",
            who(&reach.asked, reach.count),
            addresses(&missed)
        ));
    }
    lines
}

/// The lines for whoever asks who this instance is.
pub fn of_identity(reach: &view::Reach) -> Vec<String> {
    match reach.state.as_str() {
        "nobody" => vec!["not tested from outside: nobody is linked who could try".to_owned()],
        "silent" => {
            let who = who(&reach.asked, reach.count);
            vec![format!("not tested from outside: {who} did not answer; try again in 15 s")]
        }
        "local" => vec!["not tested from outside: only addresses of this machine itself are named".to_owned()],
        "closed" => vec!["not tested from outside: nothing listens".to_owned()],
        _ => of_invite(reach),
    }
}

fn addresses(tried: &[&view::TriedAddress]) -> String {
    joined(tried.iter().map(|one| &one.address))
}

/// Those of `count` that may be named, and how many others there are.
fn who(names: &[Name], count: u64) -> String {
    let others = count.saturating_sub(names.len() as u64);
    match (names.is_empty(), others) {
        (false, 0) => joined(names),
        (false, others) => format!("{} and {others} more", joined(names)),
        (true, 1) => "the one linked instance that was asked".to_owned(),
        (true, others) => format!("{others} linked instances"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(address: &str, listener: &str, by: &[&str]) -> view::TriedAddress {
        let by: Vec<Name> = by.iter().map(|name| name.parse().unwrap()).collect();
        view::TriedAddress { address: address.into(), listener: listener.into(), reached: !by.is_empty(), by }
    }

    fn reach(state: &str, asked: &[&str], count: u64, addresses: Vec<view::TriedAddress>) -> view::Reach {
        let asked = asked.iter().map(|name| name.parse().unwrap()).collect();
        view::Reach { state: state.into(), at: None, asked, count, addresses }
    }

    #[test]
    fn what_was_reached_is_said_and_of_the_rest_only_a_listener_that_nobody_reached() {
        let (links, enrolment) = (tried("a:1", "links", &["home"]), tried("a:2", "enrolment", &["home", "phone"]));
        let missed = tried("b:1", "links", &[]);
        let all = reach("tested", &["home", "phone"], 2, vec![links.clone(), enrolment, missed]);
        assert_eq!(of_invite(&all), ["reached from outside: a:1, a:2 (by home, phone)"]);
        let half = reach("tested", &["home"], 2, vec![links, tried("a:2", "enrolment", &[])]);
        let [reached, missed] = &of_invite(&half)[..] else { panic!() };
        assert_eq!(reached, "reached from outside: a:1 (by home)");
        assert!(missed.starts_with("nobody of home and 1 more reached a:2: open the port"), "{missed}");
    }

    #[test]
    fn grants_that_are_nobodys_to_know_are_counted_and_not_named() {
        let hidden = view::TriedAddress { reached: true, ..tried("a:1", "links", &[]) };
        let by = of_invite(&reach("tested", &[], 1, vec![hidden]));
        assert_eq!(by, ["reached from outside: a:1 (by another linked instance)"]);
        let none = of_invite(&reach("tested", &[], 3, vec![tried("a:1", "links", &[])]));
        assert!(none[0].starts_with("nobody of 3 linked instances reached a:1"), "{none:?}");
    }

    #[test]
    fn that_nobody_tried_is_said_only_to_who_asks() {
        for (state, line) in [
            ("nobody", Some("not tested from outside: nobody is linked who could try")),
            ("silent", Some("not tested from outside: home did not answer; try again in 15 s")),
            ("local", Some("not tested from outside: only addresses of this machine itself are named")),
            ("closed", Some("not tested from outside: nothing listens")),
        ] {
            let reach = reach(state, &["home"], 1, Vec::new());
            assert_eq!(of_invite(&reach), [""; 0], "{state}");
            assert_eq!(of_identity(&reach), line.into_iter().collect::<Vec<_>>(), "{state}");
        }
    }
}
