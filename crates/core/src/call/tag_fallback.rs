//! A tag that we wrote as a number never turns into nothing.
//!
//! The block is there, since it was shown. A node that has no such block is several behind one URL, of
//! which one is behind another. It is asked again until its time is up; then with the tag itself, where
//! no other node could be asked.

use std::time::{Duration, Instant};

use crate::call::last_block;
use crate::rpc::answer::RpcError;
use crate::rpc::classify::{AttemptClass, Meaning, MissingKind, Verdict};
use crate::rpc::whole_answer::WholeAnswer;
use crate::vocabulary::block_ref::BlockRange;
use crate::vocabulary::chain::BlockNumber;

/// The first pause before a node is asked again, and the longest; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// "Invalid params", which nodes also say of a block that they don't have.
const INVALID_PARAMS: i64 = -32602;
/// Words of such messages, beside "block": geth 1.17 ("block range extends beyond current head
/// block"), anvil ("block height is 5 but requested was 6").
const NO_SUCH_BLOCK: &[&str] = &["beyond", "height", "not found", "unknown", "future"];

/// What to do about nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagFallbackStep {
    /// Ask again, not before this time.
    Again(Instant),
    /// Ask with the tag itself, as the caller wrote it.
    AsWritten,
    /// The time is up: what the node said last is the answer.
    GiveUp,
}

/// How one call insists.
#[derive(Clone, Debug, Default)]
pub struct TagFallback {
    until: Option<Instant>,
    pause: Duration,
    /// The call travels with the tag itself; an answer must not name an older block than this.
    written: Option<BlockNumber>,
    has_written: bool,
}

/// Whether what came of a call whose tag we wrote says that there is no such block. `null` of a method
/// that has no such answer says so only of a node that answers the method (`answers_it`): another keeps
/// none of its results, and its `null` is what it has to say.
pub fn is_nothing(verdict: Verdict, answer: &WholeAnswer, answers_it: bool) -> bool {
    if verdict.meaning == Some(Meaning::NoResult) {
        return answers_it;
    }
    if verdict.class == AttemptClass::MissingData {
        // What is pruned stays so.
        return verdict.missing() != Some(MissingKind::Older);
    }
    let Some(error) = answer.error() else {
        return answer.result() == Some(b"null");
    };
    is_no_such_block(&error)
}

/// Whether a node says by "invalid params" that it has no such block.
pub fn is_no_such_block(error: &RpcError<'_>) -> bool {
    let message = error.message.to_ascii_lowercase();
    let says = |word: &&str| message.contains(*word);
    error.code == INVALID_PARAMS && says(&"block") && NO_SUCH_BLOCK.iter().any(says)
}

impl TagFallback {
    /// What to do next; `patience`: how long the block may be waited for. `need` is what the tag stood
    /// for; `is_alone`: no other node could be asked.
    pub fn next(
        &mut self,
        patience: Duration,
        need: Option<BlockRange>,
        is_alone: bool,
        now: Instant,
    ) -> TagFallbackStep {
        let until = *self.until.get_or_insert(now + patience);
        if now < until {
            self.pause = (self.pause * 2).clamp(PAUSE_FIRST, PAUSE_MAX);
            return TagFallbackStep::Again((now + self.pause).min(until));
        }
        if self.has_written || !is_alone {
            return TagFallbackStep::GiveUp;
        }
        self.has_written = true;
        self.written = need.map(|need| need.to);
        // What the tag itself brings may be too old: as much time again.
        self.until = Some(now + patience);
        self.pause = Duration::ZERO;
        TagFallbackStep::AsWritten
    }

    /// Whether `result`, of the call with the tag itself, names an older block than its client was
    /// told of.
    pub fn is_too_old(&self, result: Option<&[u8]>) -> bool {
        let named = result.and_then(last_block::block_told);
        self.written
            .zip(named)
            .is_some_and(|(least, named)| named < least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::block_ref::BlockData;

    const PATIENCE: Duration = Duration::from_secs(8);

    fn need() -> Option<BlockRange> {
        Some(BlockRange {
            from: BlockNumber(100),
            to: BlockNumber(100),
            reads: BlockData::Block,
        })
    }

    #[test]
    fn it_asks_again_after_pauses_that_grow_until_its_time_is_up_and_then_with_the_tag() {
        let start = crate::testing::now();
        let (mut now, mut asked) = (start, 0);
        let mut insistence = TagFallback::default();
        while let TagFallbackStep::Again(at) = insistence.next(PATIENCE, need(), true, now) {
            assert!(at > now && at <= start + PATIENCE);
            now = at;
            asked += 1;
            assert!(!insistence.is_too_old(Some(br#"{"number":"0x1"}"#)));
        }
        assert_eq!(now, start + PATIENCE);
        assert!((15..30).contains(&asked), "{asked}");
        for (result, wanted) in [
            (&br#"{"number":"0x63"}"#[..], true),
            (br#"{"number":"0x64"}"#, false),
            (br#""0x1""#, false),
        ] {
            assert_eq!(insistence.is_too_old(Some(result)), wanted);
        }
        let end = now + PATIENCE;
        assert!(matches!(
            insistence.next(PATIENCE, None, true, now),
            TagFallbackStep::Again(_)
        ));
        assert_eq!(
            insistence.next(PATIENCE, None, true, end),
            TagFallbackStep::GiveUp
        );
    }

    #[test]
    fn where_others_could_be_asked_their_word_is_the_last() {
        let now = crate::testing::now();
        let mut insistence = TagFallback::default();
        insistence.next(PATIENCE, need(), false, now);
        let end = now + PATIENCE;
        assert_eq!(
            insistence.next(PATIENCE, need(), false, end),
            TagFallbackStep::GiveUp
        );
    }
}
