//! A command that fails.

/// A command that failed: what to say, and the exit code.
pub struct CommandError {
    pub(super) code: u8,
    pub(super) why: String,
}

impl CommandError {
    pub fn refused(why: impl ToString) -> CommandError {
        CommandError {
            code: 1,
            why: why.to_string(),
        }
    }

    pub fn out_of_reach(why: impl ToString) -> CommandError {
        CommandError {
            code: 4,
            why: why.to_string(),
        }
    }
}
