//! Why a command about nodes fails, and what to do about it.

use std::io;

use thiserror::Error;

use crate::registry::RegistryError;
use forebay_core::vocabulary::node::NodeSpecError;

/// Why a command was not carried out.
#[derive(Debug, Error)]
pub enum BackendError {
    #[error("{0}{hint}", hint = hint(.0))]
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
            BackendError::Registry(RegistryError::Unknown) => 3,
            BackendError::Registry(RegistryError::OutOfReach { .. }) => 4,
            BackendError::Registry(
                RegistryError::Exists
                | RegistryError::SecondLeader(_)
                | RegistryError::NameTaken(_)
                | RegistryError::Record(_)
                | RegistryError::InFile(_)
                | RegistryError::OtherChain(_)
                | RegistryError::Damaged(_),
            )
            | BackendError::NothingToSet
            | BackendError::NotInFile
            | BackendError::Output(_) => 1,
        }
    }
}

/// What to do about a refusal, in terms of this command line.
fn hint(why: &RegistryError) -> &'static str {
    match why {
        RegistryError::NameTaken(_) => "; give this one a name of its own with --name",
        RegistryError::Unknown => "; `forebay backends list` shows those there are",
        RegistryError::Exists
        | RegistryError::SecondLeader(_)
        | RegistryError::Record(_)
        | RegistryError::InFile(_)
        | RegistryError::OtherChain(_)
        | RegistryError::Damaged(_)
        | RegistryError::OutOfReach { .. } => "",
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
