//! Header maps as the proxy hands them over: one buffer, read in place.
//!
//! 1. Values are bytes: nothing here needs UTF-8.
//! 2. Every occurrence of a name is visible, in the order received.
//! 3. A buffer that does not hold together is refused whole ([`MalformedPairs`]), never read past its end.
//!
//! The form is that of the proxy-wasm ABI: the number of pairs, the two lengths of each, then each name and value with
//! a zero byte behind it, all numbers 32 bits little-endian.

use std::ops::Range;

/// A header map.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// How often a header that may come once did come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sole<'a> {
    /// Not at all.
    Absent,
    /// Once, with this value.
    Once(&'a [u8]),
    /// More than once. Which of them counts would be a guess, so nobody gets to see one.
    Repeated,
}

/// The proxy's buffer of pairs contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedPairs;

#[derive(Clone, Debug)]
struct Entry {
    name: Range<usize>,
    value: Range<usize>,
}

impl Headers {
    /// Reads the proxy's buffer. An empty one is an empty map.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, MalformedPairs> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut lengths = Reader { bytes: &bytes, at: 0 };
        let count = lengths.number()?;
        // Ten bytes is the least that a pair takes; a larger count lies, and must not make us reserve memory.
        if count > bytes.len() / 10 {
            return Err(MalformedPairs);
        }
        let texts_at = count.checked_mul(8).and_then(|n| n.checked_add(4)).ok_or(MalformedPairs)?;
        let mut texts = Reader { bytes: &bytes, at: texts_at };
        // A filter of a chain may add to them for those behind.
        let mut entries = Vec::with_capacity(count.saturating_add(4));
        for _ in 0..count {
            let (name, value) = (lengths.number()?, lengths.number()?);
            entries.push(Entry { name: texts.text(name)?, value: texts.text(value)? });
        }
        Ok(Self { bytes, entries })
    }

    /// The value of `name` (lower case), if it came once.
    pub fn sole(&self, name: &str) -> Sole<'_> {
        let mut found = Sole::Absent;
        for (known, value) in self.iter() {
            if known == name.as_bytes() {
                found = match found {
                    Sole::Absent => Sole::Once(value),
                    Sole::Once(_) | Sole::Repeated => return Sole::Repeated,
                };
            }
        }
        found
    }

    /// Whether what has these headers is gRPC.
    pub fn is_grpc(&self) -> bool {
        self.first("content-type").is_some_and(|kind| {
            kind.strip_prefix(b"application/grpc")
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
        })
    }

    /// Every value of `name` (lower case), in the order received.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }

    /// The first value of `name` (lower case). For names where a repetition does no harm.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }

    /// All pairs, in the order received.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| {
            let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
            (part(&entry.name), part(&entry.value))
        })
    }

    /// How many pairs there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no pair.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            let name = headers.append(name.as_ref());
            let value = headers.append(value.as_ref());
            headers.entries.push(Entry { name, value });
        }
        headers
    }
}

impl Headers {
    /// Gives `name` (lower case) this one value.
    pub(crate) fn set(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    /// Gives `name` (lower case) one more value.
    pub(crate) fn add(&mut self, name: &str, value: &[u8]) {
        let (name, value) = (self.append(name.as_bytes()), self.append(value));
        self.entries.push(Entry { name, value });
    }

    /// Takes off every occurrence of `name` (lower case).
    pub(crate) fn remove(&mut self, name: &str) {
        let Self { bytes, entries } = self;
        entries.retain(|entry| bytes.get(entry.name.clone()) != Some(name.as_bytes()));
    }

    fn append(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        start..self.bytes.len()
    }
}

/// Writes pairs in the proxy's form.
pub fn write_pairs<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&number(pairs.clone().count()));
    for (name, value) in pairs.clone() {
        bytes.extend_from_slice(&number(name.len()));
        bytes.extend_from_slice(&number(value.len()));
    }
    for (name, value) in pairs {
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn number(&mut self) -> Result<usize, MalformedPairs> {
        let end = self.at.checked_add(4).ok_or(MalformedPairs)?;
        let bytes = self.bytes.get(self.at..end).ok_or(MalformedPairs)?;
        self.at = end;
        let number = u32::from_le_bytes(bytes.try_into().map_err(|_| MalformedPairs)?);
        usize::try_from(number).map_err(|_| MalformedPairs)
    }

    fn text(&mut self, len: usize) -> Result<Range<usize>, MalformedPairs> {
        let end = self.at.checked_add(len).ok_or(MalformedPairs)?;
        // The zero byte behind the text is not part of it, but has to be there.
        if self.bytes.get(end) != Some(&0) {
            return Err(MalformedPairs);
        }
        let range = self.at..end;
        self.at = end.checked_add(1).ok_or(MalformedPairs)?;
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn buffer(pairs: &[(&str, &str)]) -> Vec<u8> {
        write_pairs(pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())))
    }

    #[test]
    fn reads_what_it_writes() {
        let headers = Headers::parse(buffer(&[("a", "1"), ("b", ""), ("a", "2")])).unwrap();
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(pairs, [(&b"a"[..], &b"1"[..]), (b"b", b""), (b"a", b"2")]);
    }

    #[test]
    fn tells_a_repeated_header_from_a_sole_one() {
        let headers = Headers::parse(buffer(&[("a", "1"), ("b", "x"), ("a", "2")])).unwrap();
        assert_eq!(headers.sole("a"), Sole::Repeated);
        assert_eq!(headers.sole("b"), Sole::Once(b"x"));
        assert_eq!(headers.sole("c"), Sole::Absent);
        assert_eq!(headers.first("a"), Some(&b"1"[..]));
    }

    #[test]
    fn an_empty_buffer_is_an_empty_map() {
        assert!(Headers::parse(Vec::new()).unwrap().is_empty());
        assert!(Headers::parse(vec![0; 4]).unwrap().is_empty());
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = buffer(&[("name", "value"), ("other", "")]);
        for end in 1..whole.len() {
            assert_eq!(Headers::parse(whole[..end].to_vec()).err(), Some(MalformedPairs), "{end}");
        }
    }

    #[test]
    fn lying_counts_and_lengths_are_refused() {
        for at in [0, 4, 8] {
            let mut bytes = buffer(&[("name", "value")]);
            bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            assert!(Headers::parse(bytes).is_err(), "{at}");
        }
    }

    #[test]
    fn headers_made_from_pairs_read_back() {
        let headers: Headers = [("x", &b"\xff"[..])].into_iter().collect();
        assert_eq!(headers.sole("x"), Sole::Once(b"\xff"));
    }
}
