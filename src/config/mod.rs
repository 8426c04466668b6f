//! Text into meaning.

pub mod settings;
