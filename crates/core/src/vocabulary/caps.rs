//! How much may be held at once, as shares of the memory that there is: all of them together are less
//! than that, so that refusals come before the end.

/// Less has no room for the program itself.
pub const MEMORY_MIN: u64 = 64 << 20;
/// Files that are no connection of a client and no call: the registry, listeners, probes, the nodes'
/// sockets, and connections to nodes that wait for the next call.
const OWN_FILES: u64 = 256;
/// What is never shared out: the program itself, its tables and its caches.
const OWN_BYTES_MIN: u64 = 32 << 20;
/// Of what there is, but for at most half of it.
const OWN_PART: u64 = 4;
/// Of what there is, for answers that are kept: a part of our own share, unless more is wanted.
const CACHE_PART: u64 = 10;
/// And no more than this, unless it is wanted.
const CACHE_BYTES_MAX: u64 = 64 << 20;
/// Of what there is, for transactions that are remembered: our own share, too. One for so many bytes, and so
/// much of their own bytes.
const TRANSACTION_PART: u64 = 32 << 10;
const TRANSACTION_BYTES_PART: u64 = 256;
/// The rest has so many parts: a fifth of them is left for what the allocator keeps beside.
const PARTS: u64 = 20;

/// What one of them takes, about, in bytes.
const REQUEST_BYTES: u64 = 16 << 10;
/// Of an idle one, TLS included.
const CONNECTION_BYTES: u64 = 24 << 10;
/// With its subscriptions, and what waits for it.
const SOCKET_BYTES: u64 = 64 << 10;
/// Of a remembered transaction beside its own bytes, where a few nodes have it.
pub const TRANSACTION_BYTES: u64 = 1 << 10;

/// Machines with more have room for this.
const REQUESTS_MAX: u64 = 20_000;
const BODIES_BYTES_MAX: u64 = 1 << 30;
const ANSWERS_BYTES_MAX: u64 = 1 << 30;
const UNSENT_BYTES_MAX: u64 = 512 << 20;
const CONNECTIONS_MAX: u64 = 100_000;
const SOCKETS_MAX: u64 = 100_000;
const TRANSACTIONS_MAX: u64 = 65_536;
const TRANSACTION_BYTES_MAX: u64 = 8 << 20;

/// The caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Requests inside at once.
    pub requests: usize,
    /// Bytes of request bodies and heads inside at once.
    pub bodies: usize,
    /// Bytes of nodes' answers that are held whole at once, of all requests together.
    pub answers: u64,
    /// Bytes of answers that wait for their clients to take them.
    pub unsent: u64,
    /// Clients' connections at once.
    pub connections: usize,
    /// Clients' sockets at once, as far as the settings let them.
    pub sockets: usize,
    /// Bytes of answers that are kept.
    pub cache: u64,
    /// Transactions that are remembered after nodes have taken them.
    pub transactions: usize,
    /// Bytes of those of them that can be shown.
    pub transaction_bytes: usize,
}

impl Caps {
    /// The shares of so many bytes.
    pub fn of(memory: u64) -> Caps {
        let own = (memory / OWN_PART).max(OWN_BYTES_MIN).min(memory / 2);
        let part = (memory - own) / PARTS;
        let share = |parts: u64, max: u64| (parts * part).min(max);
        let places = |parts: u64, bytes: u64, max: u64| places_of(parts * part / bytes, max);
        Caps {
            requests: places(2, REQUEST_BYTES, REQUESTS_MAX),
            bodies: usize::try_from(share(4, BODIES_BYTES_MAX)).unwrap_or(usize::MAX),
            answers: share(4, ANSWERS_BYTES_MAX),
            unsent: share(2, UNSENT_BYTES_MAX),
            connections: places(2, CONNECTION_BYTES, CONNECTIONS_MAX),
            sockets: places(2, SOCKET_BYTES, SOCKETS_MAX),
            cache: Caps::cache_of(memory),
            transactions: places_of(memory / TRANSACTION_PART, TRANSACTIONS_MAX),
            transaction_bytes: places_of(memory / TRANSACTION_BYTES_PART, TRANSACTION_BYTES_MAX),
        }
    }

    /// The shares of so many bytes where so many of them are wanted for answers that are kept; `None`: as
    /// many as by themselves. More than half they don't get.
    pub fn with_cache(memory: u64, wanted: Option<u64>) -> Caps {
        let usual = Caps::cache_of(memory);
        let cache = wanted.unwrap_or(usual).min(Caps::cache_max(memory));
        Caps {
            cache,
            ..Caps::of(memory - cache.saturating_sub(usual))
        }
    }

    fn cache_of(memory: u64) -> u64 {
        (memory / CACHE_PART).min(CACHE_BYTES_MAX)
    }

    /// The most that answers which are kept may take of so many bytes.
    pub fn cache_max(memory: u64) -> u64 {
        memory / 2
    }

    /// The same with no more than so many files open at once: connections of clients, and to nodes,
    /// of which one is used by each request and some wait for the next.
    #[must_use]
    pub fn with_files(self, files: u64) -> Caps {
        let files = files.saturating_sub(OWN_FILES);
        let eighths =
            |parts: u64| usize::try_from((files / 8 * parts).max(1)).unwrap_or(usize::MAX);
        Caps {
            requests: self.requests.min(eighths(1)),
            connections: self.connections.min(eighths(6)),
            sockets: self.sockets.min(eighths(6)),
            ..self
        }
    }

    /// Files that all of this may need at once.
    pub fn files(&self) -> u64 {
        let shared = (8 * self.connections as u64)
            .div_ceil(6)
            .max(8 * self.requests as u64);
        OWN_FILES + shared
    }

    /// As of a machine with memory enough for all.
    pub const ROOMY: Caps = Caps {
        requests: REQUESTS_MAX as usize,
        bodies: BODIES_BYTES_MAX as usize,
        answers: ANSWERS_BYTES_MAX,
        unsent: UNSENT_BYTES_MAX,
        connections: CONNECTIONS_MAX as usize,
        sockets: SOCKETS_MAX as usize,
        cache: CACHE_BYTES_MAX,
        transactions: TRANSACTIONS_MAX as usize,
        transaction_bytes: TRANSACTION_BYTES_MAX as usize,
    };

    /// The longest body of a request: so that several find room beside one another.
    pub fn body_max(&self) -> usize {
        self.bodies / 4
    }
}

fn places_of(places: u64, max: u64) -> usize {
    usize::try_from(places.clamp(1, max)).unwrap_or(usize::MAX)
}

/// What the settings say, as far as it takes memory and files.
#[derive(Clone, Copy, Debug)]
pub struct CapInputs {
    /// Bytes; `None`: what there is.
    pub memory: Option<u64>,
    /// The longest body of a request, in bytes.
    pub body_max: usize,
    /// Clients' sockets at once.
    pub sockets: usize,
}

/// What there is less of than the settings or the caps need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapShortage {
    /// The program itself wants so many bytes.
    Room {
        /// The memory that there is, in bytes.
        there: u64,
        /// What the program can't do without, in bytes: [`MEMORY_MIN`].
        least: u64,
    },
    /// Bytes that the settings say are there.
    Memory {
        /// The memory that there is, in bytes.
        there: u64,
        /// The memory that the settings count with, in bytes.
        wanted: u64,
    },
    /// Memory for a body so long, in bytes.
    Body {
        /// The longest body that there is room for, in bytes.
        room: usize,
        /// The longest body that the settings allow, in bytes.
        wanted: usize,
    },
    /// Memory, or files, for so many sockets.
    Sockets {
        /// Clients' sockets that there is room for at once.
        room: usize,
        /// Clients' sockets that the settings allow at once.
        wanted: usize,
    },
    /// Open files for all that memory has room for.
    Files {
        /// Files that may be open at once.
        there: u64,
        /// Files that would be open at once if all places were taken.
        wanted: u64,
    },
}

/// What a machine with so much memory (in bytes) lacks, and where so many files may be open.
pub fn lacks(inputs: CapInputs, memory: u64, files: u64) -> Vec<CapShortage> {
    let counted_with = inputs.memory.unwrap_or(memory);
    let caps = Caps::of(counted_with);
    let (wanted_files, sockets) = (caps.files(), caps.with_files(files).sockets);
    let lacks = [
        (memory < MEMORY_MIN).then_some(CapShortage::Room {
            there: memory,
            least: MEMORY_MIN,
        }),
        (counted_with > memory).then_some(CapShortage::Memory {
            there: memory,
            wanted: counted_with,
        }),
        (inputs.body_max > caps.body_max()).then_some(CapShortage::Body {
            room: caps.body_max(),
            wanted: inputs.body_max,
        }),
        (inputs.sockets > sockets).then_some(CapShortage::Sockets {
            room: sockets,
            wanted: inputs.sockets,
        }),
        (files < wanted_files).then_some(CapShortage::Files {
            there: files,
            wanted: wanted_files,
        }),
    ];
    lacks.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn much_memory_has_room_for_all_and_little_for_some() {
        assert_eq!(Caps::of(128 << 30), Caps::ROOMY);
        let caps = Caps::of(64 * MIB);
        assert_eq!((caps.bodies, caps.answers), (6_710_884, 6_710_884));
        assert_eq!(
            (caps.requests, caps.connections, caps.sockets),
            (204, 136, 51)
        );
        let caps = Caps::of(256 * MIB);
        assert_eq!((caps.requests, caps.connections), (1228, 819));
        let caps = Caps::of(2048 * MIB);
        assert_eq!((caps.requests, caps.connections), (9830, 6553));
        assert_eq!(caps.bodies, 322_122_544);
    }

    #[test]
    fn what_is_kept_is_a_tenth_or_what_is_wanted_and_then_the_rest_has_less() {
        let kept = |memory, wanted| Caps::with_cache(memory, wanted).cache;
        assert_eq!(kept(100 * MIB, None), 10 * MIB);
        assert_eq!(kept(4096 * MIB, None), 64 * MIB);
        assert_eq!(kept(100 * MIB, Some(0)), 0);
        assert_eq!(kept(100 * MIB, Some(50 * MIB)), 50 * MIB);
        assert_eq!(
            kept(100 * MIB, Some(51 * MIB)),
            50 * MIB,
            "no more than half"
        );
        let [usual, less, more] = [None, Some(MIB), Some(512 * MIB)]
            .map(|wanted| Caps::with_cache(1024 * MIB, wanted).bodies);
        assert_eq!(usual, less, "it is of our own share");
        assert!(more < usual);
    }

    #[test]
    fn transactions_are_remembered_as_far_as_memory_goes() {
        let room = |memory| {
            let caps = Caps::of(memory);
            (caps.transactions, caps.transaction_bytes)
        };
        assert_eq!(room(64 * MIB), (2048, 256 << 10));
        assert_eq!(room(1024 * MIB), (32_768, 4 << 20));
        assert_eq!(room(2048 * MIB), (65_536, 8 << 20));
        assert_eq!(room(64 << 30), (65_536, 8 << 20));
    }

    #[test]
    fn few_files_have_room_for_few() {
        let caps = Caps::ROOMY.with_files(OWN_FILES + 800);
        assert_eq!(
            (caps.requests, caps.connections, caps.sockets),
            (100, 600, 600)
        );
        assert_eq!(
            Caps::ROOMY.with_files(Caps::ROOMY.files()).connections,
            Caps::ROOMY.connections
        );
        assert_eq!(Caps::ROOMY.with_files(0).connections, 1);
    }

    #[test]
    fn what_there_is_too_little_of_is_named_with_numbers() {
        let inputs = CapInputs {
            memory: None,
            body_max: 5 << 20,
            sockets: 100,
        };
        let files = Caps::ROOMY.files();
        assert_eq!(lacks(inputs, 16 << 30, files), []);
        let wanted = Caps::of(16 << 30).files();
        assert_eq!(lacks(inputs, 16 << 30, wanted), []);
        let there = wanted - 1;
        assert_eq!(
            lacks(inputs, 16 << 30, there),
            [CapShortage::Files { there, wanted }]
        );
        let few = lacks(inputs, 16 << 30, 300);
        assert_eq!(
            few[0],
            CapShortage::Sockets {
                room: 30,
                wanted: 100
            }
        );
        let promised = CapInputs {
            memory: Some(2 << 30),
            ..inputs
        };
        assert_eq!(
            lacks(promised, (2 << 30) - 1, files),
            [CapShortage::Memory {
                there: (2 << 30) - 1,
                wanted: 2 << 30
            }]
        );
        assert_eq!(lacks(promised, 2 << 30, files), []);
        assert_eq!(
            lacks(inputs, MEMORY_MIN, files),
            [
                CapShortage::Body {
                    room: 1_677_721,
                    wanted: 5 << 20
                },
                CapShortage::Sockets {
                    room: 51,
                    wanted: 100
                }
            ]
        );
        let least = lacks(inputs, MEMORY_MIN - 1, files)[0];
        assert!(matches!(least, CapShortage::Room { .. }));
    }

    proptest! {
        #[test]
        fn all_caps_together_stay_below_what_there_is(memory in 8 * MIB..(1u64 << 42)) {
            let caps = Caps::of(memory);
            let held = caps.bodies as u64 + caps.answers + caps.unsent
                + caps.requests as u64 * REQUEST_BYTES
                + caps.connections as u64 * CONNECTION_BYTES
                + caps.sockets as u64 * SOCKET_BYTES;
            let own = OWN_BYTES_MIN.min(memory / 2);
            prop_assert!(held + own <= memory, "{caps:?}");
            let remembered = caps.transactions as u64 * TRANSACTION_BYTES + caps.transaction_bytes as u64;
            prop_assert!(caps.cache + remembered <= own.max(memory / OWN_PART), "{caps:?}");
        }

        #[test]
        fn more_memory_is_never_less_room(memory in 8 * MIB..(1u64 << 36), more in 0u64..(1 << 36)) {
            let (less, more) = (Caps::of(memory), Caps::of(memory + more));
            prop_assert!(less.bodies <= more.bodies && less.requests <= more.requests);
            prop_assert!(less.connections <= more.connections && less.sockets <= more.sockets);
        }
    }
}
