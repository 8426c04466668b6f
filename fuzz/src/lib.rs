//! What must hold whatever the bytes are: the checks of the program's own tests, as far as
//! they are of the core.

#[path = "../../tests/it/fuzz/bodies.rs"]
pub mod bodies;
#[path = "../../tests/it/fuzz/calls.rs"]
pub mod calls;
#[path = "../../tests/it/fuzz/frames.rs"]
pub mod frames;
