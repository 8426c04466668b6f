//! The tiers of nodes that a call goes down.

/// Which nodes to draw from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Own fit nodes, by weight and load.
    Own,
    /// The leader and other fallback nodes, by weight and load.
    Fallback,
    /// Any node that lives on our chain, the freshest by weight and load; a forked one only where no unforked one does.
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
