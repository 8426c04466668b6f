pub use libz_sys::*;
