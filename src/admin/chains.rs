//! The chains that the listener serves, and which of them a request means.

use std::sync::Arc;

use crate::admin::error::AdminError;
use crate::admin::handlers::AdminHandlers;
use crate::call::context::CallState;
use crate::registry::RegistryError;
use forebay_core::vocabulary::chain::default_place;
use forebay_core::vocabulary::node::NodeRecord;

/// One chain.
pub struct AdminChain {
    /// Meant where none is named.
    pub is_default: bool,
    pub handlers: Arc<AdminHandlers>,
    pub state: Arc<CallState>,
    /// The machine's name.
    pub instance: &'static str,
}

impl AdminChain {
    pub fn name(&self) -> &str {
        self.state.fleet.chain.as_str()
    }
}

/// All of them, in the order of the configuration.
#[derive(Clone, Default)]
pub struct AdminChains(Vec<Arc<AdminChain>>);

impl AdminChains {
    pub fn new(chains: Vec<AdminChain>) -> AdminChains {
        AdminChains(chains.into_iter().map(Arc::new).collect())
    }

    pub fn all(&self) -> &[Arc<AdminChain>] {
        &self.0
    }

    /// The chain called `name`; without one, the only one or the default.
    ///
    /// # Errors
    /// There is no such chain, or it has to be said which.
    pub fn chosen(&self, name: Option<&str>) -> Result<Arc<AdminChain>, AdminError> {
        let names = self.0.iter();
        let names: Vec<_> = names
            .map(|chain| (chain.name(), chain.is_default))
            .collect();
        place(&names, name).map(|at| self.0[at].clone())
    }

    /// # Errors
    /// The node serves on another chain than `own`.
    pub fn refuse_others(&self, own: &AdminChain, record: &NodeRecord) -> Result<(), AdminError> {
        let mut others = self.0.iter().filter(|chain| chain.name() != own.name());
        match others.find(|chain| chain.handlers.has(record)) {
            Some(other) => Err(RegistryError::OtherChain(other.name().to_string()).into()),
            None => Ok(()),
        }
    }

    /// The same, for a request that only looks: the first where it isn't said which.
    ///
    /// # Errors
    /// There is no such chain, or none at all.
    pub fn shown(&self, name: Option<&str>) -> Result<Arc<AdminChain>, AdminError> {
        match (name, self.0.first()) {
            (None, Some(first)) => Ok(self.chosen(None).unwrap_or_else(|_| first.clone())),
            (_, _) => self.chosen(name),
        }
    }
}

/// Where the chain called `name` stands among `chains`, each with whether it is the default one.
fn place(chains: &[(&str, bool)], name: Option<&str>) -> Result<usize, AdminError> {
    let named = |wanted: &str| chains.iter().position(|(known, _)| *known == wanted);
    let unnamed = || default_place(chains.iter().map(|(_, is_default)| *is_default));
    name.map_or_else(unnamed, named).ok_or_else(|| {
        let names: Vec<_> = chains.iter().map(|(known, _)| *known).collect();
        let names = names.join(", ");
        match name {
            Some(_) => AdminError::NoSuchChain(names),
            None => AdminError::input(format!(
                "say which chain by `chain=`, there is no default one: {names}"
            )),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_chain_means_the_only_one_or_the_default() {
        let several = [("ethereum", false), ("base", true), ("gnosis", false)];
        assert_eq!(place(&several, None), Ok(1));
        assert_eq!(place(&several, Some("gnosis")), Ok(2));
        assert_eq!(place(&[("main", false)], None), Ok(0));
        assert_eq!(place(&[("main", false)], Some("main")), Ok(0));
        let none_such = place(&several, Some("Base")).unwrap_err();
        assert_eq!(
            (none_such.status(), none_such.code()),
            (404, "no_such_chain")
        );
        assert!(none_such.message().ends_with("ethereum, base, gnosis"));
        let unsaid = place(&[("a", false), ("b", false)], None).unwrap_err();
        assert_eq!(unsaid.status(), 400);
        assert!(unsaid.message().ends_with("a, b"), "{}", unsaid.message());
        assert_eq!(place(&[], None).unwrap_err().status(), 400);
    }
}
