//! What stands around JSON-RPC: heads and frames of HTTP and WebSocket, codings, proxies' headers, traces.

pub mod coding;
pub mod forwarded;
pub mod framing;
pub mod http2_frames;
pub mod trace;
pub mod websocket_frames;
