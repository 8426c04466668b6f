//! An answer that is passed on as it comes, from its start, which has been read and judged, to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::answer_copy::AnswerCopy;
use super::attempt::Attempt;
use crate::node::reply::NodeResponse;
use crate::observe::access_log::AccessLogEntry;
use crate::shared::fleet_state::FleetState;
use forebay_core::json::scanner;
use forebay_core::rpc::answer::Splicer;
use forebay_core::rpc::classify::AttemptClass;

/// An answer that is passed on as it comes.
pub struct StreamedAnswer {
    pub(super) begun: OpenAnswer,
    /// As it came, until it goes out.
    pub(super) start: Option<Bytes>,
    pub(super) bytes_max: u64,
    pub(super) fleet: Arc<FleetState>,
    pub(super) attempt: Attempt,
    /// The call's line in the log, where it gets one.
    pub entry: Option<Box<AccessLogEntry>>,
    /// What is to be kept of it.
    pub copy: Option<Box<AnswerCopy>>,
}

/// An answer whose start has been read.
pub(super) struct OpenAnswer {
    pub reply: NodeResponse,
    pub splicer: Splicer,
    /// Pieces for the client.
    pub ready: std::vec::IntoIter<Bytes>,
    pub taken_bytes: u64,
}

/// The node sent no more of an answer that was being passed on, or something that is none.
#[derive(Debug)]
pub struct BrokenAnswer;

/// A node may be silent this long in the middle of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);

impl StreamedAnswer {
    /// The start of the result, as far as it was read; `None` once it goes out.
    pub fn result_start(&self) -> Option<&[u8]> {
        let start = self.start.as_ref()?;
        let open = scanner::skip_space(start, 0);
        start.get(scanner::member_start(start, open, b"\"result\"")?..)
    }

    /// The next piece for the client; `None` at the end. Only then is it known what the attempt
    /// came to.
    ///
    /// # Errors
    /// The answer breaks off here: the client's connection must break, too.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BrokenAnswer> {
        self.start = None;
        let piece = self.next_piece().await;
        let class = match piece {
            Ok(Some(piece)) => {
                if let Some(entry) = &mut self.entry {
                    entry.sent(piece.len());
                }
                self.copy.take_if(|copy| !copy.takes(&piece));
                return Ok(Some(piece));
            }
            Ok(None) => AttemptClass::Ok,
            Err(class) => class,
        };
        if let Some(entry) = &mut self.entry {
            entry.streamed(class == AttemptClass::Ok);
        }
        let penalty = self.attempt.end_of_passing_on(class);
        if class == AttemptClass::Ok {
            if let Some(copy) = self.copy.take() {
                copy.finish();
            }
            return Ok(None);
        }
        if let Some(penalty) = penalty {
            let node = self.attempt.upstream().id;
            self.fleet.sentence(node, penalty, "").await;
        }
        Err(BrokenAnswer)
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, AttemptClass> {
        let begun = &mut self.begun;
        loop {
            if let Some(piece) = begun.ready.find(|piece| !piece.is_empty()) {
                return Ok(Some(piece));
            }
            let chunk = tokio::time::timeout(SILENCE_MAX, begun.reply.chunk()).await;
            let chunk = chunk.map_err(|_| AttemptClass::Timeout)?;
            let Some(chunk) = chunk.map_err(|fault| fault.class())? else {
                begun
                    .splicer
                    .finish()
                    .map_err(|_| AttemptClass::BadAnswer)?;
                begun.reply.keep();
                return Ok(None);
            };
            begun.taken_bytes += chunk.len() as u64;
            if begun.taken_bytes > self.bytes_max {
                return Err(AttemptClass::RpcError);
            }
            let mut pieces = Vec::with_capacity(3);
            let fed = begun.splicer.feed(&chunk, &mut pieces);
            fed.map_err(|_| AttemptClass::BadAnswer)?;
            begun.ready = pieces.into_iter();
        }
    }
}
