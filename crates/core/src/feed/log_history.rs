//! The logs of the blocks told last, so that those of an abandoned block can be taken back.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::feed::head_tracker::TOLD_MAX;
use crate::feed::log_match::BlockLogs;
use crate::vocabulary::chain::BlockHash;

/// The most bytes of logs that are kept; the blocks told first go first.
pub const BYTES_MAX: usize = 64 << 20;

/// A block whose logs were told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHistoryEntry {
    /// The block's hash.
    pub hash: BlockHash,
    /// Its place among all blocks told.
    pub turn: u64,
    /// Its logs, as they were told.
    pub logs: Arc<BlockLogs>,
}

/// What became of an abandoned block's logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogHistoryLookup {
    /// They were told, and are to be taken back.
    Found(LogHistoryEntry),
    /// It had none that a client was told.
    Nothing,
    /// They were told, and are forgotten.
    Forgotten,
}

/// Oldest first.
#[derive(Debug, Default)]
pub struct LogHistory {
    entries: VecDeque<LogHistoryEntry>,
    bytes: usize,
    /// The last block whose logs were told and are forgotten.
    forgotten: Option<u64>,
}

impl LogHistory {
    /// Keeps the logs of the block told last. Beyond [`TOLD_MAX`] blocks or [`BYTES_MAX`] the oldest are
    /// forgotten.
    pub fn write(&mut self, entry: LogHistoryEntry) {
        self.bytes += entry.logs.bytes;
        self.entries.push_back(entry);
        while self.entries.len() > TOLD_MAX || (self.bytes > BYTES_MAX && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.logs.bytes;
            self.forgotten = Some(oldest.turn);
        }
    }

    /// Takes out what was told of the block `hash`, told as the block number `turn`.
    pub fn tear(&mut self, hash: BlockHash, turn: u64) -> LogHistoryLookup {
        let at = self
            .entries
            .iter()
            .rposition(|entry| entry.hash == hash && entry.turn == turn);
        match at.and_then(|at| self.entries.remove(at)) {
            Some(entry) => {
                self.bytes -= entry.logs.bytes;
                LogHistoryLookup::Found(entry)
            }
            None if self.forgotten >= Some(turn) => LogHistoryLookup::Forgotten,
            None => LogHistoryLookup::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LogHistoryLookup::{Forgotten, Found, Nothing};
    use super::*;

    fn entry(turn: u64, bytes: usize) -> LogHistoryEntry {
        LogHistoryEntry {
            hash: BlockHash([u8::try_from(turn).unwrap(); 32]),
            turn,
            logs: Arc::new(BlockLogs {
                logs: Vec::new(),
                bytes,
            }),
        }
    }

    fn tear(log_history: &mut LogHistory, turn: u64) -> LogHistoryLookup {
        log_history.tear(entry(turn, 0).hash, turn)
    }

    #[test]
    fn what_was_told_is_taken_back_once_and_what_is_forgotten_is_known_to_be() {
        let mut log_history = LogHistory::default();
        log_history.write(entry(1, 10));
        log_history.write(entry(3, 10));
        assert_eq!(tear(&mut log_history, 3), Found(entry(3, 10)));
        assert_eq!(tear(&mut log_history, 3), Nothing);
        assert_eq!(tear(&mut log_history, 2), Nothing);
        log_history.write(entry(4, BYTES_MAX));
        assert_eq!(tear(&mut log_history, 1), Forgotten);
        assert_eq!(log_history.bytes, BYTES_MAX);
        log_history.write(entry(5, BYTES_MAX - 1));
        assert_eq!(log_history.entries.len(), 1, "and the last is always kept");
    }

    #[test]
    fn as_many_blocks_are_kept_as_a_reorg_may_take_back() {
        let mut log_history = LogHistory::default();
        for turn in 0..=TOLD_MAX as u64 {
            log_history.write(entry(turn, 1));
        }
        assert_eq!(tear(&mut log_history, 0), Forgotten);
        assert_eq!(tear(&mut log_history, 1), Found(entry(1, 1)));
    }
}
