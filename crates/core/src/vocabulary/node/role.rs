//! The roles that nodes have, and what they are said by.

/// Where a node stands in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// One of our own: asked first.
    Own,
    /// The reference for the head of the chain, and the fallback.
    Leader,
    /// Asked, beside the leader, only when no own node is fit.
    Fallback,
}

impl Role {
    /// Best first.
    pub const ALL: [Role; 3] = [Role::Own, Role::Leader, Role::Fallback];

    /// Of a node that is said to be the leader, a fallback, or neither; one that is said to be both is the leader.
    pub fn of(is_leader: bool, is_fallback: bool) -> Role {
        match (is_leader, is_fallback) {
            (true, _) => Role::Leader,
            (false, true) => Role::Fallback,
            (false, false) => Role::Own,
        }
    }

    /// The value of the label `rung`, and the word of the registry and the status page.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Own => "own",
            Role::Leader => "leader",
            Role::Fallback => "fallback",
        }
    }
}
