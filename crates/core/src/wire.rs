//! What stands around JSON-RPC, as bytes: heads and frames of HTTP and WebSocket, codings, proxies'
//! headers, traces.
//!
//! In reading order:
//! - [`framing`], whether a head can be read in one way only
//! - [`http2_frames`] and [`websocket_frames`], counted as they pass
//! - [`coding`], what bodies are packed with
//! - [`cors`], which pages may call
//! - [`header_list`], one value that says several things
//! - [`forwarded`], which client's call it is behind proxies; [`trace`], which trace it is a part of

pub mod chain_path;
pub mod coding;
pub mod cors;
pub mod forwarded;
pub mod framing;
pub mod header_list;
pub mod http2_frames;
pub mod trace;
pub mod websocket_frames;
