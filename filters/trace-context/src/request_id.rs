//! The request's own id.
//!
//! An id that comes is kept if its sender may name one and it is a word of letters, digits and
//! `-._~:/+=@`; what is too long is cut. Any other is replaced by a random one (RFC 9562, version 4).

use std::rc::Rc;

use shared::headers::Sole;
use shared::trace::ids::Ids;

use crate::config::{Accept, RequestId};

/// The id that a request goes on with.
pub(crate) fn choose(config: &RequestId, came: Sole<'_>, trusted: bool, ids: &mut Ids) -> Rc<[u8]> {
    let accepts = match config.accept {
        Accept::Always => true,
        Accept::Trusted => trusted,
        Accept::Never => false,
    };
    match came {
        Sole::Once(id) if accepts && is_word(id) => {
            Rc::from(id.get(..config.max_bytes.0).unwrap_or(id))
        }
        _ => Rc::from(&uuid(ids.draw())[..]),
    }
}

fn is_word(id: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/+=@".contains(byte);
    !id.is_empty() && id.iter().all(allowed)
}

/// RFC 9562, 5.4.
fn uuid(random: u128) -> [u8; 36] {
    let number = random & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let mut rest = number;
    for place in text.iter_mut().rev().filter(|place| **place != b'-') {
        let digit = (rest & 15) as u8;
        *place = if digit < 10 { b'0' } else { b'a' - 10 }.wrapping_add(digit);
        rest >>= 4;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn an_id_is_of_version_4() {
        assert_eq!(&uuid(0), b"00000000-0000-4000-8000-000000000000");
        assert_eq!(&uuid(u128::MAX), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(
            &uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            b"01234567-89ab-4def-8123-456789abcdef"
        );
    }
}
