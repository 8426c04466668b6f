//! Where the list that serves comes from: the registry, or what stands in for it.

use std::sync::atomic::{AtomicU8, Ordering};

/// Where a list comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ListSource {
    /// The registry, when it was read last, a refresh ago at most.
    #[default]
    Registry = 0,
    /// The same, before it went out of reach.
    Memory = 1,
    /// The last list on the disk: the registry has not been in reach yet.
    LastList = 2,
    /// The configuration's nodes: there was no last list either.
    Configuration = 3,
}

impl ListSource {
    const ALL: [ListSource; 4] = [
        ListSource::Registry,
        ListSource::Memory,
        ListSource::LastList,
        ListSource::Configuration,
    ];

    /// What there is to say of it, where something is wrong.
    pub fn trouble(self) -> Option<&'static str> {
        match self {
            ListSource::Registry => None,
            ListSource::Memory => {
                Some("the registry is out of reach: the list is as it was read last")
            }
            ListSource::LastList => {
                Some("the registry is out of reach: the list is the last one on disk")
            }
            ListSource::Configuration => {
                Some("the registry is out of reach: the nodes are those of the configuration")
            }
        }
    }

    /// Whether this process has never read the registry.
    pub fn stands_in(self) -> bool {
        match self {
            ListSource::Registry | ListSource::Memory => false,
            ListSource::LastList | ListSource::Configuration => true,
        }
    }
}

/// The source at present, for all that ask.
#[derive(Debug, Default)]
pub struct CurrentListSource(AtomicU8);

impl CurrentListSource {
    pub fn is(&self) -> ListSource {
        let at = usize::from(self.0.load(Ordering::Relaxed));
        ListSource::ALL.get(at).copied().unwrap_or_default()
    }

    pub fn set(&self, from: ListSource) {
        self.0.store(from as u8, Ordering::Relaxed);
    }

    /// The registry went out of reach; what stands in for it already stays.
    pub fn hear_outage(&self) {
        if self.is() == ListSource::Registry {
            self.set(ListSource::Memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_as_it_was_set_and_an_outage_hides_no_stand_in() {
        let provenance = CurrentListSource::default();
        assert_eq!(provenance.is(), ListSource::Registry);
        for from in ListSource::ALL {
            provenance.set(from);
            assert_eq!(provenance.is(), from);
            provenance.hear_outage();
            assert_eq!(provenance.is().stands_in(), from.stands_in());
            assert!(provenance.is().trouble().is_some());
        }
    }
}
