//! RLP, as far as transactions need it (Ethereum's Yellow Paper, appendix B).

/// One item.
#[derive(Clone, Copy)]
pub(super) struct RlpItem<'a> {
    pub is_list: bool,
    /// With its length in front.
    pub whole: &'a [u8],
    pub payload: &'a [u8],
}

impl<'a> RlpItem<'a> {
    /// The item at the beginning of `bytes`; `None` where it is cut off.
    pub(super) fn read(bytes: &'a [u8]) -> Option<RlpItem<'a>> {
        let (is_list, head, length) = match *bytes.first()? {
            0..=0x7f => (false, 0, 1),
            first @ 0x80..=0xb7 => (false, 1, usize::from(first - 0x80)),
            first @ 0xb8..=0xbf => RlpItem::long(bytes, false, first - 0xb7)?,
            first @ 0xc0..=0xf7 => (true, 1, usize::from(first - 0xc0)),
            first @ 0xf8..=0xff => RlpItem::long(bytes, true, first - 0xf7)?,
        };
        let whole = bytes.get(..head.checked_add(length)?)?;
        Some(RlpItem {
            is_list,
            whole,
            payload: whole.get(head..)?,
        })
    }

    /// A length that takes `digits` bytes of its own.
    fn long(bytes: &[u8], is_list: bool, digits: u8) -> Option<(bool, usize, usize)> {
        let head = 1 + usize::from(digits);
        let mut length = 0usize;
        for digit in bytes.get(1..head)? {
            length = length.checked_mul(256)?.checked_add(usize::from(*digit))?;
        }
        Some((is_list, head, length))
    }

    /// The items of a list; `None` where it is none, or not one item after another to its end.
    pub(super) fn items(self) -> Option<Vec<RlpItem<'a>>> {
        let mut items = Vec::new();
        let mut left = Some(self.payload).filter(|_| self.is_list)?;
        while !left.is_empty() {
            let item = RlpItem::read(left)?;
            left = left.get(item.whole.len()..)?;
            items.push(item);
        }
        Some(items)
    }

    /// A number of at most 64 bits.
    pub(super) fn number(self) -> Option<u64> {
        let digits = Some(self.payload).filter(|digits| !self.is_list && digits.len() <= 8)?;
        Some(
            digits
                .iter()
                .fold(0, |number, digit| number << 8 | u64::from(*digit)),
        )
    }

    /// So many bytes, with zeros in front where there are fewer.
    pub(super) fn padded<const N: usize>(self) -> Option<[u8; N]> {
        let mut padded = [0; N];
        let at = N
            .checked_sub(self.payload.len())
            .filter(|_| !self.is_list)?;
        padded.get_mut(at..)?.copy_from_slice(self.payload);
        Some(padded)
    }
}

/// A list of what `payload` holds, one item after another.
pub(super) fn list(payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut list = if let Some(short) = u8::try_from(length).ok().filter(|short| *short <= 55) {
        vec![0xc0 + short]
    } else {
        let digits = length.to_be_bytes();
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        let digits = digits.get(zeros..).unwrap_or_default();
        // At most eight of them.
        [&[0xf7 + digits.len() as u8], digits].concat()
    };
    list.extend_from_slice(payload);
    list
}

/// A number as an item.
pub(super) fn number(number: u64) -> Vec<u8> {
    let digits = number.to_be_bytes();
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    match digits.get(zeros..).unwrap_or_default() {
        [small @ 0..=0x7f] => vec![*small],
        digits => [&[0x80 + digits.len() as u8], digits].concat(),
    }
}
