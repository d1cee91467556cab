//! What one more chunk of a long answer costs: a List of ten chunks against one of a single chunk, with and without a log.

use super::{Doors, Sharing, calls::WARM};
use crate::{
    load::{Ask, Client, Slot, Stretch, run},
    plan::order,
    statistics::Spread,
};
use anyhow::Result;
use std::time::Duration;

/// Rows of a chunk.
pub const CHUNK: u32 = 200;
/// Chunks of the long answer.
pub const CHUNKS: u32 = 10;
/// Callers at once: few, so that an answer's chunks do not wait for others'.
pub const CALLERS: usize = 2;

/// One and many chunks, log off and durable, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    /// A single chunk without a log.
    pub one: Vec<Slot>,
    /// Many without a log.
    pub many: Vec<Slot>,
    /// A single chunk, durable.
    pub recorded_one: Vec<Slot>,
    /// Many, durable.
    pub recorded_many: Vec<Slot>,
}

/// The spread of what one more chunk adds to a figure of a call.
pub fn more(one: &[Slot], many: &[Slot], figure: fn(&Slot) -> f64) -> Option<Spread> {
    let each = |(one, many)| (figure(many) - figure(one)) / f64::from(CHUNKS - 1);
    Spread::of(one.iter().zip(many).map(each))
}

/// Measures `rounds` times.
pub async fn measure(sharing: &Sharing, doors: &Doors, rounds: usize, long: Duration) -> Result<Chunks> {
    let (mut chunks, meter, stretch) = (Chunks::default(), sharing.meter(), Stretch { warm: WARM, long });
    for round in 0..rounds {
        for at in order(round, 4) {
            let (clients, rows, into): (&[Client], _, _) = match at {
                0 => (&doors.unrecorded, CHUNK, &mut chunks.one),
                1 => (&doors.unrecorded, CHUNK * CHUNKS, &mut chunks.many),
                2 => (&doors.recorded, CHUNK, &mut chunks.recorded_one),
                _ => (&doors.recorded, CHUNK * CHUNKS, &mut chunks.recorded_many),
            };
            into.push(run(clients, &Ask::tasks(rows), CALLERS, stretch, meter).await?);
        }
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_chunk_is_a_ninth_of_what_nine_more_cost() {
        let slot = |server| Slot { rate: 1.0, p50: 1.0, p99: 1.0, server, postgres: 0.0 };
        let more = more(&[slot(100.0)], &[slot(1_000.0)], |slot| slot.server).unwrap();
        assert_eq!(more.median, 100.0);
    }
}
