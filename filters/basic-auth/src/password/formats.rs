//! From the text of a hash to a recipe and a digest.
//!
//! 1. A text is taken only if crypt(3) could have written it, to the last bit: salts and digests
//!    have their lengths, Base64 has no stray bits, numbers no leading zeros.
//! 2. What looks like a hash (`$…$…`, `{…}…`, the thirteen characters of DES crypt) is never taken
//!    for plain text: else the hash itself would be the password.

use base64ct::{Base64, Base64Bcrypt, Base64ShaCrypt, Encoding};

use super::recipe::{Recipe, Rounds};
use super::{InvalidHash, MAX_BCRYPT_COST, MAX_ROUNDS, PasswordHash};

pub(super) fn parse(text: &str) -> Result<PasswordHash, InvalidHash> {
    if let Some(digest) = text.strip_prefix("{SHA}") {
        return sha1(digest);
    }
    match text.strip_prefix('$').and_then(|rest| rest.split_once('$')) {
        Some(("2a" | "2b" | "2y", rest)) => bcrypt(rest),
        Some(("5", rest)) => sha256_crypt(rest),
        Some(("6", rest)) => sha512_crypt(rest),
        Some(("apr1", rest)) => md5_crypt("apr1", rest, |salt| Recipe::Apr1 { salt }),
        Some(("1", rest)) => md5_crypt("MD5 crypt", rest, |salt| Recipe::Md5Crypt { salt }),
        _ => Err(refusal(text)),
    }
}

/// `{SHA}`, then 28 characters of Base64.
fn sha1(text: &str) -> Result<PasswordHash, InvalidHash> {
    let digest = decode::<Base64, 20>(text).ok_or(InvalidHash::Malformed("{SHA}"))?;
    Ok(PasswordHash { recipe: Recipe::Sha1, digest: digest.to_vec() })
}

/// `$2y$`, then `10$`, 22 characters of salt and 31 of digest.
fn bcrypt(text: &str) -> Result<PasswordHash, InvalidHash> {
    let (cost, salt, digest) = bcrypt_parts(text).ok_or(InvalidHash::Malformed("bcrypt"))?;
    let cost = within(BCRYPT_COSTS, "bcrypt cost", cost)?;
    Ok(PasswordHash { recipe: Recipe::Bcrypt { cost, salt }, digest: digest.to_vec() })
}

fn bcrypt_parts(text: &str) -> Option<(u32, [u8; 16], [u8; 23])> {
    let (cost, rest) = text.split_once('$')?;
    let cost = number(cost.trim_start_matches('0')).filter(|_| cost.len() == 2)?;
    let (salt, digest) = rest.split_at_checked(22)?;
    Some((cost, decode::<Base64Bcrypt, 16>(salt)?, decode::<Base64Bcrypt, 23>(digest)?))
}

/// `$5$`, then `rounds=5000$` or not, up to 16 characters of salt, `$` and 43 of digest.
fn sha256_crypt(text: &str) -> Result<PasswordHash, InvalidHash> {
    let (count, salt, digest) =
        sha_crypt_parts(text, &ORDER_OF_SHA256).ok_or(InvalidHash::Malformed("SHA-256 crypt"))?;
    let rounds = rounds("SHA-256 crypt round count", count)?;
    Ok(PasswordHash { recipe: Recipe::Sha256Crypt { rounds, salt }, digest })
}

/// `$6$`, then the same, but 86 characters of digest.
fn sha512_crypt(text: &str) -> Result<PasswordHash, InvalidHash> {
    let (count, salt, digest) =
        sha_crypt_parts(text, &ORDER_OF_SHA512).ok_or(InvalidHash::Malformed("SHA-512 crypt"))?;
    let rounds = rounds("SHA-512 crypt round count", count)?;
    Ok(PasswordHash { recipe: Recipe::Sha512Crypt { rounds, salt }, digest })
}

fn sha_crypt_parts<const N: usize>(
    text: &str,
    order: &[usize; N],
) -> Option<(u32, Vec<u8>, Vec<u8>)> {
    let (count, rest) = match text.strip_prefix("rounds=") {
        Some(text) => {
            text.split_once('$').and_then(|(count, rest)| Some((number(count)?, rest)))?
        }
        None => (DEFAULT_ROUNDS, text),
    };
    let (salt, digest) = salt_and_digest(rest, 16, order)?;
    Some((count, salt, digest))
}

fn rounds(what: &'static str, count: u32) -> Result<Rounds, InvalidHash> {
    let count = within(ROUNDS, what, count)?;
    Rounds::new(count).ok_or(InvalidHash::Malformed(what))
}

/// `$apr1$` or `$1$`, then up to 8 characters of salt, `$` and 22 of digest.
fn md5_crypt(
    name: &'static str,
    text: &str,
    recipe: impl FnOnce(Vec<u8>) -> Recipe,
) -> Result<PasswordHash, InvalidHash> {
    let (salt, digest) =
        salt_and_digest(text, 8, &ORDER_OF_MD5).ok_or(InvalidHash::Malformed(name))?;
    Ok(PasswordHash { recipe: recipe(salt), digest })
}

fn salt_and_digest<const N: usize>(
    text: &str,
    longest_salt: usize,
    order: &[usize; N],
) -> Option<(Vec<u8>, Vec<u8>)> {
    let (salt, digest) = text.split_once('$')?;
    let is_salt = (1..=longest_salt).contains(&salt.len())
        && salt.bytes().all(|byte| byte.is_ascii_graphic());
    let written = decode::<Base64ShaCrypt, N>(digest).filter(|_| is_salt)?;
    let mut digest = vec![0; N];
    for (byte, place) in written.into_iter().zip(order) {
        *digest.get_mut(*place)? = byte;
    }
    Some((salt.as_bytes().to_vec(), digest))
}

/// The whole of `text`, if it is exactly `N` bytes.
fn decode<E: Encoding, const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (E::decode(text, &mut bytes).ok()?.len() == N).then_some(bytes)
}

/// A number without sign or leading zero.
fn number(text: &str) -> Option<u32> {
    text.starts_with(|first: char| matches!(first, '1'..='9')).then(|| text.parse().ok())?
}

fn within(allowed: (u32, u32), what: &'static str, value: u32) -> Result<u32, InvalidHash> {
    let (least, greatest) = allowed;
    if !(least..=greatest).contains(&value) {
        return Err(InvalidHash::OutOfRange { what, value, allowed });
    }
    Ok(value)
}

/// Why a text that begins like no supported hash is refused.
fn refusal(text: &str) -> InvalidHash {
    let unsupported = UNSUPPORTED.iter().find(|(prefix, _)| text.starts_with(prefix));
    match unsupported {
        _ if text.is_empty() => InvalidHash::Empty,
        Some((_, name)) => InvalidHash::Unsupported(name),
        None if is_des_crypt(text) => InvalidHash::Unsupported("DES crypt"),
        None if names_a_scheme(text) => InvalidHash::Unknown,
        None => InvalidHash::Plain,
    }
}

/// Two characters of salt, eleven of digest.
fn is_des_crypt(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() == 13
        && bytes.all(|byte| matches!(byte, b'.' | b'/') || byte.is_ascii_alphanumeric())
}

fn names_a_scheme(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|rest| rest.contains('$'))
        || text.strip_prefix('{').is_some_and(|rest| rest.contains('}'))
}

/// The least are the schemes' own.
const BCRYPT_COSTS: (u32, u32) = (4, MAX_BCRYPT_COST);
const ROUNDS: (u32, u32) = (1_000, MAX_ROUNDS);

/// The rounds of a SHA-crypt hash that does not say.
const DEFAULT_ROUNDS: u32 = 5_000;

/// What people try, by how it begins.
const UNSUPPORTED: [(&str, &str); 9] = [
    ("$2$", "the bcrypt of 1997"),
    ("$2x$", "the bcrypt of a faulty library"),
    ("$3$", "an NT hash"),
    ("$7$", "scrypt"),
    ("$y$", "yescrypt"),
    ("$gy$", "yescrypt"),
    ("$argon2", "Argon2"),
    ("$pbkdf2", "PBKDF2"),
    ("{SSHA}", "salted SHA-1"),
];

/// Where the bytes of a digest go, in the order in which crypt(3) writes them.
const ORDER_OF_MD5: [usize; 16] = [12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11];

#[rustfmt::skip]
const ORDER_OF_SHA256: [usize; 32] = [
    20, 10,  0,  11,  1, 21,   2, 22, 12,  23, 13,  3,  14,  4, 24,
     5, 25, 15,  26, 16,  6,  17,  7, 27,   8, 28, 18,  29, 19,  9,
    30, 31,
];

#[rustfmt::skip]
const ORDER_OF_SHA512: [usize; 64] = [
    42, 21,  0,   1, 43, 22,  23,  2, 44,  45, 24,  3,   4, 46, 25,  26,  5, 47,
    48, 27,  6,   7, 49, 28,  29,  8, 50,  51, 30,  9,  10, 52, 31,  32, 11, 53,
    54, 33, 12,  13, 55, 34,  35, 14, 56,  57, 36, 15,  16, 58, 37,  38, 17, 59,
    60, 39, 18,  19, 61, 40,  41, 20, 62,  63,
];
