//! Mutants of known inputs: bytes turned, taken, doubled, and words of the trade put in.

use forebay_core::vocabulary::chance::{Dice, SeededDice};

/// What readers look for.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-0",
    "1e999",
    "\"id\"",
    "\"id\":1",
    "\"result\":",
    "\"error\":",
    "\"error\":null",
    "\"jsonrpc\":\"2.0\"",
    "\"method\":",
    "\"params\":[]",
    "\"ID\":",
    "\"message\":\"execution reverted: rate limit\"",
    "\"code\":3",
    "\"code\":-32005",
    "\"data\":{\"rate\":{\"backoff_seconds\":1e308}}",
    "\r\n",
    "\n",
    "\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "content-length: 5\r\n",
    "content-length: 18446744073709551616\r\n",
    "transfer-encoding: chunked\r\n",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "ffffffffffffffff\r\n",
    "retry-after: 99999999999\r\n",
    "connection: close\r\n",
    ";a=\"b\"",
    "http://",
    "https://u:p@h/",
    "${KEY}",
    "${KEY:-x}",
    "${",
    "\u{feff}",
    "é",
    "\0",
];

/// The most changes made to one input.
const CHANGES_MAX: u64 = 6;
/// The longest mutant.
const MUTANT_BYTES_MAX: usize = 4096;

pub struct Mutator {
    dice: SeededDice,
    inputs: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seed: u64, inputs: Vec<Vec<u8>>) -> Mutator {
        let dice = SeededDice::new(seed);
        Mutator { dice, inputs }
    }

    pub fn next(&mut self) -> Vec<u8> {
        let which = self.below(self.inputs.len());
        let mut mutant = self.inputs[which].clone();
        for _ in 0..=self.dice.roll() % CHANGES_MAX {
            self.change(&mut mutant);
        }
        mutant.truncate(MUTANT_BYTES_MAX);
        mutant
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(16)).min(bytes.len());
        match self.dice.roll() % 8 {
            0 => {
                let word = WORDS[self.below(WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
            1 => {
                let word = WORDS[self.below(WORDS.len())];
                bytes.splice(at..end, word.bytes());
            }
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = self.below(self.inputs.len());
                let from = self.below(self.inputs[other].len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&self.inputs[other][from..]);
            }
            6 => {
                let bit = self.dice.roll() % 8;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            _ => {
                let byte = self.dice.roll().to_le_bytes()[0];
                bytes.insert(at, byte);
            }
        }
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.dice.roll()).unwrap_or(0) % end.max(1)
    }
}
