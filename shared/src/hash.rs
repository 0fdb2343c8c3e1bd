//! A hash for keys that nobody outside can choose: numbers that the proxy gives out, digests under a
//! secret, words of the configuration, and what is forgotten before it grows to a crowd. For anything
//! else, the standard library's.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes [`Spreading`] hashers.
pub type Spread = BuildHasherDefault<Spreading>;

/// Multiplies by an odd constant (Knuth's), so that numbers in a row fall apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spreading(u64);

impl Hasher for Spreading {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let product = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
