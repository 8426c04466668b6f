//! Why a command about nodes fails, and what to do about it.

use std::io;

use thiserror::Error;

use crate::registry::RegistryError;
use forebay_core::vocabulary::node::NodeSpecError;

/// Why a command was not carried out.
#[derive(Debug, Error)]
pub enum BackendError {
    #[error("{0}{hint}", hint = code_and_hint(.0).1)]
    Registry(RegistryError),
    #[error(
        "nothing to set: name at least one of --weight, --in-flight-max, --serves, --recent-blocks, \
         --leader, --no-leader, --ws, --as-in-file"
    )]
    NothingToSet,
    #[error("the configuration's `nodes` have no such node")]
    NotInFile,
    #[error("the result can't be written")]
    Output(#[from] io::Error),
}

impl BackendError {
    /// 1 refused input, 3 not found, 4 registry out of reach.
    pub fn exit_code(&self) -> u8 {
        match self {
            BackendError::Registry(why) => code_and_hint(why).0,
            BackendError::NothingToSet | BackendError::NotInFile | BackendError::Output(_) => 1,
        }
    }
}

/// The exit code of a refusal, and what to do about it, in terms of this command line.
fn code_and_hint(why: &RegistryError) -> (u8, &'static str) {
    match why {
        RegistryError::NameTaken(_) => (1, "; give this one a name of its own with --name"),
        RegistryError::Unknown => (3, "; `forebay backends list` shows those there are"),
        RegistryError::OutOfReach { .. } => (4, ""),
        RegistryError::Exists
        | RegistryError::SecondLeader(_)
        | RegistryError::Record(_)
        | RegistryError::InFile(_)
        | RegistryError::OtherChain(_)
        | RegistryError::Damaged(_) => (1, ""),
    }
}

// Not `#[from]`: that would name the error as the source too, and print it twice.
impl From<RegistryError> for BackendError {
    fn from(why: RegistryError) -> BackendError {
        BackendError::Registry(why)
    }
}

impl From<NodeSpecError> for BackendError {
    fn from(fault: NodeSpecError) -> BackendError {
        BackendError::Registry(fault.into())
    }
}
