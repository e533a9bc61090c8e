//! Answers that are published: what we call Ed25519, SHA-256 and BLAKE3 is what everybody calls so. Others stand beside
//! what they belong to: XChaCha20-Poly1305 (`seal`), Argon2id (`account_passwords`), thumbprints and signatures in JWS
//! (`node_key`, `proof`), Merkle trees (`receipts`).

use secrecy::SecretString;
use taosync_model::Digest;
use taosync_vault::node_key::{NodeKey, verify};
use taosync_vault::tokens::TokenHash;

/// RFC 8032 §7.1, tests 1 to 3 and "SHA(abc)": secret key, public key, message, signature.
const ED25519: [[&str; 4]; 4] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
];

/// The test vectors of BLAKE3: bytes of input, hash. The input counts from 0 to 250 and begins again.
const BLAKE3: [(usize, &str); 5] = [
    (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
    (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
    (1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"),
    (1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
    (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
];

#[test]
fn signatures_are_those_of_rfc_8032() {
    for [secret, public, message, signature] in ED25519.map(|row| row.map(|hex| hex::decode(hex).unwrap())) {
        let key = NodeKey::from_seed(&secret.try_into().unwrap());
        assert_eq!(key.public().to_vec(), public);
        assert_eq!(key.sign(&message).to_vec(), signature);
        verify(&key.public(), &message, &signature).unwrap();
    }
}

#[test]
fn digests_are_those_of_blake3() {
    for (length, expected) in BLAKE3 {
        let input: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        assert_eq!(Digest::of(&input).to_hex(), expected, "{length} bytes");
    }
}

/// FIPS 180-2, appendix B.2.
#[test]
fn token_hashes_are_sha_256() {
    let text = SecretString::from("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
    assert_eq!(hex::encode(TokenHash::of(&text)), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}
