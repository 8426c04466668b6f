//! Whether calls still ask a helper that may be slow or gone: after some answers in a row that didn't come
//! in time they don't, until it shows a sign of life.

/// So many in a row, and calls ask no more.
pub const LATES_MAX: u32 = 3;

/// The state. It begins closed to calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    is_on: bool,
    lates: u32,
}

impl Circuit {
    /// Whether calls ask it.
    pub fn is_on(self) -> bool {
        self.is_on
    }

    /// It answered a call.
    pub fn answered(&mut self) {
        self.lates = 0;
    }

    /// An answer failed, or didn't come in time. Whether calls ask no more because of it.
    pub fn failed(&mut self) -> bool {
        self.lates = self.lates.saturating_add(1);
        let turns_off = self.is_on && self.lates >= LATES_MAX;
        self.is_on &= !turns_off;
        turns_off
    }

    /// The way to it is gone. Whether calls ask no more because of it.
    pub fn lost(&mut self) -> bool {
        std::mem::take(&mut self.is_on)
    }

    /// It answered a ping. Whether calls ask again because of it.
    pub fn pinged(&mut self) -> bool {
        self.lates = 0;
        !std::mem::replace(&mut self.is_on, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_three_failures_in_a_row_calls_ask_no_more_until_it_answers_a_ping() {
        let mut circuit = Circuit::default();
        assert!(!circuit.is_on(), "nothing is known yet");
        assert!(circuit.pinged() && circuit.is_on());
        assert!(!circuit.pinged());
        for _ in 0..5 {
            assert!(!circuit.failed() && !circuit.failed());
            circuit.answered();
        }
        assert!(!circuit.failed() && !circuit.failed() && circuit.is_on());
        assert!(circuit.failed() && !circuit.is_on(), "the third");
        assert!(!circuit.failed(), "told once");
        circuit.answered();
        assert!(!circuit.is_on(), "a late answer is no ping");
        assert!(circuit.pinged() && circuit.is_on());
        assert!(circuit.lost() && !circuit.is_on() && !circuit.lost());
    }
}
