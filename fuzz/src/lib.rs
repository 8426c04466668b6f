//! What must hold whatever the bytes are: the checks of the program's own tests.

#[path = "../../tests/it/fuzz/bodies.rs"]
pub mod bodies;
#[path = "../../tests/it/fuzz/calls.rs"]
pub mod calls;
#[path = "../../tests/it/fuzz/files.rs"]
pub mod files;
#[path = "../../tests/it/fuzz/frames.rs"]
pub mod frames;
#[path = "../../tests/it/fuzz/heads.rs"]
pub mod heads;
