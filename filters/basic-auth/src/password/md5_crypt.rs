//! MD5 crypt, by Poul-Henning Kamp for FreeBSD (1994), with Apache's own prefix or without.
//!
//! No library that is kept up has it for a given salt. The steps and their oddities are those of
//! FreeBSD's `crypt-md5.c` and of `apr_md5_encode`, which differ in the prefix only.

use md5::{Digest, Md5};

/// The digest of a password, before it is transposed and written as text.
pub(super) fn md5_crypt(prefix: &[u8], salt: &[u8], password: &[u8]) -> [u8; 16] {
    (0..1000)
        .fold(start(prefix, salt, password), |digest, round| stretch(round, digest, salt, password))
}

fn start(prefix: &[u8], salt: &[u8], password: &[u8]) -> [u8; 16] {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password);
    let inner = inner.finalize();
    let as_long_as_the_password: Vec<u8> =
        inner.iter().copied().cycle().take(password.len()).collect();
    Md5::new()
        .chain_update(password)
        .chain_update(prefix)
        .chain_update(salt)
        .chain_update(as_long_as_the_password)
        .chain_update(bits_of_the_length(password))
        .finalize()
        .into()
}

/// For each bit of the password's length, from the lowest: a NUL for 1, the first byte for 0.
/// (It was meant to be a byte of the digest, which had been wiped by then.)
fn bits_of_the_length(password: &[u8]) -> Vec<u8> {
    let lengths = std::iter::successors(Some(password.len()), |length| Some(length >> 1));
    let bits = lengths.take_while(|length| *length != 0).map(|length| length & 1);
    bits.filter_map(|bit| if bit == 1 { Some(0) } else { password.first().copied() }).collect()
}

fn stretch(round: u32, digest: [u8; 16], salt: &[u8], password: &[u8]) -> [u8; 16] {
    let odd = !round.is_multiple_of(2);
    let mut md5 = Md5::new();
    md5.update(if odd { password } else { &digest });
    if !round.is_multiple_of(3) {
        md5.update(salt);
    }
    if !round.is_multiple_of(7) {
        md5.update(password);
    }
    md5.update(if odd { &digest } else { password });
    md5.finalize().into()
}
