//! What an attempt brought: which of several things that hold of it decides what is done next.

use crate::call::confirmation::Confirmers;
use crate::call::retry::{ReplyAction, RetryPlanner};
use crate::rpc::classify::{AttemptClass, Verdict};
use crate::rpc::whole_answer::WholeAnswer;
use crate::vocabulary::node::NodeId;

/// What a whole answer is taken for: the first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerReading {
    /// Its node has overlooked the block that we wrote in a tag's place, or it is of before that block.
    CameToNothing,
    /// It is of another branch than clients were told.
    Stray,
    /// It is a `null`, or as good as one, where another node may know more.
    DoubtfulNull,
    /// It means what its verdict says.
    Plain,
}

/// What holds of a whole answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerSigns {
    /// See [`AnswerReading::CameToNothing`].
    pub came_to_nothing: bool,
    /// See [`AnswerReading::Stray`].
    pub is_stray: bool,
    /// See [`AnswerReading::DoubtfulNull`].
    pub is_doubtful: bool,
}

impl AnswerReading {
    /// By what holds of it.
    #[inline]
    pub fn of(signs: AnswerSigns) -> AnswerReading {
        if signs.came_to_nothing {
            AnswerReading::CameToNothing
        } else if signs.is_stray {
            AnswerReading::Stray
        } else if signs.is_doubtful {
            AnswerReading::DoubtfulNull
        } else {
            AnswerReading::Plain
        }
    }
}

/// Of two answers that were to confirm each other, whether `one` says more: `null` says nothing beside something.
pub fn says_more(one: &WholeAnswer, other: &WholeAnswer) -> bool {
    let found = one.result().is_some_and(|result| result != b"null");
    found && other.result() == Some(b"null")
}

impl RetryPlanner<'_> {
    /// Hears that an attempt at `node` brought no answer, or only that the node has too much to do. `was_silent`: the
    /// node answered no other call either.
    pub fn hear_unanswered(
        &mut self,
        node: NodeId,
        verdict: Verdict,
        was_silent: bool,
    ) -> ReplyAction {
        if was_silent {
            self.hear_silence(verdict)
        } else if verdict.overload.is_some() {
            self.hear_overload(node, verdict)
        } else {
            self.hear(verdict, false)
        }
    }

    /// Hears an answer that [came to nothing](AnswerReading::CameToNothing): it is kept for when nothing better comes;
    /// one that `is_too_old`, of a block before what its client was told of, is told to no client.
    pub fn hear_came_to_nothing(&mut self, is_null: bool, is_too_old: bool) -> ReplyAction {
        if is_null {
            self.hear_null(|_, _, _| Confirmers::default());
        } else {
            self.hear(AttemptClass::MissingData, true);
        }
        if is_too_old {
            ReplyAction::Drop
        } else {
            ReplyAction::Keep
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn of_what_holds_of_an_answer_the_first_counts() {
        for (came_to_nothing, is_stray, is_doubtful, wanted) in [
            (true, true, true, AnswerReading::CameToNothing),
            (false, true, true, AnswerReading::Stray),
            (false, false, true, AnswerReading::DoubtfulNull),
            (false, false, false, AnswerReading::Plain),
        ] {
            let signs = AnswerSigns {
                came_to_nothing,
                is_stray,
                is_doubtful,
            };
            assert_eq!(AnswerReading::of(signs), wanted);
        }
    }

    #[test]
    fn something_says_more_than_null_and_null_no_more_than_anything() {
        let [found, other, null, error] = [
            r#"{"id":1,"result":"0x1"}"#,
            r#"{"id":1,"result":"0x2"}"#,
            r#"{"id":1,"result":null}"#,
            r#"{"id":1,"error":{"code":3,"message":"reverted"}}"#,
        ]
        .map(testing::whole_answer);
        assert!(says_more(&found, &null));
        for (one, than) in [
            (&found, &other),
            (&null, &found),
            (&null, &null),
            (&error, &null),
        ] {
            assert!(!says_more(one, than), "{one:?} than {than:?}");
        }
    }
}
