//! Transactions of each type, signed by eth-account 0.14 with a development key known to everyone:
//! their senders, and how they are shown.

use serde_json::{Value, json};

use super::*;
use crate::vocabulary::chain::ChainId;

const SENDER: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

/// The chain, the raw transaction and its hash.
#[rustfmt::skip]
const SIGNED: &[(Option<u64>, &str, &str)] = &[
    (None, "f86507847735940082c3509400000000000000000000000000000000000000bb0582abcd1ba018fdc904d9d320f81f189802698e0cf6d355666bc2b8d0585ac70700bed068e8a02bf9bdc0075bb5ea7b3c5bdd652a38d6798f96821d5fb2de9c981eec6163f7e6", "7dd69d08bfeeaae34f21b6cd425c8dd18ac94206540da9ae867afb26d4ed7727"),
    (Some(1), "f86507847735940082c3509400000000000000000000000000000000000000bb0582abcd26a028f28d5aacb0795c346b57f2ca3b04211a96acfa912561e07c10d79e833dd1cea064ef418b51e8ebd26f4cda608acea73f122ea04882c1057eded494101f92e213", "fe170c15037b96ffbbf9b035d005683232d77e1aa1cf0a6d41ca819c255c0f5f"),
    (Some(1), "01f8a00107847735940082c3509400000000000000000000000000000000000000bb0582abcdf838f7941111111111111111111111111111111111111111e1a0222222222222222222222222222222222222222222222222222222222222222280a0890bd35b262d0874cc8a1da3ca29c66800a45a1feffec008df3c44623c55ed8ba03df4ddfaffac4e03ca77cc9e42abe13b69a924f730be17d4663769b166e3ca44", "bb8757f756b7f36493b06b39b89b4ce93d83c65025d8f01503c26ab2f085976d"),
    (Some(1), "02f86c0107843b9aca00847735940082c3509400000000000000000000000000000000000000bb0582abcdc001a0dee219576388fce9c089211e1bfe5b6cf7102f7102c2af101b0df588dd2983b3a07052bae39faefc07f20927a45b5217a5fd2b0be17ed6369df4874746d5c2dcd5", "61f0c89cd28bd2c713de287e403c729f706e52204b8f11b706b029aee8e8798b"),
    (Some(137), "02f86d818907843b9aca00847735940082c3509400000000000000000000000000000000000000bb0582abcdc001a07c2cd069497cf31bf61e5c84d0a7d0107836078767ee0864730d04b2d8e7d04ea05d7df833d8db20dcd7f4acfb4c31e82953746b108dd9033e9cd75efcf3b9d887", "fbc622d8faa8ad04e83df02cfdf46bb2c64381c56a728c245febdd0e986bccb0"),
    (Some(1), "03f8c80107843b9aca00847735940082c3509400000000000000000000000000000000000000bb0582abcdf838f7941111111111111111111111111111111111111111e1a0222222222222222222222222222222222222222222222222222222222222222203e1a0013333333333333333333333333333333333333333333333333333333333333380a0daa85af46b5ecffe57e56f1076d391b73f03d5f7b0ced17327f5848f0f14764fa01566ea15870ad9ffea961a4073d152b613a693b8ba3e230b33c31dc454661bb9", "632fc8dd9522e58da8b7dcc7d7482114442e8444ba239b3568c23f47bed5125d"),
    (Some(1), "04f8ca0107843b9aca00847735940082c3509400000000000000000000000000000000000000bb0582abcdc0f85cf85a019444444444444444444444444444444444444444440880a00851f02afee08559a63700b306bcd3129344bab8c43790370c565151cd984aafa03a827dcff329f5935be2555ec6ee15e69990f9e8c3a08d183f0d712fe1db033801a05d7b01d289d849590e73726df5a68363cd08d962a9fef5fe820dffdf7c541ecda02aa604a02f8d92fbde0049c3f43887423926e5f921bcf979ee6431ea40e32cba", "fea563323ad54d4ad075ae303262b38bc2bcc29b28e3a2571d703de6ad027c08"),
];

fn raw(digits: &str) -> Vec<u8> {
    ::hex::decode(digits).unwrap()
}

fn shown_of(digits: &str) -> Value {
    let raw = raw(digits);
    let signed = read(&raw).unwrap();
    serde_json::from_str(&shown(&raw, hash_of(&raw), signed.sender).unwrap()).unwrap()
}

#[test]
fn the_sender_of_each_type_is_known_by_its_signature() {
    for (chain, digits, hash) in SIGNED {
        let raw = raw(digits);
        let signed = read(&raw).unwrap();
        assert_eq!(signed.sender.to_string(), SENDER, "{digits}");
        assert_eq!((signed.nonce, signed.chain_id), (7, chain.map(ChainId)));
        assert_eq!(hash_of(&raw).to_string(), format!("0x{hash}"));
    }
}

#[test]
fn what_is_cut_off_or_goes_on_or_is_of_another_type_is_none() {
    for (_, digits, _) in SIGNED {
        let whole = raw(digits);
        assert_eq!(read(&whole[..whole.len() - 1]), None);
        assert_eq!(read(&[&whole[..], &[0]].concat()), None);
        for other in [0, 5, 0x7f, 0x80] {
            let mut typed = whole.clone();
            typed[0] = other;
            assert_eq!(read(&typed), None, "type {other}");
        }
    }
    assert_eq!(read(&[]), None);
}

#[test]
fn it_is_shown_as_a_node_shows_one_that_waits_for_a_block() {
    let legacy = shown_of(SIGNED[1].1);
    assert_eq!(
        legacy,
        json!({
            "blockHash": null, "blockNumber": null, "blockTimestamp": null, "transactionIndex": null,
            "from": SENDER, "hash": format!("0x{}", SIGNED[1].2), "type": "0x0", "chainId": "0x1",
            "nonce": "0x7", "gasPrice": "0x77359400", "gas": "0xc350", "value": "0x5",
            "to": "0x00000000000000000000000000000000000000bb", "input": "0xabcd", "v": "0x26",
            "r": "0x28f28d5aacb0795c346b57f2ca3b04211a96acfa912561e07c10d79e833dd1ce",
            "s": "0x64ef418b51e8ebd26f4cda608acea73f122ea04882c1057eded494101f92e213",
        })
    );
    assert_eq!(shown_of(SIGNED[0].1).get("chainId"), None);
    let access = json!([{
        "address": format!("0x{}", "11".repeat(20)),
        "storageKeys": [format!("0x{}", "22".repeat(32))],
    }]);
    assert_eq!(shown_of(SIGNED[2].1)["accessList"], access);
    let dynamic = shown_of(SIGNED[3].1);
    for (name, wanted) in [
        ("type", "0x2"),
        ("maxFeePerGas", "0x77359400"),
        ("maxPriorityFeePerGas", "0x3b9aca00"),
        ("gasPrice", "0x77359400"),
        ("v", "0x1"),
        ("yParity", "0x1"),
    ] {
        assert_eq!(dynamic[name], wanted, "{name}");
    }
    assert_eq!(dynamic["accessList"], json!([]));
    let blob = shown_of(SIGNED[5].1);
    assert_eq!(blob["maxFeePerBlobGas"], "0x3");
    assert_eq!(
        blob["blobVersionedHashes"],
        json!([format!("0x01{}", "33".repeat(31))])
    );
    let code = &shown_of(SIGNED[6].1)["authorizationList"][0];
    assert_eq!(code["address"], format!("0x{}", "44".repeat(20)));
    assert_eq!(
        (&code["nonce"], &code["yParity"]),
        (&json!("0x8"), &json!("0x0"))
    );
}
