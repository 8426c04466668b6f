//! zlib under the name of zlib-ng: see Cargo.toml beside this for why.

pub use libz_sys::*;
