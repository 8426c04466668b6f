//! The grammar of JSON (RFC 8259), checked in one pass: nothing is decoded, everything is found
//! where it was written.
//!
//! As strict as `serde_json` is about a `RawValue`, which is the measure in the tests. Nesting costs
//! a bit a level, so no text runs out of stack.

use std::borrow::Cow;

use wide::u8x16;

/// The text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidJson;

/// A string as written, with its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawString<'a> {
    pub raw: &'a str,
    has_escapes: bool,
}

impl<'a> RawString<'a> {
    /// `raw`, a value as written, where it is a string.
    pub(crate) fn of(raw: &'a str) -> Option<RawString<'a>> {
        let has_escapes = plain_end(raw.as_bytes(), 1) + 1 < raw.len();
        raw.starts_with('"')
            .then_some(RawString { raw, has_escapes })
    }

    /// What it says; `None` where its escapes are no text (half a surrogate pair).
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        if self.has_escapes {
            return serde_json::from_str(self.raw).ok().map(Cow::Owned);
        }
        self.raw.get(1..self.raw.len() - 1).map(Cow::Borrowed)
    }
}

/// Goes through a text from its beginning.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// The bytes from `at` on, as many as are looked at at once.
#[inline]
fn sixteen(bytes: &[u8], at: usize) -> Option<u8x16> {
    let (chunk, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u8x16::new(*chunk))
}

/// A bit, the lowest for the first, for each byte that ends the plain part of a string: a quote, a backslash, a
/// control character.
#[inline]
fn ends(bytes: u8x16) -> u32 {
    let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    (bytes.simd_le(u8x16::splat(0x1f)) | is(b'"') | is(b'\\')).to_bitmask()
}

/// The first place from `at` on where the plain part of a string ends, or the text.
#[inline]
pub(crate) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = sixteen(bytes, at) {
        let ends = ends(chunk);
        if ends != 0 {
            return at + ends.trailing_zeros() as usize;
        }
        at += size_of::<u8x16>();
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && !matches!(**byte, b'"' | b'\\');
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(is_plain).count()
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    /// Begins after `mark`, should the text begin with it.
    pub(crate) fn after(mark: &str, text: &'a str) -> Scanner<'a> {
        let at = if text.starts_with(mark) {
            mark.len()
        } else {
            0
        };
        Scanner { text, at }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Where it is, in bytes from the beginning.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What was taken from `start` on.
    ///
    /// # Errors
    /// No such place.
    #[inline]
    pub(crate) fn since(&self, start: usize) -> Result<&'a str, InvalidJson> {
        self.text.get(start..self.at).ok_or(InvalidJson)
    }

    /// The next byte that is no white space, not taken.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        // As a rule there is none.
        match self.byte() {
            Some(byte) if byte > b' ' => Some(byte),
            Some(_) | None => self.peek_behind_space(),
        }
    }

    #[cold]
    fn peek_behind_space(&mut self) -> Option<u8> {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `wanted`, should it come next.
    #[inline]
    pub(crate) fn take(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Result<(), InvalidJson> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(InvalidJson)
        }
    }

    /// # Errors
    /// Something follows.
    pub(crate) fn end(&mut self) -> Result<(), InvalidJson> {
        self.peek().map_or(Ok(()), |_| Err(InvalidJson))
    }

    /// Takes a value of any kind, as written, and how deep arrays and objects nest in it.
    ///
    /// # Errors
    /// It is none.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<(&'a str, usize), InvalidJson> {
        let first = self.peek().ok_or(InvalidJson)?;
        let start = self.at;
        let depth_max = match first {
            b'{' | b'[' => self.nested()?,
            _ => {
                self.scalar(first)?;
                0
            }
        };
        Ok((self.since(start)?, depth_max))
    }

    /// Takes an object, of which `member` gets each key and takes the value.
    ///
    /// # Errors
    /// It is none, or what `member` says.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(RawString<'a>, &mut Self) -> Result<(), InvalidJson>,
    ) -> Result<(), InvalidJson> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            member(key, self)?;
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// Takes an array, whose elements `element` takes one by one.
    ///
    /// # Errors
    /// It is none, or what `element` says.
    pub(crate) fn array<E: From<InvalidJson>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.take(b',') {
                return Ok(self.expect(b']')?);
            }
        }
    }

    /// Takes a key and its colon.
    #[inline(always)]
    fn key(&mut self) -> Result<RawString<'a>, InvalidJson> {
        self.peek();
        let start = self.at;
        let has_escapes = self.string()?;
        let raw = self.since(start)?;
        self.expect(b':')?;
        Ok(RawString { raw, has_escapes })
    }

    /// Takes an array or an object; how deep it nests.
    fn nested(&mut self) -> Result<usize, InvalidJson> {
        let mut open = NestingStack::default();
        let mut depth_max = 0;
        loop {
            // Before a value.
            match self.peek().ok_or(InvalidJson)? {
                opening @ (b'{' | b'[') => {
                    self.at += 1;
                    let is_object = opening == b'{';
                    open.push(is_object);
                    depth_max = depth_max.max(open.depth);
                    if !self.take(if is_object { b'}' } else { b']' }) {
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                    open.pop();
                }
                first => self.scalar(first)?,
            }
            // After one.
            loop {
                let Some(is_object) = open.top() else {
                    return Ok(depth_max);
                };
                if self.take(b',') {
                    if is_object {
                        self.key()?;
                    }
                    break;
                }
                self.expect(if is_object { b'}' } else { b']' })?;
                open.pop();
            }
        }
    }

    #[inline]
    fn scalar(&mut self, first: u8) -> Result<(), InvalidJson> {
        match first {
            b'"' => self.string().map(|_| ()),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), InvalidJson> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(InvalidJson);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), InvalidJson> {
        self.at += usize::from(self.byte() == Some(b'-'));
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), InvalidJson> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(InvalidJson)
        }
    }

    /// Takes a string; whether there are escapes in it. Always inlined, as [`Scanner::key`] is: what the compiler chooses by
    /// itself changes with code elsewhere, by 300 instructions of a call.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, InvalidJson> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return Err(InvalidJson);
        }
        let end = plain_end(bytes, self.at + 1);
        self.at = end + 1;
        match bytes.get(end) {
            Some(b'"') => Ok(false),
            Some(b'\\') => self.escaped_string(end).map(|()| true),
            Some(_) | None => Err(InvalidJson),
        }
    }

    /// Takes the rest of a string from the escape at `at` on.
    fn escaped_string(&mut self, mut at: usize) -> Result<(), InvalidJson> {
        let bytes = self.text.as_bytes();
        while bytes.get(at) == Some(&b'\\') {
            at = plain_end(bytes, at + escape_length(&bytes[at..])?);
        }
        self.at = at + 1;
        if bytes.get(at) == Some(&b'"') {
            Ok(())
        } else {
            Err(InvalidJson)
        }
    }
}

/// How long the escape is that `text` begins with.
fn escape_length(text: &[u8]) -> Result<usize, InvalidJson> {
    match text.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => {
            let is_code = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
            text.get(2..6)
                .is_some_and(is_code)
                .then_some(6)
                .ok_or(InvalidJson)
        }
        Some(_) | None => Err(InvalidJson),
    }
}

/// The arrays and objects that are open, a bit each: whether it is an object.
#[derive(Default)]
struct NestingStack {
    depth: usize,
    /// The innermost ones, the last of them lowest.
    bits: u64,
    /// The others, 64 at a time.
    outer: Vec<u64>,
}

impl NestingStack {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
