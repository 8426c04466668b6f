//! The tiers of nodes that a call goes down.

/// From whom to draw, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Own fit nodes, by weight and load.
    Own,
    /// The leader and other fallback nodes, by weight and load.
    Fallback,
    /// Whoever lives on our chain, the freshest by weight and load; who is forked only where nobody else lives.
    LastResort,
}

impl Tier {
    /// The next tier that a call goes down to; `None`: there is no other.
    pub fn below(self) -> Option<Tier> {
        match self {
            Tier::Own => Some(Tier::Fallback),
            Tier::Fallback => Some(Tier::LastResort),
            Tier::LastResort => None,
        }
    }
}
