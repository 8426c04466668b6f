//! Bytes as hexadecimal digits, two for each, without `0x`.

/// In lower case.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that `digits`, of any case, stand for; `None` where they are no whole bytes.
pub fn decode(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

/// `number` as JSON-RPC writes a quantity: `"0x1f"`, with its quotes.
pub fn quantity(number: u64) -> String {
    let text = Quantity::of(number);
    std::str::from_utf8(text.bytes())
        .unwrap_or_default()
        .to_owned()
}

/// The same without memory of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity {
    text: [u8; QUANTITY_BYTES_MAX],
    begin: usize,
}

/// Quotes, `0x`, sixteen digits.
const QUANTITY_BYTES_MAX: usize = 20;

impl Quantity {
    pub fn of(number: u64) -> Quantity {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'"'; QUANTITY_BYTES_MAX];
        let (mut at, mut rest) = (text.len() - 1, number);
        loop {
            at -= 1;
            text[at] = DIGITS[(rest & 0xf) as usize];
            rest >>= 4;
            if rest == 0 {
                break;
            }
        }
        let begin = at - 3;
        text[begin..at].copy_from_slice(b"\"0x");
        Quantity { text, begin }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.text[self.begin..]
    }
}

/// A quantity as a result says it in JSON; `None` for what is none.
pub fn read_quantity(result: &[u8]) -> Option<u64> {
    let digits = result.strip_prefix(b"\"0x")?.strip_suffix(b"\"")?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_has_no_zeros_in_front() {
        for number in [0, 1, 15, 16, 0xabc, 1 << 60, u64::MAX] {
            assert_eq!(quantity(number), format!("\"{number:#x}\""));
        }
    }

    #[test]
    fn bytes_come_back_and_what_is_none_is_not_read() {
        assert_eq!(encode(&[0, 0xa5, 0xff]), "00a5ff");
        assert_eq!(decode("00A5ff"), Some(vec![0, 0xa5, 0xff]));
        assert_eq!(decode(""), Some(vec![]));
        for bad in ["0", "00a", "0g", "+1", "\u{e9}"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
