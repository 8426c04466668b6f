//! Names of hosts: `forebay.chains.NAME.hosts`.

use super::field::Field;
use forebay_core::wire::chain_path::HOST_BYTES_MAX;

/// The longest part of a host's name (RFC 1035, 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// A name without port, in lower case and without a full stop at its end: as it is compared.
pub(super) fn read(item: &Field<'_>) -> Option<String> {
    let form = "a host's name without a port, as in `base.rpc.example`";
    item.parsed(form, |text| {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(clean)
        };
        (name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label)).then_some(name)
    })
}
