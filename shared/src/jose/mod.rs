//! Signed tokens: JWS in its compact form, JWT, and the keys that they are checked with.
//!
//! RFC 7515 (JWS), 7517 (JWK), 7518 (algorithms), 7519 (JWT), 8037 (EdDSA), 8725 (best practice).
//!
//! 1. A [`Token`] is read strictly before anything is believed of it.
//! 2. A [`Key`] says which algorithms it is for; the token's `alg` only picks among those that the
//!    key and the configuration both allow. No key is ever taken from a token.
//! 3. Signatures are checked by the proxy's own cryptography where it has it ([`Crypto`]), else by
//!    `jsonwebtoken` with pure-Rust libraries behind it, and `p521`, which that does not have.
//! 4. [`Claims`] are looked at after the signature ([`Expected`]).
//! 5. A [`Keyring`] keeps the keys of a provider fresh, one fetch for all workers.
//! 6. An ID token is a token of which more is asked ([`IdToken`]).

mod algorithm;
mod claims;
mod crypto;
mod der;
mod id_token;
mod jwk;
mod keyring;
mod known;
mod mapping;
mod provider;
mod remote;
#[cfg(test)]
mod tests;
mod token;

pub use algorithm::{Algorithm, Family};
pub use claims::{Claims, Expected, Unexpected};
pub use crypto::Crypto;
pub use id_token::{IdToken, Unbound};
pub use jwk::{Key, KeySet, Symmetric};
pub use keyring::{Asked, Check, Fetch, Keyring, Lookup, Step};
pub use mapping::{Ambiguous, Mapping, MappingConfig, check_scopes};
pub use remote::{Discovery, Place, Remote, Url};
pub use token::{Malformed, Token};
