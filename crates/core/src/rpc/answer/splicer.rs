//! An answer passed on piece by piece, as it comes.

use bytes::Bytes;

use crate::rpc::answer::AnswerFault;
use crate::rpc::envelope::UpstreamCallId;

/// The longest key at the top level of an answer that is looked at.
const KEY_BYTES_MAX: usize = 64;
/// The longest id that is looked at: some nodes put it in quotes, or write `.0` behind it.
const ID_BYTES_MAX: usize = UpstreamCallId::DIGITS_MAX + 4;

/// Passes an answer on piece by piece, with the caller's id in place of ours.
///
/// It follows strings and nesting, not the whole grammar: enough to know where the answer ends,
/// so that one that was cut off is noticed.
#[derive(Debug)]
pub struct Splicer {
    caller_id: Bytes,
    own: UpstreamCallId,
    place: SplicerState,
    depth: u32,
    in_string: bool,
    escaped: bool,
    key: Vec<u8>,
    id: Vec<u8>,
    saw_id: bool,
    result: MemberState,
    error: MemberState,
}

/// What has been seen of a member. A node may write `"error":null` beside a result, or
/// `"result":null` beside an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberState {
    Not,
    Null,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SplicerState {
    Start,
    BeforeFirstKey,
    BeforeKey,
    InKey,
    BeforeColon,
    BeforeValue,
    InValue,
    InId,
    Done,
}

impl Splicer {
    /// For the answer to the call that was sent as `own`, and came as `caller_id`.
    pub fn new(caller_id: Bytes, own: UpstreamCallId) -> Splicer {
        Splicer {
            caller_id,
            own,
            place: SplicerState::Start,
            depth: 0,
            in_string: false,
            escaped: false,
            key: Vec::new(),
            id: Vec::new(),
            saw_id: false,
            result: MemberState::Not,
            error: MemberState::Not,
        }
    }

    /// A result has begun, and no error.
    pub fn has_result(&self) -> bool {
        self.result != MemberState::Not && self.error != MemberState::Value
    }

    /// Whether an error that isn't `null` has begun.
    pub fn has_error(&self) -> bool {
        self.error == MemberState::Value
    }

    /// Takes the next piece; what is to be sent on is appended to `out`.
    ///
    /// # Errors
    /// See [`AnswerFault`].
    pub fn feed(&mut self, piece: &Bytes, out: &mut Vec<Bytes>) -> Result<(), AnswerFault> {
        let mut kept_from = 0;
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            match self.place {
                SplicerState::InValue => {
                    at = self.pass_value(piece, at);
                    continue;
                }
                SplicerState::InId => {
                    if self.take_id_byte(byte)? {
                        out.push(self.caller_id.clone());
                        kept_from = at;
                        continue;
                    }
                }
                SplicerState::BeforeValue if !byte.is_ascii_whitespace() => {
                    if self.begin_value(byte)? {
                        out.push(piece.slice(kept_from..at));
                    }
                    continue;
                }
                _ => self.step(byte)?,
            }
            at += 1;
        }
        if self.place != SplicerState::InId {
            out.push(piece.slice(kept_from..));
        }
        Ok(())
    }

    /// Between values. `byte` is not part of a value.
    fn step(&mut self, byte: u8) -> Result<(), AnswerFault> {
        if self.place != SplicerState::InKey && byte.is_ascii_whitespace() {
            return Ok(());
        }
        self.place = match (self.place, byte) {
            (SplicerState::Start, b'{') => SplicerState::BeforeFirstKey,
            (SplicerState::BeforeFirstKey, b'}') => SplicerState::Done,
            (SplicerState::BeforeFirstKey | SplicerState::BeforeKey, b'"') => {
                self.key.clear();
                SplicerState::InKey
            }
            (SplicerState::InKey, b'"') if !self.escaped => SplicerState::BeforeColon,
            (SplicerState::InKey, byte) => {
                self.escaped = byte == b'\\' && !self.escaped;
                if self.key.len() < KEY_BYTES_MAX {
                    self.key.push(byte);
                }
                SplicerState::InKey
            }
            (SplicerState::BeforeColon, b':') => SplicerState::BeforeValue,
            _ => return Err(AnswerFault::NotJson),
        };
        Ok(())
    }

    /// At the first byte of a value; says whether it is the id's.
    fn begin_value(&mut self, byte: u8) -> Result<bool, AnswerFault> {
        if matches!(byte, b',' | b'}' | b']' | b':') {
            return Err(AnswerFault::NotJson);
        }
        // No other value begins like `null`.
        let now = if byte == b'n' {
            MemberState::Null
        } else {
            MemberState::Value
        };
        let was_seen = match &self.key[..] {
            b"id" => std::mem::replace(&mut self.saw_id, true),
            b"result" => std::mem::replace(&mut self.result, now) != MemberState::Not,
            b"error" => std::mem::replace(&mut self.error, now) != MemberState::Not,
            _ => false,
        };
        if was_seen {
            return Err(AnswerFault::NoOutcome);
        }
        let is_id = self.key == b"id";
        self.place = if is_id {
            SplicerState::InId
        } else {
            SplicerState::InValue
        };
        Ok(is_id)
    }

    /// Says whether the id is over; `byte` then belongs to what follows.
    fn take_id_byte(&mut self, byte: u8) -> Result<bool, AnswerFault> {
        if byte != b',' && byte != b'}' && !byte.is_ascii_whitespace() {
            self.id.push(byte);
            let fits = self.id.len() <= ID_BYTES_MAX;
            return if fits {
                Ok(false)
            } else {
                Err(AnswerFault::WrongId)
            };
        }
        if !std::str::from_utf8(&self.id).is_ok_and(|id| self.own.is(id)) {
            return Err(AnswerFault::WrongId);
        }
        self.place = SplicerState::InValue;
        Ok(true)
    }

    /// Goes through a value from `at`; returns where it or the piece ends.
    fn pass_value(&mut self, piece: &[u8], mut at: usize) -> usize {
        while at < piece.len() {
            if self.in_string {
                at = self.pass_string(piece, at);
                continue;
            }
            match piece[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' if self.depth == 0 => {
                    self.place = SplicerState::Done;
                    return at + 1;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b',' if self.depth == 0 => {
                    self.place = SplicerState::BeforeKey;
                    return at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn pass_string(&mut self, piece: &[u8], at: usize) -> usize {
        if self.escaped {
            self.escaped = false;
            return at + 1;
        }
        match memchr::memchr2(b'"', b'\\', &piece[at..]) {
            None => piece.len(),
            Some(found) => {
                let is_end = piece[at + found] == b'"';
                self.in_string = !is_end;
                self.escaped = !is_end;
                at + found + 1
            }
        }
    }

    /// To be called when the node has sent everything.
    ///
    /// # Errors
    /// When the answer was cut off, or is none.
    pub fn finish(&self) -> Result<(), AnswerFault> {
        let has_one_outcome = match self.error {
            MemberState::Value => self.result != MemberState::Value,
            MemberState::Not | MemberState::Null => self.result != MemberState::Not,
        };
        match (self.place, self.saw_id, has_one_outcome) {
            (SplicerState::Done, true, true) => Ok(()),
            (SplicerState::Done, false, _) => Err(AnswerFault::WrongId),
            (SplicerState::Done, true, false) => Err(AnswerFault::NoOutcome),
            _ => Err(AnswerFault::NotJson),
        }
    }
}
