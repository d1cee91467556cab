//! Faults by chance.

use super::{Fault, Way};
use crate::dice::Dice;
use std::time::Duration;

/// What kind of fault, for whoever counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Late, and whole.
    Delay,
    /// In small pieces, and whole.
    Drip,
    /// In pieces so small that it never comes to an end.
    Standstill,
    /// Closed.
    Cut,
    /// Reset.
    Reset,
    /// Half open: one way is swallowed.
    Deafen,
    /// Half open: both ways are swallowed.
    Silence,
}

impl Kind {
    /// Those after which the asking side soon knows where it stands.
    pub const QUICK: [Self; 4] = [Self::Delay, Self::Drip, Self::Cut, Self::Reset];
    /// Those that only a deadline ends.
    pub const HANGING: [Self; 3] = [Self::Standstill, Self::Deafen, Self::Silence];

    /// A fault of this kind, somewhere in the first `deep` bytes of a connection, or of what is left of one.
    pub fn draw(self, dice: &Dice, deep: u64) -> Fault {
        let way = if dice.one_in(3) { Way::Asked } else { Way::Answered };
        // What is asked is little.
        let deep = if way == Way::Asked { deep.min(4_000) } else { deep };
        let at = dice.below(usize::try_from(deep).unwrap_or(usize::MAX)) as u64;
        match self {
            Self::Delay => Fault::Delay(Duration::from_millis(1 + dice.below(15) as u64)),
            Self::Drip => Fault::Drip(200 + dice.below(800), Duration::from_millis(1)),
            Self::Standstill => Fault::Drip(1, Duration::from_millis(50)),
            Self::Cut => Fault::Cut(way, at),
            Self::Reset => Fault::Reset(way, at),
            Self::Deafen => Fault::Deafen(way, at),
            Self::Silence => Fault::Silence(way, at),
        }
    }
}

impl Fault {
    /// Of what kind it is.
    pub fn kind(self) -> Kind {
        match self {
            Self::Delay(_) => Kind::Delay,
            Self::Drip(1, _) => Kind::Standstill,
            Self::Drip(..) => Kind::Drip,
            Self::Cut(..) => Kind::Cut,
            Self::Reset(..) => Kind::Reset,
            Self::Deafen(..) => Kind::Deafen,
            Self::Silence(..) => Kind::Silence,
        }
    }
}
