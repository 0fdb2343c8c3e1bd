//! What the browser keeps for us, so that it can neither read nor change it.
//!
//! 1. XChaCha20-Poly1305: its nonces are long enough to be drawn at random for any number of cookies
//!    and of proxies that share a key.
//! 2. A key is derived by HKDF-SHA-256 (RFC 5869) from a configured secret, for one issuer and one
//!    client: what another application of the same secret has sealed does not open.
//! 3. The associated data are the filter, the version of this format, the name of the session, the
//!    application's origin and what was sealed: an attempt to sign in is never a session, and what
//!    the test site has sealed is nothing to the real one.
//! 4. The first key seals, all of them open. Four bytes name the key, so that one is tried.
//! 5. Nothing is sealed under a nonce of zeros: so a proxy looks that fails to give random bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

/// The bytes of a nonce.
pub(crate) const NONCE: usize = 24;
const NAME: usize = 4;

/// The keys.
pub(crate) struct Seal {
    keys: Vec<Key>,
    context: String,
}

struct Key {
    name: [u8; NAME],
    cipher: XChaCha20Poly1305,
}

/// What is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A session.
    Session,
    /// When a session was last used.
    Seen,
    /// An attempt to sign in.
    Attempt,
}

impl Seal {
    /// The keys of these secrets, for cookies of this name on this origin, of this client of this
    /// issuer.
    pub(crate) fn new<'a>(
        secrets: impl Iterator<Item = &'a str>,
        (name, origin): (&str, &str),
        issuer: &str,
        client: &str,
    ) -> Self {
        let of = format!("{}:{issuer}{}:{client}", issuer.len(), client.len());
        let keys = secrets.filter_map(|secret| Key::derive(secret, &of)).collect();
        Self { keys, context: format!("gatehouse oauth2-login v1 {name} {origin}") }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Seals a text, as characters that a cookie may have; `None` where there is no key or no nonce.
    pub(crate) fn seal(&self, kind: Kind, text: &[u8], nonce: [u8; NONCE]) -> Option<String> {
        let key = self.keys.first().filter(|_| nonce != [0; NONCE])?;
        let payload = Payload { msg: text, aad: &self.associated(kind) };
        let sealed = key.cipher.encrypt(XNonce::from_slice(&nonce), payload).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&key.name[..], &nonce, &sealed].concat()))
    }

    /// Opens what was sealed; `None` for anything else.
    pub(crate) fn open(&self, kind: Kind, sealed: &[u8]) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (name, rest) = bytes.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let associated = self.associated(kind);
        let open = |key: &Key| {
            let payload = Payload { msg: sealed, aad: &associated };
            key.cipher.decrypt(XNonce::from_slice(nonce), payload).ok()
        };
        self.keys.iter().filter(|key| key.name == *name).find_map(open)
    }

    fn associated(&self, kind: Kind) -> Vec<u8> {
        let kind = match kind {
            Kind::Session => "session",
            Kind::Seen => "seen",
            Kind::Attempt => "attempt",
        };
        format!("{} {kind}", self.context).into_bytes()
    }
}

impl Key {
    fn derive(secret: &str, of: &str) -> Option<Self> {
        let hkdf = Hkdf::<Sha256>::new(Some(b"gatehouse oauth2-login"), secret.as_bytes());
        let (mut key, mut name) = ([0; 32], [0; NAME]);
        hkdf.expand(format!("cookie key {of}").as_bytes(), &mut key).ok()?;
        hkdf.expand(format!("cookie key's name {of}").as_bytes(), &mut name).ok()?;
        Some(Self { name, cipher: XChaCha20Poly1305::new(&key.into()) })
    }
}

/// Says what is wrong with a secret: it has 32 bytes at least, and is not made of a few characters.
/// What it would take to guess it cannot be seen; what is plainly too little can.
pub(crate) fn check_secret(secret: &str) -> Result<(), String> {
    const ADVICE: &str = "write 32 random bytes as hex or base64: `openssl rand -base64 32`";
    if secret.len() < 32 {
        return Err(format!("has {} bytes, and 32 is the least; {ADVICE}", secret.len()));
    }
    if bits(secret.as_bytes()) < 128.0 {
        return Err(format!("repeats itself too much to be random; {ADVICE}"));
    }
    Ok(())
}

/// The entropy of a text whose bytes are drawn as often as they occur in it (Shannon).
#[expect(clippy::cast_precision_loss, reason = "a few bytes")]
fn bits(text: &[u8]) -> f64 {
    let total = text.len() as f64;
    let count = |byte: u8| text.iter().filter(|other| **other == byte).count() as f64;
    text.iter().map(|byte| -(count(*byte) / total).log2()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) const SECRET: &str =
        "b1946ac92492d2347c6235b4d2611184591a8b3c7d0e4f6a9c2b5d8e7f1a0c3e";
    const OTHER: &str = "q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM=";

    fn seal(secrets: &[&str]) -> Seal {
        let place = ("__Host-session", "https://app.example");
        Seal::new(secrets.iter().copied(), place, "https://idp.example", "web")
    }

    #[test]
    fn what_is_sealed_opens_and_cannot_be_read() {
        let seal = seal(&[SECRET]);
        let text = seal.seal(Kind::Session, b"a token: eyJ", [1; NONCE]).unwrap();
        assert_eq!(
            seal.open(Kind::Session, text.as_bytes()).as_deref(),
            Some(&b"a token: eyJ"[..])
        );
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"token"));
        assert_ne!(seal.seal(Kind::Session, b"a token: eyJ", [2; NONCE]).unwrap(), text);
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, both, new) = (seal(&[SECRET]), seal(&[OTHER, SECRET]), seal(&[OTHER]));
        let by_old = old.seal(Kind::Session, b"x", [1; NONCE]).unwrap();
        let by_both = both.seal(Kind::Session, b"x", [1; NONCE]).unwrap();
        let opens = |seal: &Seal, text: &str| seal.open(Kind::Session, text.as_bytes()).is_some();
        assert_eq!([&old, &both, &new].map(|seal| opens(seal, &by_old)), [true, true, false]);
        assert_eq!([&old, &both, &new].map(|seal| opens(seal, &by_both)), [false, true, true]);
    }

    #[test]
    fn one_thing_is_not_taken_for_another() {
        let ours = seal(&[SECRET]);
        let text = ours.seal(Kind::Attempt, b"x", [1; NONCE]).unwrap();
        assert!(ours.open(Kind::Attempt, text.as_bytes()).is_some());
        assert!(ours.open(Kind::Session, text.as_bytes()).is_none());
        assert!(ours.open(Kind::Seen, text.as_bytes()).is_none());
        for (name, origin, issuer, client) in [
            ("__Host-other", "https://app.example", "https://idp.example", "web"),
            ("__Host-session", "https://test.app.example", "https://idp.example", "web"),
            ("__Host-session", "https://app.example", "https://idp.example2", "web"),
            ("__Host-session", "https://app.example", "https://idp.example", "web2"),
        ] {
            let other = Seal::new([SECRET].into_iter(), (name, origin), issuer, client);
            assert!(
                other.open(Kind::Attempt, text.as_bytes()).is_none(),
                "{name} {origin} {issuer} {client}"
            );
        }
    }

    #[test]
    fn nothing_is_sealed_without_a_nonce() {
        assert_eq!(seal(&[SECRET]).seal(Kind::Session, b"x", [0; NONCE]), None);
    }

    #[test]
    fn a_secret_that_is_plainly_too_little_is_refused() {
        for secret in [SECRET, OTHER, "wK8xQz3Lr6Vn1Tj9Yc4Hb7Mf2Pd5Sg0A"] {
            assert_eq!(check_secret(secret), Ok(()), "{secret}");
        }
        for secret in
            ["", "short", &"a".repeat(64), &"secret".repeat(6), "0123456789abcdef0123456789abcde"]
        {
            assert!(check_secret(secret).is_err(), "{secret}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_byte_opens_nothing(text in proptest::collection::vec(any::<u8>(), 0..200),
                                        at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let seal = seal(&[SECRET]);
            let sealed = seal.seal(Kind::Session, &text, [3; NONCE]).unwrap();
            prop_assert_eq!(seal.open(Kind::Session, sealed.as_bytes()), Some(text));
            let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
            let index = at.index(bytes.len());
            bytes[index] ^= flip;
            let forged = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(seal.open(Kind::Session, forged.as_bytes()), None);
        }

        #[test]
        fn nonsense_opens_nothing(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(seal(&[SECRET]).open(Kind::Session, &text), None);
        }

        #[test]
        fn a_part_opens_nothing(end in any::<prop::sample::Index>()) {
            let seal = seal(&[SECRET]);
            let sealed = seal.seal(Kind::Session, b"a session of some length", [3; NONCE]).unwrap();
            let part = sealed.as_bytes().get(..end.index(sealed.len())).unwrap();
            prop_assert_eq!(seal.open(Kind::Session, part), None);
        }
    }
}
