//! Keys as providers publish them (RFC 7517; RFC 7518, 6; RFC 8037, 2).
//!
//! 1. A key is for signatures (`use`, `key_ops`), of a kind and curve that is known, and its `alg`,
//!    if it has one, is one of that kind.
//! 2. RSA has 2048 to 4096 bits (RFC 7518, 3.3: at least 2048) and an odd exponent; the coordinates
//!    of an elliptic curve have the length of its field and are a point on it; a symmetric key is
//!    as long as its hash at least (RFC 7518, 3.2).
//! 3. A private key in a set is refused: it is not private any more.
//! 4. A `kid` comes once.
//! 5. In a configuration, a key that breaks a rule is an error. In a set that was fetched it is left
//!    out, with a warning; a set without any key that is left is no set.
//! 6. Symmetric keys are taken from a configuration alone, and only where it names an algorithm for
//!    them ([`Symmetric`]).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use rsa::pkcs8::EncodePublicKey;
use rsa::traits::PublicKeyParts;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Family};
use super::der;
use crate::config::{Invalid, json};

/// More keys than this is no set of keys.
const MOST_KEYS: usize = 256;

/// A set of keys.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A key that signatures can be checked with.
#[derive(Clone)]
pub struct Key {
    id: Option<String>,
    family: Family,
    /// The only algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    pub(super) material: Material,
    /// As a `SubjectPublicKeyInfo` (RFC 5280), for the proxy; empty for symmetric keys.
    pub(super) public: Vec<u8>,
    /// The bytes of a signature; zero where that depends on the algorithm.
    pub(super) signature_len: usize,
}

/// A key in the form in which a library takes it.
#[derive(Clone)]
pub(super) enum Material {
    Library(DecodingKey),
    P521(Box<p521::ecdsa::VerifyingKey>),
}

/// Whether a set may have symmetric keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetric {
    /// It may: it stands in a configuration, which names an algorithm for them.
    Allowed,
    /// It may not.
    Refused,
}

impl KeySet {
    /// A set that stands in a configuration.
    pub fn of_configuration(set: &Value, symmetric: Symmetric) -> Result<Self, Invalid> {
        let (set, faults) = Self::read(set, symmetric).map_err(|why| Invalid::at("", why))?;
        match faults.into_iter().next() {
            Some((index, why)) => Err(Invalid::at(format!("keys[{index}]"), why)),
            None => Ok(set),
        }
    }

    /// A set that was fetched; what is wrong with the keys that were left out.
    pub fn of_provider(text: &[u8]) -> Result<(Self, Vec<String>), String> {
        let set = json::parse(text).map_err(|error| error.to_string())?;
        let (set, faults) = Self::read(&set, Symmetric::Refused)?;
        let faults = faults.into_iter().map(|(index, why)| format!("keys[{index}]: {why}"));
        let faults: Vec<_> = faults.collect();
        if set.keys.is_empty() {
            return Err(faults.into_iter().next().unwrap_or_else(|| "it has no key".into()));
        }
        Ok((set, faults))
    }

    /// The keys that a token of this algorithm and `kid` may be signed with. A key without an id may
    /// be the one of any token, and a token without one may be of any key.
    pub fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| {
            let same = match (key.id.as_deref(), id) {
                (Some(one), Some(other)) => one == other,
                _ => true,
            };
            same && key.is_for(algorithm)
        })
    }

    /// How many keys there are.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn read(set: &Value, symmetric: Symmetric) -> Result<(Self, Vec<(usize, String)>), String> {
        let Some(Value::Array(list)) = set.get("keys") else {
            return Err("is no key set: it has no list `keys`".into());
        };
        if list.len() > MOST_KEYS {
            return Err(format!("has more than {MOST_KEYS} keys"));
        }
        let (mut keys, mut faults): (Vec<Key>, _) = (Vec::new(), Vec::new());
        for (index, key) in list.iter().enumerate() {
            match Key::read(key, symmetric) {
                Ok(key) if key.id.is_some() && keys.iter().any(|known| known.id == key.id) => {
                    faults.push((index, "has a `kid` that another key has".into()));
                }
                Ok(key) => keys.push(key),
                Err(why) => faults.push((index, why)),
            }
        }
        Ok((Self { keys }, faults))
    }
}

impl Key {
    /// Whether it may be used with an algorithm.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        self.family == algorithm.family() && self.algorithm.is_none_or(|only| only == algorithm)
    }

    fn read(key: &Value, symmetric: Symmetric) -> Result<Self, String> {
        let Value::Object(key) = key else { return Err("is not an object".into()) };
        check_purpose(key)?;
        let id = text(key, "kid")?.map(str::to_owned);
        let algorithm = match text(key, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::named(name).ok_or("has an `alg` that is not known")?),
        };
        let kind = text(key, "kty")?.ok_or("has no `kty`")?;
        if kind != "oct" && ["d", "p", "q", "dp", "dq", "qi"].iter().any(|d| key.contains_key(*d)) {
            return Err("is a private key".into());
        }
        let parts = match (kind, text(key, "crv")?) {
            ("RSA", _) => rsa(key)?,
            ("EC", Some("P-256")) => p256(&point(key, 32)?)?,
            ("EC", Some("P-384")) => p384(&point(key, 48)?)?,
            ("EC", Some("P-521")) => p521(&point(key, 66)?)?,
            ("OKP", Some("Ed25519")) => ed25519(&bytes(key, "x")?)?,
            ("oct", _) if symmetric == Symmetric::Allowed => hmac(&bytes(key, "k")?, algorithm)?,
            ("oct", _) => return Err("is a symmetric key, which has no place in this set".into()),
            ("EC" | "OKP", Some(_)) => return Err("is on a curve that is not known".into()),
            ("EC" | "OKP", None) => return Err("has no `crv`".into()),
            _ => return Err("has a `kty` that is not known".into()),
        };
        let Parts { family, material, public, signature_len } = parts;
        if algorithm.is_some_and(|algorithm| algorithm.family() != family) {
            return Err("has an `alg` that is not for keys of its kind".into());
        }
        Ok(Self { id, family, algorithm, material, public, signature_len })
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

struct Parts {
    family: Family,
    material: Material,
    public: Vec<u8>,
    signature_len: usize,
}

fn check_purpose(key: &Map<String, Value>) -> Result<(), String> {
    if text(key, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err("is not for signatures: its `use` is another".into());
    }
    match key.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|name| name == "verify") => Ok(()),
        Some(_) => Err("is not for signatures: its `key_ops` have no `verify`".into()),
    }
}

fn text<'a>(key: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match key.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("has a `{name}` that is no text")),
    }
}

fn bytes(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = text(key, name)?.ok_or_else(|| format!("has no `{name}`"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("has a `{name}` that is no base64url"))
}

/// A point of a curve, uncompressed (SEC 1, 2.3.3).
fn point(key: &Map<String, Value>, len: usize) -> Result<Vec<u8>, String> {
    let (x, y) = (bytes(key, "x")?, bytes(key, "y")?);
    if x.len() != len || y.len() != len {
        return Err("has coordinates of the wrong length".into());
    }
    Ok([&[4], &*x, &*y].concat())
}

const NO_POINT: &str = "is not a point on its curve";

fn p256(point: &[u8]) -> Result<Parts, String> {
    p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| NO_POINT)?;
    let material = Material::Library(DecodingKey::from_ec_der(point));
    let public = [der::P256, point].concat();
    Ok(Parts { family: Family::P256, material, public, signature_len: 64 })
}

fn p384(point: &[u8]) -> Result<Parts, String> {
    p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| NO_POINT)?;
    let material = Material::Library(DecodingKey::from_ec_der(point));
    let public = [der::P384, point].concat();
    Ok(Parts { family: Family::P384, material, public, signature_len: 96 })
}

fn p521(point: &[u8]) -> Result<Parts, String> {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| NO_POINT)?;
    let public = [der::P521, point].concat();
    let material = Material::P521(Box::new(key));
    Ok(Parts { family: Family::P521, material, public, signature_len: 132 })
}

fn rsa(key: &Map<String, Value>) -> Result<Parts, String> {
    let (n, e) = (bytes(key, "n")?, bytes(key, "e")?);
    let number = rsa::BigUint::from_bytes_be;
    let bits = number(&n).bits();
    if !(2048..=4096).contains(&bits) {
        return Err(format!("has {bits} bits; an RSA key has 2048 to 4096"));
    }
    if n.last().is_none_or(|last| last & 1 == 0) {
        return Err("has an even modulus".into());
    }
    let public = rsa::RsaPublicKey::new(number(&n), number(&e))
        .map_err(|_| "has an exponent that no RSA key has")?;
    let material = Material::Library(DecodingKey::from_rsa_raw_components(&n, &e));
    let der = public.to_public_key_der().map_err(|_| "cannot be written down")?.into_vec();
    Ok(Parts { family: Family::Rsa, material, public: der, signature_len: public.size() })
}

fn ed25519(x: &[u8]) -> Result<Parts, String> {
    let bytes = x.try_into().map_err(|_| "has an `x` of the wrong length")?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| NO_POINT)?;
    if key.is_weak() {
        return Err("is a point of small order".into());
    }
    let material = Material::Library(DecodingKey::from_ed_der(x));
    Ok(Parts { family: Family::Ed25519, material, public: Vec::new(), signature_len: 64 })
}

fn hmac(key: &[u8], algorithm: Option<Algorithm>) -> Result<Parts, String> {
    let algorithm = algorithm.ok_or("has no `alg`, which a symmetric key needs")?;
    let least = algorithm.hash_len();
    if key.len() < least {
        return Err(format!("is shorter than the {least} bytes that {} needs", algorithm.name()));
    }
    let material = Material::Library(DecodingKey::from_secret(key));
    Ok(Parts { family: Family::Symmetric, material, public: Vec::new(), signature_len: 0 })
}
