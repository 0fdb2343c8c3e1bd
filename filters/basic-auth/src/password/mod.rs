//! Hashes of passwords: read once from the configuration, then compared with what clients send.
//!
//! 1. All that Apache's `htpasswd` writes is read, but for DES crypt: bcrypt (`$2a$`, `$2b$`,
//!    `$2y$`), SHA-crypt (`$5$`, `$6$`), MD5 crypt (`$apr1$`; also `$1$`) and `{SHA}`. DES crypt is
//!    refused by name: it looks at no more than eight characters.
//! 2. Plain text is never guessed: [`PasswordHash::parse`] refuses it, [`PasswordHash::plain`]
//!    takes it.
//! 3. One comparison stops a worker thread for two seconds at the most: bcrypt costs up to
//!    [`MAX_BCRYPT_COST`] and SHA-crypt rounds up to [`MAX_ROUNDS`] are allowed, and a password of
//!    more than [`MAX_PASSWORD`] bytes is wrong without being hashed.
//! 4. A password is any bytes but NUL, which C's strings, and so all makers of hashes, stop at: a
//!    password with a NUL is wrong.
//! 5. bcrypt looks at the first 72 bytes of a password, as it does in `htpasswd` and crypt(3).
//! 6. `$2a$`, `$2b$` and `$2y$` are the same function. crypt(3) computes `$2a$` in another way for
//!    some passwords that hold the byte `0xff` (never in UTF-8): those are wrong here.
//! 7. Digests are compared in constant time. No error and no `Debug` shows a hash or a password.

mod formats;
mod md5_crypt;
mod recipe;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::fmt;

use subtle::ConstantTimeEq;

use recipe::Recipe;

/// The most bytes of a password: neither `htpasswd` nor `openssl passwd` takes more.
pub const MAX_PASSWORD: usize = 256;

/// The greatest cost of bcrypt: 1.1 seconds in Wasm, and twice that for each more.
pub const MAX_BCRYPT_COST: u32 = 14;

/// The most rounds of SHA-crypt: in Wasm half a second, and 1.9 for the longest password, whose
/// length the client chooses.
pub const MAX_ROUNDS: u32 = 1_000_000;

/// The hash of a password, or what stands in for one.
#[derive(Clone)]
pub struct PasswordHash {
    recipe: Recipe,
    digest: Vec<u8>,
}

impl PasswordHash {
    /// Reads a hash as `htpasswd` writes it.
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        formats::parse(text)
    }

    /// A password of which no hash is known. Only its SHA-256 is kept.
    pub fn plain(password: &str) -> Result<Self, InvalidHash> {
        let password = password.as_bytes();
        if password.is_empty() {
            return Err(InvalidHash::Empty);
        }
        if !is_possible(password) {
            return Err(InvalidHash::ImpossiblePassword);
        }
        Ok(Self { recipe: Recipe::Plain, digest: Recipe::Plain.digest(password) })
    }

    /// A hash that costs what `like` costs and that no password matches, for unknown users.
    #[must_use]
    pub fn dummy(like: &Self) -> Self {
        // All recipes give longer digests than this.
        Self { recipe: like.recipe.clone(), digest: Vec::new() }
    }

    /// Whether this is the hash of `password`.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        is_possible(password) && self.recipe.digest(password).ct_eq(&self.digest).into()
    }

    /// How the password was hashed.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.recipe.scheme()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PasswordHash").field(&self.scheme()).finish_non_exhaustive()
    }
}

/// How a password was hashed, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// bcrypt (`htpasswd -B`): the only one here that is slow on graphics cards too.
    Bcrypt {
        /// The logarithm of the rounds.
        cost: u32,
    },
    /// SHA-256 crypt (`htpasswd -2`).
    Sha256Crypt {
        /// How often the digest is hashed again.
        rounds: u32,
    },
    /// SHA-512 crypt (`htpasswd -5`).
    Sha512Crypt {
        /// How often the digest is hashed again.
        rounds: u32,
    },
    /// Apache's MD5 crypt (`htpasswd -m`).
    Apr1,
    /// The MD5 crypt of old Unix systems (`openssl passwd -1`).
    Md5Crypt,
    /// SHA-1 without a salt (`htpasswd -s`).
    Sha1,
    /// No hash at all.
    Plain,
}

/// Why a text is not the hash of a password. Never says what the text was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidHash {
    /// Nothing there.
    Empty,
    /// A hash, but of an unknown format.
    Unknown,
    /// Not a hash, as it seems.
    Plain,
    /// A hash of a format that is known but not supported.
    Unsupported(&'static str),
    /// Cut off, too long, or with a character that cannot be there.
    Malformed(&'static str),
    /// Too cheap to be what it says it is, or too dear to be computed here.
    OutOfRange {
        /// What is: the cost of bcrypt or the rounds of SHA-crypt.
        what: &'static str,
        /// What the hash says.
        value: u32,
        /// The least and the greatest allowed.
        allowed: (u32, u32),
    },
    /// A password in plain text that nobody could send, see [`MAX_PASSWORD`].
    ImpossiblePassword,
}

impl fmt::Display for InvalidHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::Unknown => f.write_str("is a hash of an unknown format"),
            Self::Plain => f.write_str("is plain text or of an unknown format"),
            Self::Unsupported(name) => {
                write!(f, "is {name}, which is not supported; `htpasswd -B` makes a better one")
            }
            Self::Malformed(name) => {
                write!(f, "is no {name} hash: cut off, too long, or with a wrong character")
            }
            Self::OutOfRange { what, value, allowed: (least, _) } if value < least => {
                write!(f, "{what} {value} is below the least allowed, {least}")
            }
            Self::OutOfRange { what, value, allowed: (_, greatest) } => {
                write!(f, "{what} {value} is above the greatest allowed, {greatest}")
            }
            Self::ImpossiblePassword => {
                write!(f, "is longer than {MAX_PASSWORD} bytes, or has a NUL in it")
            }
        }
    }
}

impl std::error::Error for InvalidHash {}

/// Whether any hash can have been made of this password.
fn is_possible(password: &[u8]) -> bool {
    password.len() <= MAX_PASSWORD && !password.contains(&0)
}
