//! Chains by the names that they go by: which id each has, how long it is from block to block, and what of its
//! headers isn't as Ethereum's.
//!
//! Names, ids and times are those of alloy-chains 0.2.39 (`assets/chains.json`), without networks that have ended
//! and without local test networks. What we know otherwise is said at its row or alias.

use std::time::Duration;

use crate::vocabulary::chain::ChainId;

/// What is known of a chain before any of its nodes is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownChain {
    /// As alloy-chains writes it; others' names for it are aliases, which [`named`] knows.
    pub name: &'static str,
    /// What its nodes answer to `eth_chainId`.
    pub id: ChainId,
    /// From one block to the next, where that is even.
    pub block_time: Option<Duration>,
}

/// The chain of this name.
pub fn named(name: &str) -> Option<&'static KnownChain> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, name)| *name);
    let at = CHAINS.binary_search_by(|chain| chain.name.cmp(name));
    at.ok().map(|at| &CHAINS[at])
}

/// The chain with this id.
pub fn with_id(id: ChainId) -> Option<&'static KnownChain> {
    CHAINS.iter().find(|chain| chain.id == id)
}

/// Whether headers of this chain leave logs of their block out of the bloom. For all that is known; others that
/// turn out so are believed no more.
pub fn leaves_logs_out_of_blooms(id: ChainId) -> bool {
    BLOOMS_LACK_LOGS.contains(&id.0)
}

const fn row(name: &'static str, id: u64, block_millis: u64) -> KnownChain {
    let block_time = match block_millis {
        0 => None,
        millis => Some(Duration::from_millis(millis)),
    };
    KnownChain {
        name,
        id: ChainId(id),
        block_time,
    }
}

/// Names that others use: those of ethereum-lists (chains, `shortName` and `name`) and of the chains' own documents.
const ALIASES: &[(&str, &str)] = &[
    ("arbitrum-one", "arbitrum"),
    ("bnb", "bsc"),
    ("bnb-testnet", "bsc-testnet"),
    ("eth", "mainnet"),
    ("ethereum", "mainnet"),
    ("filecoin", "filecoin-mainnet"),
    ("gnosis", "xdai"),
    ("gno", "xdai"),
    ("op-mainnet", "optimism"),
    ("op-sepolia", "optimism-sepolia"),
    ("opbnb", "opbnb-mainnet"),
    ("polygon-amoy", "amoy"),
    ("avalanche-fuji", "fuji"),
    ("world-chain", "world"),
    ("zksync-era", "zksync"),
    ("zksync-sepolia", "zksync-testnet"),
];

/// By name. 0 milliseconds: not even, or not known. Ours are the 12 s of Ethereum's own test networks
/// (consensus-specs, `SECONDS_PER_SLOT`) and the 250 ms of Arbitrum's (its documents, "block time").
#[rustfmt::skip]
const CHAINS: &[KnownChain] = &[
    row("abstract", 2_741, 1_000),
    row("abstract-testnet", 11_124, 1_000),
    row("acala", 787, 12_500),
    row("amoy", 80_002, 2_100),
    row("apechain", 33_139, 260),
    row("arbitrum", 42_161, 250),
    row("arbitrum-nova", 42_170, 250),
    row("arbitrum-sepolia", 421_614, 250),
    row("arc", 5_042, 500),
    row("arc-testnet", 5_042_002, 500),
    row("aurora", 1_313_161_554, 1_100),
    row("aurora-testnet", 1_313_161_555, 1_100),
    row("autonomys-nova-testnet", 490_000, 1_000),
    row("avalanche", 43_114, 2_000),
    row("base", 8_453, 2_000),
    row("base-sepolia", 84_532, 2_000),
    row("battlechain", 626, 250),
    row("battlechain-testnet", 627, 250),
    row("berachain", 80_094, 2_000),
    row("berachain-bepolia", 80_069, 2_000),
    row("bitlayer", 200_901, 3_000),
    row("blast", 81_457, 2_000),
    row("blast-sepolia", 168_587_773, 2_000),
    row("bob", 60_808, 2_000),
    row("bob-sepolia", 808_813, 2_000),
    row("boba", 288, 0),
    row("bsc", 56, 450),
    row("bsc-testnet", 97, 450),
    row("canto", 7_700, 5_700),
    row("canto-testnet", 740, 5_700),
    row("celo", 42_220, 1_000),
    row("celo-sepolia", 11_142_220, 1_000),
    row("cfx", 1_030, 500),
    row("cfx-testnet", 71, 500),
    row("chiado", 10_200, 5_000),
    row("core", 1_116, 3_000),
    row("cronos", 25, 5_700),
    row("cronos-testnet", 338, 5_700),
    row("curtis", 33_111, 260),
    row("degen", 666_666_666, 600),
    row("elastos", 20, 5_000),
    row("etherlink", 42_793, 5_000),
    row("fantom", 250, 1_200),
    row("filecoin-calibration-testnet", 314_159, 30_000),
    row("filecoin-mainnet", 314, 30_000),
    row("flare", 14, 1_800),
    row("flare-coston2", 114, 2_500),
    row("fluent", 25_363, 1_000),
    row("fluent-testnet", 20_994, 1_000),
    row("fraxtal", 252, 2_000),
    row("fraxtal-testnet", 2_522, 2_000),
    row("fuji", 43_113, 2_000),
    row("fuse", 122, 5_000),
    row("grav", 127_001, 260),
    row("gravity-alpha-mainnet", 1_625, 260),
    row("gravity-alpha-testnet-sepolia", 13_505, 260),
    row("happychain-testnet", 216, 2_000),
    row("holesky", 17_000, 12_000),
    row("hoodi", 560_048, 12_000),
    row("hyperliquid", 999, 1_000),
    row("hyperliquid-testnet", 998, 1_000),
    row("immutable", 13_371, 2_000),
    row("immutable-testnet", 13_473, 2_000),
    row("injective", 1_776, 700),
    row("injective-testnet", 1_439, 700),
    row("ink", 57_073, 1_000),
    row("ink-sepolia", 763_373, 1_000),
    row("iotex", 4_689, 5_000),
    row("kaia", 8_217, 1_000),
    row("karura", 686, 12_500),
    row("katana", 747_474, 1_000),
    row("kusama", 420_420_418, 2_000),
    row("lens", 232, 1_000),
    row("lens-testnet", 37_111, 1_000),
    row("linea", 59_144, 2_000),
    row("linea-sepolia", 59_141, 2_000),
    row("lisk", 1_135, 2_000),
    row("mainnet", 1, 12_000),
    row("mantle", 5_000, 2_000),
    row("mantle-sepolia", 5_003, 2_000),
    row("megaeth", 4_326, 1_000),
    row("megaeth-testnet", 6_343, 1_000),
    row("memecore", 4_352, 7_000),
    row("merlin", 4_200, 3_000),
    row("metis", 1_088, 0),
    row("mode", 34_443, 2_000),
    row("mode-sepolia", 919, 2_000),
    row("monad", 143, 400),
    row("monad-testnet", 10_143, 400),
    row("moonbase", 1_287, 6_500),
    row("moonbeam", 1_284, 6_500),
    row("moonriver", 1_285, 6_500),
    row("oasis", 26_863, 5_500),
    row("opbnb-mainnet", 204, 1_000),
    row("opbnb-testnet", 5_611, 1_000),
    row("optimism", 10, 2_000),
    row("optimism-sepolia", 11_155_420, 2_000),
    row("pharos", 1_672, 1_000),
    row("pharos-testnet", 688_688, 1_000),
    row("plasma", 9_745, 1_000),
    row("plasma-testnet", 9_746, 1_000),
    row("plume", 98_866, 260),
    row("plume-testnet", 98_867, 260),
    row("polkadot", 420_420_419, 2_000),
    row("polkadot-testnet", 420_420_417, 2_000),
    row("polygon", 137, 2_100),
    row("pulsechain", 369, 10_000),
    row("pulsechain-testnet", 943, 10_101),
    row("radius", 723_487, 500),
    row("radius-testnet", 72_344, 500),
    row("redbelly", 151, 60_000),
    row("redbelly-testnet", 153, 60_000),
    row("robinhood", 4_663, 400),
    row("robinhood-testnet", 46_630, 400),
    row("ronin", 2_020, 3_000),
    row("ronin-testnet", 202_601, 3_000),
    row("rsk", 30, 25_000),
    row("rsk-testnet", 31, 25_000),
    row("scroll", 534_352, 3_000),
    row("scroll-sepolia", 534_351, 3_000),
    row("sei", 1_329, 500),
    row("sei-testnet", 1_328, 500),
    row("sepolia", 11_155_111, 12_000),
    row("shimmer", 148, 5_000),
    row("skale-base", 1_187_947_933, 1_000),
    row("skale-base-sepolia-testnet", 324_705_682, 1_000),
    row("soneium", 1_868, 2_000),
    row("soneium-minato-testnet", 1_946, 2_000),
    row("sonic", 146, 1_000),
    row("sonic-testnet", 14_601, 1_000),
    row("sophon", 50_104, 1_000),
    row("sophon-testnet", 531_050_104, 1_000),
    row("stable-mainnet", 988, 700),
    row("stable-testnet", 2_201, 700),
    row("story", 1_514, 2_500),
    row("superposition", 55_244, 260),
    row("superposition-testnet", 98_985, 260),
    row("taiko", 167_000, 12_000),
    row("taiko-hekla", 167_009, 12_000),
    row("telos", 40, 500),
    row("telos-testnet", 41, 500),
    row("tempo", 4_217, 500),
    row("tempo-moderato", 42_431, 500),
    row("tempo-testnet", 42_429, 500),
    row("unichain", 130, 1_000),
    row("unichain-sepolia", 1_301, 1_000),
    row("vana", 1_480, 6_000),
    row("viction", 88, 2_000),
    row("whitechain-sepolia", 1_874, 1_000),
    row("world", 480, 2_000),
    row("world-sepolia", 4_801, 2_000),
    row("xai", 660_279, 260),
    row("xai-sepolia", 37_714_555_429, 260),
    row("xdai", 100, 5_000),
    row("xdc-mainnet", 50, 2_400),
    row("xdc-testnet", 51, 2_400),
    row("zeta", 7_000, 6_000),
    row("zksync", 324, 1_000),
    row("zksync-testnet", 300, 1_000),
    row("zora", 7_777_777, 2_000),
    row("zora-sepolia", 999_999_999, 2_000),
];

/// Ids of chains whose blooms lack logs, which can't be seen of a single block.
const BLOOMS_LACK_LOGS: &[u64] = &[
    // Polygon, Amoy: those of a state's sync stand in a receipt of bor's own, until Madhugiri (bor,
    // `core/types/bor_receipt.go`), and the block's bloom may be empty beside them (polygon, block 79061984).
    137, 80_002,
    // HyperEVM, its test network: those of system transactions (hl-archive-node/nanoreth, issue 83;
    // subsquid/squid-sdk, pull request 495).
    999, 998,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::chain::ChainName;

    #[test]
    fn names_are_in_order_and_each_name_and_id_stands_once() {
        assert!(CHAINS.is_sorted_by(|one, next| one.name < next.name));
        let mut ids: Vec<u64> = CHAINS.iter().map(|chain| chain.id.0).collect();
        ids.sort_unstable();
        assert!(ids.is_sorted_by(|one, next| one < next));
        for (alias, name) in ALIASES {
            assert!(
                named(name).is_some_and(|chain| chain.name == *name),
                "{name}"
            );
            assert!(CHAINS.iter().all(|chain| chain.name != *alias), "{alias}");
        }
    }

    #[test]
    fn every_name_may_be_a_chains_and_every_time_a_setting() {
        for chain in CHAINS {
            assert!(chain.name.parse::<ChainName>().is_ok(), "{}", chain.name);
            let fits =
                |time| (Duration::from_millis(100)..=Duration::from_secs(600)).contains(&time);
            assert!(chain.block_time.is_none_or(fits), "{}", chain.name);
        }
    }

    #[test]
    fn chains_whose_blooms_lack_logs_are_chains_that_are_known() {
        for name in ["polygon", "amoy", "hyperliquid", "hyperliquid-testnet"] {
            assert!(leaves_logs_out_of_blooms(named(name).unwrap().id), "{name}");
        }
        for id in BLOOMS_LACK_LOGS {
            assert!(with_id(ChainId(*id)).is_some(), "{id}");
        }
        assert!(!leaves_logs_out_of_blooms(ChainId(1)));
    }

    #[test]
    fn well_known_chains_are_known() {
        for (name, id, millis) in [
            ("ethereum", 1, 12_000),
            ("mainnet", 1, 12_000),
            ("base", 8453, 2_000),
            ("op-mainnet", 10, 2_000),
            ("arbitrum", 42_161, 250),
            ("gnosis", 100, 5_000),
            ("polygon", 137, 2_100),
            ("bnb", 56, 450),
            ("filecoin", 314, 30_000),
            ("linea", 59_144, 2_000),
            ("celo", 42_220, 1_000),
            ("sepolia", 11_155_111, 12_000),
        ] {
            let chain = named(name).unwrap();
            let time = Some(Duration::from_millis(millis));
            assert_eq!((chain.id, chain.block_time), (ChainId(id), time), "{name}");
            assert_eq!(with_id(ChainId(id)), Some(chain));
        }
        assert_eq!(named("main").or(named("dev")).or(named("")), None);
        assert_eq!(with_id(ChainId(31_337)), None);
    }
}
