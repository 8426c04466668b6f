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
    pub(crate) fn of(number: u64) -> Quantity {
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

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text[self.begin..]
    }
}

/// A QUANTITY of the execution API: `0x` and hexadecimal digits, here of 64 bits at most. Zeros in front, which the
/// API forbids, are let pass.
pub fn quantity_in(text: &str) -> Option<u64> {
    digits(text.strip_prefix("0x")?)
}

/// What hexadecimal digits without `0x` say, of 64 bits at most.
pub fn digits(text: &str) -> Option<u64> {
    // `from_str_radix` alone would take a sign.
    let clean = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    clean.then(|| u64::from_str_radix(text, 16).ok())?
}

/// A QUANTITY with its quotes, as results have it in JSON.
pub fn read_quantity(value: &[u8]) -> Option<u64> {
    let text = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    quantity_in(std::str::from_utf8(text).ok()?)
}

/// The same, or a bare decimal number, as traces have it.
pub fn read_number(value: &[u8]) -> Option<u64> {
    read_quantity(value).or_else(|| std::str::from_utf8(value).ok()?.parse().ok())
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
    fn quantities_are_read_without_a_sign() {
        assert_eq!(read_quantity(b"\"0x1F\""), Some(31));
        assert_eq!(read_quantity(b"\"0x001f\""), Some(31));
        for other in [
            "\"0x+5\"",
            "\"0x-5\"",
            "\"0x\"",
            "\"1f\"",
            "\"0X1f\"",
            "\"0x10000000000000000\"",
            "0x1f",
            "\"",
        ] {
            assert_eq!(read_number(other.as_bytes()), None, "{other}");
        }
        assert_eq!(read_number(b"31"), Some(31));
        assert_eq!(read_quantity(b"31"), None);
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
