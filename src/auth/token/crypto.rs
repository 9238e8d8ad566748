//! A crypto provider for `jsonwebtoken` with HS256 and ES256 only.
//!
//! The crate's own providers also support RSA and further curves, which this service must never accept.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{self, Signer, Verifier},
};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
    },
};
use sha2::Sha256;

/// Installs the provider for the whole process. A second call has no effect.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| signer(*algorithm, key),
        verifier_factory: |algorithm, key| verifier(*algorithm, key),
        key_utils: KeyUtils::new_unimplemented(),
    };
    let _ = PROVIDER.install_default();
}

fn signer(algorithm: Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    match algorithm {
        Algorithm::HS256 => {
            let mac = mac(key.as_bytes())?;
            let sign = move |message: &[u8]| {
                let mac = mac.clone().chain_update(message).finalize();
                Some(mac.into_bytes().to_vec())
            };
            Ok(Box::new(Key(algorithm, sign)))
        }
        Algorithm::ES256 => {
            let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
            let pair = EcdsaKeyPair::from_pkcs8(kind, key.as_bytes(), &random)
                .map_err(|_| ErrorKind::InvalidEcdsaKey)?;
            let sign = move |message: &[u8]| {
                let signature = pair.sign(&random, message).ok()?;
                Some(signature.as_ref().to_vec())
            };
            Ok(Box::new(Key(algorithm, sign)))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

fn verifier(algorithm: Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let key = key.try_get_as_bytes()?;
    match algorithm {
        Algorithm::HS256 => {
            let mac = mac(key)?;
            // Compares in constant time.
            let verify = move |message: &[u8], signature: &[u8]| {
                let mac = mac.clone().chain_update(message);
                mac.verify_slice(signature).is_ok()
            };
            Ok(Box::new(Key(algorithm, verify)))
        }
        Algorithm::ES256 => {
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.to_vec());
            let verify =
                move |message: &[u8], signature: &[u8]| key.verify(message, signature).is_ok();
            Ok(Box::new(Key(algorithm, verify)))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

fn mac(key: &[u8]) -> Result<Hmac<Sha256>> {
    Hmac::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat.into())
}

/// A function that signs or verifies with a key, and its algorithm.
struct Key<F>(Algorithm, F);

impl<F: Fn(&[u8]) -> Option<Vec<u8>>> Signer<Vec<u8>> for Key<F> {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        self.1(message).ok_or_else(signature::Error::new)
    }
}

impl<F: Fn(&[u8], &[u8]) -> bool> Verifier<Vec<u8>> for Key<F> {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        let is_valid = self.1(message, signature);
        is_valid.then_some(()).ok_or_else(signature::Error::new)
    }
}

impl<F: Fn(&[u8]) -> Option<Vec<u8>>> JwtSigner for Key<F> {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}

impl<F: Fn(&[u8], &[u8]) -> bool> JwtVerifier for Key<F> {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}
