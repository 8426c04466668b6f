//! Content codings (RFC 9110 §8.4): what a body is packed with, and with what an answer may be.

mod packer;
mod unpacker;

pub use self::packer::{Compressor, PACKER_BYTES};
pub use self::unpacker::{DecompressionError, Decompressor, UNPACKER_BYTES};

use crate::wire::header_list;

/// The most that comes out of one step of packing or unpacking, in bytes, whatever goes in.
pub const STEP_BYTES_MAX: usize = 64 << 10;

/// A way to pack a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952, one member.
    Gzip,
    /// RFC 1950; what some send without its header and sum is understood, too.
    Deflate,
    /// RFC 8878, one frame, with a window of 8 MiB at most (RFC 9659).
    Zstd,
}

impl Coding {
    /// As `Content-Encoding` names it.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Zstd => "zstd",
        }
    }

    fn read(name: &[u8]) -> Option<Coding> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        match () {
            // An old name of the same (RFC 9110 §8.4.1.3).
            () if is("gzip") || is("x-gzip") => Some(Coding::Gzip),
            () if is("deflate") => Some(Coding::Deflate),
            () if is("zstd") => Some(Coding::Zstd),
            () => None,
        }
    }
}

/// What `Content-Encoding` says of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Nothing was done to it.
    #[default]
    Identity,
    /// It is packed once, so.
    One(Coding),
    /// Several codings, or one that we don't know.
    Other,
}

impl Encoding {
    /// With one more value of the header.
    #[must_use]
    pub fn and(self, value: &[u8]) -> Encoding {
        let names = header_list::items(value).filter(|name| !name.is_empty() && !is_identity(name));
        names.fold(self, |known, name| match (known, Coding::read(name)) {
            (Encoding::Identity, Some(coding)) => Encoding::One(coding),
            (Encoding::Identity | Encoding::One(_) | Encoding::Other, _) => Encoding::Other,
        })
    }
}

fn is_identity(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"identity")
}

/// What a client takes (`Accept-Encoding`, RFC 9110 §12.5.3): weights in thousandths, of what it names.
/// A client that writes `*` alone has named nothing, and gets its answers as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptedCodings {
    gzip: u16,
    zstd: u16,
    identity: u16,
}

impl AcceptedCodings {
    /// Takes note of a value of the header.
    pub fn note(&mut self, value: &[u8]) {
        for item in header_list::items(value) {
            let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = parts.next().map_or(1000, weight);
            match Coding::read(name) {
                Some(Coding::Gzip) => self.gzip = weight,
                Some(Coding::Zstd) => self.zstd = weight,
                Some(Coding::Deflate) => {}
                None if is_identity(name) => self.identity = weight,
                None => {}
            }
        }
    }

    /// What the client likes best of what we pack with; `None`: nothing. Of two that it likes alike,
    /// zstd is the one that costs less.
    pub fn best(&self) -> Option<Coding> {
        let (coding, weight) = match self.zstd >= self.gzip {
            true => (Coding::Zstd, self.zstd),
            false => (Coding::Gzip, self.gzip),
        };
        (weight > 0 && weight >= self.identity).then_some(coding)
    }
}

/// `q=0.5` in thousandths. What can't be read is no wish (RFC 9110 §12.4.2).
fn weight(parameter: &[u8]) -> u16 {
    let text = std::str::from_utf8(parameter).unwrap_or_default();
    let text = text
        .split_once('=')
        .filter(|(name, _)| name.trim_ascii().eq_ignore_ascii_case("q"));
    let value = text.map_or("", |(_, value)| value.trim_ascii());
    let is_plain = value.len() <= 5
        && value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = value
        .parse::<f64>()
        .ok()
        .filter(|value| is_plain && *value <= 1.0);
    // Three digits at most follow the point.
    value.map_or(0, |value| (value * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_coding_is_read_and_several_are_too_many() {
        let read = |values: &[&str]| {
            let values = values.iter().map(|value| value.as_bytes());
            values.fold(Encoding::Identity, Encoding::and)
        };
        for (values, expected) in [
            (&[][..], Encoding::Identity),
            (&[""], Encoding::Identity),
            (&["identity", " Identity ,"], Encoding::Identity),
            (&["gzip"], Encoding::One(Coding::Gzip)),
            (&["X-GZIP"], Encoding::One(Coding::Gzip)),
            (&["identity, gzip"], Encoding::One(Coding::Gzip)),
            (&["deflate"], Encoding::One(Coding::Deflate)),
            (&["zstd"], Encoding::One(Coding::Zstd)),
            (&["br"], Encoding::Other),
            (&["gzip, gzip"], Encoding::Other),
            (&["gzip", "zstd"], Encoding::Other),
            (&["br", "identity"], Encoding::Other),
        ] {
            assert_eq!(read(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_client_gets_what_it_likes_best_and_nothing_that_it_does_not_name() {
        let best = |values: &[&str]| {
            let mut accepts = AcceptedCodings::default();
            for value in values {
                accepts.note(value.as_bytes());
            }
            accepts.best()
        };
        for (values, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["*"], None),
            (&["identity"], None),
            (&["br, deflate"], None),
            (&["gzip"], Some(Coding::Gzip)),
            (&["gzip, deflate, br, zstd"], Some(Coding::Zstd)),
            (&["gzip", "zstd"], Some(Coding::Zstd)),
            (&["GZIP ; Q=1.000 , zstd;q=0.999"], Some(Coding::Gzip)),
            (&["gzip;q=0"], None),
            (&["gzip;q=0.000, *"], None),
            (&["zstd;q=0, gzip;q=0.001"], Some(Coding::Gzip)),
            (&["identity, gzip;q=0.5"], None),
            (&["identity;q=0.5, gzip;q=0.5"], Some(Coding::Gzip)),
            (&["gzip;q=2, zstd;q=nan"], None),
            (&["gzip;q=1e0, zstd;level=1"], None),
        ] {
            assert_eq!(best(values), expected, "{values:?}");
        }
    }
}
