//! From a password to the digest that a hash holds.
//!
//! 1. A recipe is all of a hash but its digest. None can be wrong: `formats` checks.
//! 2. A digest is the bytes before they are transposed and written as text.

use sha_crypt::Params;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Scheme;
use super::md5_crypt::md5_crypt;

/// What has to be done to a password to compare it.
#[derive(Clone)]
pub(super) enum Recipe {
    Bcrypt { cost: u32, salt: [u8; 16] },
    Sha256Crypt { rounds: Rounds, salt: Vec<u8> },
    Sha512Crypt { rounds: Rounds, salt: Vec<u8> },
    Apr1 { salt: Vec<u8> },
    Md5Crypt { salt: Vec<u8> },
    Sha1,
    Plain,
}

impl Recipe {
    pub(super) fn digest(&self, password: &[u8]) -> Vec<u8> {
        match self {
            Self::Bcrypt { cost, salt } => bcrypt(*cost, *salt, password),
            Self::Sha256Crypt { rounds, salt } => {
                sha_crypt::sha256_crypt(password, salt, rounds.params).to_vec()
            }
            Self::Sha512Crypt { rounds, salt } => {
                sha_crypt::sha512_crypt(password, salt, rounds.params).to_vec()
            }
            Self::Apr1 { salt } => md5_crypt(b"$apr1$", salt, password).to_vec(),
            Self::Md5Crypt { salt } => md5_crypt(b"$1$", salt, password).to_vec(),
            Self::Sha1 => Sha1::digest(password).to_vec(),
            // Two digests of one length, so that the comparison does not tell the password's.
            Self::Plain => Sha256::digest(password).to_vec(),
        }
    }

    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Bcrypt { cost, .. } => Scheme::Bcrypt { cost: *cost },
            Self::Sha256Crypt { rounds, .. } => Scheme::Sha256Crypt { rounds: rounds.count },
            Self::Sha512Crypt { rounds, .. } => Scheme::Sha512Crypt { rounds: rounds.count },
            Self::Apr1 { .. } => Scheme::Apr1,
            Self::Md5Crypt { .. } => Scheme::Md5Crypt,
            Self::Sha1 => Scheme::Sha1,
            Self::Plain => Scheme::Plain,
        }
    }
}

/// The rounds of SHA-crypt, which the library's own type does not tell.
#[derive(Clone, Copy)]
pub(super) struct Rounds {
    count: u32,
    params: Params,
}

impl Rounds {
    pub(super) fn new(count: u32) -> Option<Self> {
        Some(Self { count, params: Params::new(count).ok()? })
    }
}

fn bcrypt(cost: u32, salt: [u8; 16], password: &[u8]) -> Vec<u8> {
    // The key is the C string with its NUL, of which 72 bytes fit.
    let key: Vec<u8> = password.iter().copied().chain([0]).take(72).collect();
    // The last of the 24 bytes is not in the hash: a mistake of the first implementation.
    bcrypt::bcrypt(cost, salt, &key).into_iter().take(23).collect()
}
