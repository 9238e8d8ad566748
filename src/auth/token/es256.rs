//! Keys for ES256: private keys from a PEM file, and public keys as verifiers know them (RFC 7517).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use pem::Pem;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// The PEM labels of private keys: PKCS#8, and SEC1 as `openssl ecparam -genkey` writes it.
const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";

/// The start of a PKCS#8 structure (RFC 5208) before the SEC1 key that it contains: version 0 and the algorithm, an elliptic curve with
/// the curve P-256 (RFC 5480).
const PKCS8_P256: [u8; 24] = [
    0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
];

/// The start of a public key in a SEC1 key (RFC 5915): a bit string with an uncompressed point.
const POINT_START: [u8; 4] = [0x03, 0x42, 0x00, 0x04];

/// Object identifiers of other kinds of keys, for error messages (RFC 8017, 5480 and 8410, and SEC 2).
const OTHER_KINDS: [(&[u8], &str); 6] = [
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
        "an RSA key",
    ),
    (&[0x2b, 0x81, 0x04, 0x00, 0x22], "a key of the curve P-384"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "a key of the curve P-521"),
    (
        &[0x2b, 0x81, 0x04, 0x00, 0x0a],
        "a key of the curve secp256k1",
    ),
    (&[0x2b, 0x65, 0x70], "an Ed25519 key"),
    (&[0x2b, 0x65, 0x71], "an Ed448 key"),
];

/// How to get a key for ES256.
pub const GENERATE_HINT: &str = "`signet secret generate --algorithm es256` prints a private key";

/// A private key for ES256. `Debug` prints only its ID.
#[derive(Clone)]
pub struct PrivateKey {
    /// The public key.
    pub public: PublicKey,
    pub(super) signing: EncodingKey,
}

/// A public key for ES256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The ID: the thumbprint of the key (RFC 7638).
    pub kid: String,
    /// The first coordinate, in base64url.
    pub x: String,
    /// The second coordinate, in base64url.
    pub y: String,
}

impl PrivateKey {
    /// Parses the private keys of a PEM file, in the order of the file.
    ///
    /// # Errors
    /// If the file contains no key, or a key that cannot be used.
    pub fn parse_all(file: &[u8]) -> Result<Vec<Self>, Problem> {
        let blocks = pem::parse_many(file).unwrap_or_default();
        // The parser skips damaged blocks. A key that is missing in a part of a file would sign too early or not at all.
        let text = String::from_utf8_lossy(file);
        let marks = ["-----BEGIN", "-----END"].map(|mark| text.matches(mark).count());
        if marks != [blocks.len(); 2] {
            return Err(damaged("a PEM block is damaged or incomplete"));
        }
        let mut keys: Vec<Self> = Vec::new();
        // OpenSSL writes the name of the curve before a key in SEC1.
        for block in blocks.iter().filter(|block| block.tag() != "EC PARAMETERS") {
            let key = Self::parse(block)?;
            if keys.iter().any(|other| other.public == key.public) {
                return Err(Problem::new("the same key twice").hint("remove one of the two keys"));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(unusable("no private key in PEM"));
        }
        Ok(keys)
    }

    fn parse(block: &Pem) -> Result<Self, Problem> {
        let contents = block.contents();
        // The headers of an encrypted key in SEC1 (RFC 1421).
        let has_headers = block.headers().iter().next().is_some();
        match block.tag() {
            PKCS8 if !has_headers => Self::from_pkcs8(contents),
            SEC1 if !has_headers => Self::from_pkcs8(&pkcs8_of_sec1(contents)),
            PKCS8 | SEC1 | "ENCRYPTED PRIVATE KEY" => Err(Problem::new("the key is encrypted")
                .hint("decrypt the key with `openssl pkey -in FILE -out NEW_FILE`")),
            "PUBLIC KEY" | "CERTIFICATE" => Err(unusable(
                "a public key or a certificate, and not a private key",
            )),
            "RSA PRIVATE KEY" => Err(other_kind("an RSA key")),
            _ => Err(unusable("no private key in PEM")),
        }
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Problem> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &SystemRandom::new());
        let pair = pair.map_err(|_| fault_of(pkcs8))?;
        // The public key is a point of the curve (SEC1 section 2.3.3): `4`, and the coordinates of 32 bytes each.
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        Ok(Self {
            public: PublicKey::new(x, y),
            signing: EncodingKey::from_ec_der(pkcs8),
        })
    }

    /// Generates a key.
    ///
    /// # Panics
    /// If the system has no random numbers.
    #[must_use]
    pub fn generate() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new());
        let pkcs8 = pkcs8.expect("the system has random numbers");
        Self::from_pkcs8(pkcs8.as_ref()).expect("the key is valid")
    }

    /// Returns the key in PEM (PKCS#8).
    #[must_use]
    pub fn to_pem(&self) -> String {
        let line_break = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&Pem::new(PKCS8, self.signing.as_bytes()), line_break)
    }
}

impl PublicKey {
    /// Creates a key from its coordinates in base64url.
    pub(super) fn new(x: String, y: String) -> Self {
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(members));
        Self { kid, x, y }
    }
}

/// Returns the PKCS#8 structure of a key in SEC1. The lengths are right for keys of the curve P-256, which have at most 121 bytes.
fn pkcs8_of_sec1(sec1: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u8::try_from(bytes).unwrap_or(u8::MAX);
    let key = [&[0x04, length(sec1.len())], sec1].concat();
    let contents = [&PKCS8_P256[..], &key].concat();
    [&[0x30, 0x81, length(contents.len())], &contents[..]].concat()
}

/// Returns why a key in PKCS#8 cannot be used.
fn fault_of(pkcs8: &[u8]) -> Problem {
    let contains = |bytes: &[u8]| pkcs8.windows(bytes.len()).any(|window| window == bytes);
    match OTHER_KINDS.into_iter().find(|(id, _)| contains(id)) {
        Some((_, kind)) => other_kind(kind),
        None if contains(&PKCS8_P256) && !contains(&POINT_START) => Problem::new(
            "the private key does not contain its public key as an uncompressed point",
        )
        .hint(
            "add the public key with `openssl ec -in FILE -conv_form uncompressed -out NEW_FILE`",
        ),
        None => unusable("the key is damaged, or of another kind"),
    }
}

fn other_kind(kind: &str) -> Problem {
    unusable(&format!("{kind}, and ES256 needs a key of the curve P-256"))
}

fn unusable(message: &str) -> Problem {
    Problem::new(message).hint(GENERATE_HINT)
}

fn damaged(message: &str) -> Problem {
    Problem::new(message).hint("copy the whole file again")
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 7515 appendix A.3, as OpenSSL writes it.
    const RFC_7515_SEC1: &str = "-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49
AwEHoUQDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72b
focs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
-----END EC PRIVATE KEY-----
";

    #[test]
    fn sec1_and_pkcs8_are_the_same_key() {
        let keys = PrivateKey::parse_all(RFC_7515_SEC1.as_bytes()).unwrap();
        let public = &keys[0].public;
        assert_eq!(public.x, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        assert_eq!(public.y, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let pkcs8 = keys[0].to_pem();
        assert!(pkcs8.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let again = PrivateKey::parse_all(pkcs8.as_bytes()).unwrap();
        assert_eq!(again[0].public, *public);
        let twice = [RFC_7515_SEC1, &pkcs8].concat();
        let error = PrivateKey::parse_all(twice.as_bytes()).unwrap_err();
        assert_eq!(error.message, "the same key twice");
    }

    #[test]
    fn generated_keys_differ() {
        let pem = [(); 2].map(|()| PrivateKey::generate().to_pem()).concat();
        let keys = PrivateKey::parse_all(pem.as_bytes()).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].public.kid.len(), 43);
    }
}
