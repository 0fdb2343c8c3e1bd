//! Texts of bytes taken apart, some bytes at a time: a token in a query is long, and looked through often.

use memchr::memchr;

/// The parts of a text between bytes, as [`slice::split`] has them.
pub(crate) fn split(text: &[u8], at: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || match split_once(rest?, at) {
        Some((part, behind)) => {
            rest = Some(behind);
            Some(part)
        }
        None => rest.take(),
    })
}

/// What is in front of the first such byte, and what is behind it.
pub(crate) fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (part, rest) = text.split_at_checked(memchr(at, text)?)?;
    Some((part, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn parts_are_those_of_the_standard_library() {
        for text in ["", "&", "a", "a&", "&a", "a&b", "&&", "a&&bc&d&", "\u{e9}&\0&\u{ff}&x"] {
            let standard: Vec<_> = text.as_bytes().split(|byte| *byte == b'&').collect();
            assert_eq!(split(text.as_bytes(), b'&').collect::<Vec<_>>(), standard, "{text}");
        }
    }

    #[test]
    fn the_first_such_byte_parts_a_text() {
        assert_eq!(split_once(b"a=b=c", b'='), Some((&b"a"[..], &b"b=c"[..])));
        assert_eq!(split_once(b"=", b'='), Some((&b""[..], &b""[..])));
        assert_eq!(split_once(b"a", b'='), None);
    }
}
