//! What callers choose names no series: paths, authorities, kinds, ids and traces over the wire, each call another one, and the page of numbers is as long
//! after thousands as after a few. (That the page has a bound at all, whatever is counted, `api::metrics` shows.)

use crate::{
    measure::{Dice, alone, scale},
    siege::Siege,
};
use link::Trails;
use prometheus_client::{encoding::text::encode, registry::Registry};
use prost::Message as _;
use proto::v1;
use std::collections::BTreeSet;
use tests::raw::{Frame, Raw, kind};

/// Every series: what stands before a value.
fn series(trails: &Trails) -> BTreeSet<String> {
    let (mut registry, mut page) = (Registry::default(), String::new());
    trails.register(&mut registry);
    encode(&mut page, &registry).expect("a page");
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// Sends so many hostile calls, each over in its own way.
async fn calls(siege: &Siege, dice: &Dice, many: usize) {
    let asker = siege.asker().await;
    let word = |length: usize| hex::encode(dice.bytes(1 + dice.below(length)));
    for _ in 0..many.div_ceil(50) {
        let mut raw = Raw::open(&asker, &[]).await.expect("a connection");
        for at in 0..50 {
            let (known, other) = ("/mosaic.federation.v1.QueryService/", word(40));
            let path = match dice.below(6) {
                0 => format!("/{other}"),
                1 => format!("{known}{other}"),
                2 => format!("/{other}/List"),
                3 => format!("{known}List?{other}"),
                4 => format!("{known}List/{other}"),
                _ => format!("{known}List"),
            };
            let authority =
                [format!("{}.example", word(60)), word(8), "a\",verb=\"b".to_owned()][dice.below(3)].clone();
            let trace = format!("00-{}-{}-01", hex::encode(dice.bytes(16)), hex::encode(dice.bytes(8)));
            let more = [("traceparent", trace.as_str()), ("user-agent", &other), ("x-request-id", &other)];
            let stream = u32::try_from(2 * at + 1).expect("a stream");
            let question = v1::ListRequest { resource: format!("kind_{other}"), ..v1::ListRequest::default() };
            let frames =
                [Frame::call_of(stream, &path, &authority, &more), Frame::question(stream, &question.encode_to_vec())];
            if raw.send(&frames).await.is_err() {
                break;
            }
        }
        // Each is answered, or the connection ends.
        let mut ended = 0;
        while let Ok(frame) = raw.frame().await {
            ended +=
                usize::from(frame.kind == kind::RST_STREAM || (frame.kind == kind::HEADERS && frame.flags & 1 == 1));
            if ended == 50 || frame.kind == kind::GOAWAY {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_cardinality_over_the_wire() {
    let (_alone, dice) = (alone().await, Dice::new("label_cardinality_over_the_wire"));
    let siege = Siege::begin().await;
    // Of each way there is to end.
    calls(&siege, &dice, 300).await;
    let before = series(&siege.office.trails);
    assert!(before.iter().any(|one| one.contains("verb=\"unknown\"")), "{before:?}");
    calls(&siege, &dice, scale(1_500, 20_000)).await;
    let after = series(&siege.office.trails);
    let known: BTreeSet<_> =
        domain::Reason::ALL.iter().map(|reason| reason.code()).chain(["ok", "abandoned"]).collect();
    let more: Vec<_> = after.difference(&before).collect();
    // By chance one more of the words that there are, and never a word of the caller's.
    let is_known = |one: &&String| {
        let outcome = one.split("outcome=\"").nth(1).and_then(|rest| rest.split('"').next());
        outcome.is_none_or(|word| known.contains(word))
    };
    assert!(more.len() < 4 && more.iter().all(is_known), "{more:?}");
    assert!(after.len() < 200, "{} series", after.len());
}
