//! Numbers and bytes as hexadecimal digits, as the execution API has them.

use std::fmt;

/// The DATA of the execution API where its length is known, as a hash's: `0x` and two digits for each byte, of
/// either case.
pub fn data<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut bytes).ok()?;
    Some(bytes)
}

/// The same of any length.
pub fn data_of_any(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}

/// `bytes` as DATA, in lower case.
pub fn data_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    // Writing into a String can't fail.
    let _ = write_data(bytes, &mut text);
    text
}

/// The same without memory of its own.
pub(crate) fn write_data(bytes: &[u8], to: &mut impl fmt::Write) -> fmt::Result {
    to.write_str("0x")?;
    write_digits(bytes, to)
}

/// The digits alone.
pub(crate) fn write_digits(bytes: &[u8], to: &mut impl fmt::Write) -> fmt::Result {
    let mut digits = [0; 2 * WRITTEN_BYTES];
    for bytes in bytes.chunks(WRITTEN_BYTES) {
        let digits = &mut digits[..2 * bytes.len()];
        hex::encode_to_slice(bytes, digits).map_err(|_| fmt::Error)?;
        to.write_str(std::str::from_utf8(digits).map_err(|_| fmt::Error)?)?;
    }
    Ok(())
}

/// Bytes that are written at once: a hash.
const WRITTEN_BYTES: usize = 32;

/// `bytes` as digits alone, in lower case.
pub fn digits_text(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// [`data`] behind `0X`, too, which geth takes.
pub(crate) fn data_of_either_prefix<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(behind_prefix(text)?, &mut bytes).ok()?;
    Some(bytes)
}

/// What stands behind `0x` or `0X`.
pub(crate) fn behind_prefix(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
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
    are_digits(text).then(|| u64::from_str_radix(text, 16).ok())?
}

/// The same of 128 bits at most.
pub(crate) fn digits_of_128_bits(text: &str) -> Option<u128> {
    are_digits(text).then(|| u128::from_str_radix(text, 16).ok())?
}

/// Whether there are hexadecimal digits alone, if any.
pub(crate) fn are_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
    fn an_id_of_128_bits_has_no_sign() {
        let most = "f".repeat(32);
        assert_eq!(digits_of_128_bits(&most), Some(u128::MAX));
        for bad in ["", "+5", "-5", "0x5", "g", &format!("1{most}")] {
            assert_eq!(digits_of_128_bits(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_of_either_case_where_geth_takes_both() {
        for text in ["0x00a5", "0X00A5"] {
            assert_eq!(data_of_either_prefix(text), Some([0, 0xa5]));
        }
        for bad in ["00a5", "0x00a", "0x+0a5", "x00a5"] {
            assert_eq!(data_of_either_prefix::<2>(bad), None, "{bad}");
        }
    }

    #[test]
    fn data_is_written_in_lower_case_whatever_its_length() {
        assert_eq!(data_text(&[0, 0xa5, 0xff]), "0x00a5ff");
        for length in [0, 1, WRITTEN_BYTES, WRITTEN_BYTES + 1, 3 * WRITTEN_BYTES] {
            let bytes: Vec<u8> = (0..=u8::MAX).rev().take(length).collect();
            let text = data_text(&bytes);
            assert_eq!(text, format!("0x{}", digits_text(&bytes)));
            assert_eq!(data_of_any(&text), Some(bytes));
        }
    }

    #[test]
    fn data_is_whole_bytes_behind_its_sign() {
        let bytes = [0, 0xa5, 0xff];
        assert_eq!(
            (data("0x00A5ff"), data_of_any("0x00a5ff")),
            (Some(bytes), Some(bytes.to_vec()))
        );
        assert_eq!(data_of_any("0x"), Some(vec![]));
        assert_eq!((data::<2>("0x00a5ff"), data::<4>("0x00a5ff")), (None, None));
        for bad in [
            "", "0x0", "0x00a", "0x0g", "0x+1", "0x\u{e9}", "0X00", "00", "0x0x00",
        ] {
            assert_eq!((data::<1>(bad), data_of_any(bad)), (None, None), "{bad}");
        }
    }
}
