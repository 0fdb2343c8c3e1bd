//! Header maps: lists of pairs in order, duplicates kept, and their form in a module's memory.

use std::fmt;

/// Headers, or trailers. Names and values are bytes, as they are in HTTP.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    /// Headers from pairs of text or of bytes.
    pub fn new<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Self {
        Self(pairs.iter().map(|(n, v)| (n.as_ref().to_vec(), v.as_ref().to_vec())).collect())
    }

    /// The first value of a header, as text (what is not UTF-8 is replaced).
    pub fn get(&self, name: &str) -> Option<String> {
        self.first(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Every value of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        self.0.iter().filter(|(n, _)| same(n, name.as_bytes())).map(|(_, v)| &v[..]).collect()
    }

    /// Every pair, in order.
    pub fn pairs(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.0
    }

    pub(super) fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| same(n, name)).map(|(_, v)| &v[..])
    }

    /// Envoy makes names lower case when it adds or replaces.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        self.0.push((name.to_ascii_lowercase(), value.to_vec()));
    }

    pub(super) fn replace(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        self.0.retain(|(n, _)| !same(n, name));
    }

    /// The number of pairs, then the sizes of each, then each name and value with a NUL behind it.
    pub(super) fn encode(&self) -> Vec<u8> {
        self.encode_with(&[0])
    }

    pub(super) fn encode_with(&self, terminator: &[u8]) -> Vec<u8> {
        let mut bytes = (self.0.len() as u32).to_le_bytes().to_vec();
        for (name, value) in &self.0 {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
        }
        for part in self.0.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(terminator);
        }
        bytes
    }

    /// Nothing at all is an empty map; `None` if the bytes are not a map.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let count = number(bytes, 0)?;
        let mut at = 4_usize.checked_add(count.checked_mul(8)?)?;
        let mut pairs = Vec::new();
        for sizes in (4..at).step_by(8) {
            let name = part(bytes, &mut at, number(bytes, sizes)?)?;
            let value = part(bytes, &mut at, number(bytes, sizes + 4)?)?;
            pairs.push((name, value));
        }
        (at == bytes.len()).then_some(Self(pairs))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(n, v)| (Text(n), Text(v)))).finish()
    }
}

/// Bytes that print as text.
struct Text<'a>(&'a [u8]);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(word.try_into().ok()?) as usize)
}

/// A name or a value, and the NUL behind it.
fn part(bytes: &[u8], at: &mut usize, size: usize) -> Option<Vec<u8>> {
    let end = at.checked_add(size)?;
    let found = bytes.get(*at..end)?.to_vec();
    *at = (*bytes.get(end)? == 0).then_some(end + 1)?;
    Some(found)
}
