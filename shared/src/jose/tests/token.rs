//! The rules of the form of a token.

use super::*;
use crate::jose::token::{MAX_TOKEN, decode};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const HEADER: &str = r#"{"alg":"ES256"}"#;

#[track_caller]
fn refuse(token: impl AsRef<[u8]>, why: Malformed) {
    assert_eq!(Token::read(token.as_ref()).err(), Some(why));
}

#[track_caller]
fn refuse_header(header: impl AsRef<[u8]>, why: Malformed) {
    refuse(unsigned(header, "{}"), why);
}

#[test]
fn a_token_is_read() {
    let text = unsigned(
        r#"{"alg":"ES256","kid":"k","typ":"at+jwt","jku":"https://evil.example"}"#,
        r#"{"iss":"me"}"#,
    );
    let token = Token::read(text.as_bytes()).unwrap();
    assert_eq!(token.algorithm, Algorithm::ES256);
    assert_eq!((token.key_id.as_deref(), token.kind.as_deref()), (Some("k"), Some("at+jwt")));
    assert_eq!(token.claims.text("iss"), Some("me"));
    let (signed, signature) = text.rsplit_once('.').unwrap();
    assert_eq!(token.signed, signed.as_bytes());
    assert_eq!(token.signature, (signature, b"signature".to_vec()));
}

#[test]
fn it_has_exactly_three_parts() {
    let good = unsigned(HEADER, "{}");
    let (two, _) = good.rsplit_once('.').unwrap();
    for token in ["", ".", "..", "...", "abc", two, &format!("{good}."), &format!(".{good}")] {
        refuse(token, Malformed::Form);
    }
    // The five parts of a JWE.
    refuse(format!("{good}.{}.{}", b64("a"), b64("b")), Malformed::Form);
}

#[test]
fn an_empty_signature_is_none() {
    let token = format!("{}.{}.", b64(HEADER), b64("{}"));
    assert_eq!(Token::read(token.as_bytes()).unwrap().signature, ("", Vec::new()));
}

#[test]
fn there_is_no_padding_and_no_white_space() {
    let good = unsigned(r#"{"alg":"ES256" }"#, r#"{"a":1}"#);
    assert!(Token::read(good.as_bytes()).is_ok());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    for token in [
        format!("{header}==.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header} .{payload}.{signature}"),
        format!("{header}.{payload}\t.{signature}"),
        format!("{header}.\r\n{payload}.{signature}"),
        format!("{good}\0"),
    ] {
        refuse(token, Malformed::Form);
    }
}

#[test]
fn the_alphabet_is_that_of_urls() {
    let token = unsigned(HEADER, r#"{"a":"~~~???"}"#);
    assert!(token.contains(['-', '_']) && Token::read(token.as_bytes()).is_ok(), "{token}");
    refuse(token.replace('-', "+").replace('_', "/"), Malformed::Form);
    refuse(token.replace('.', "%2E"), Malformed::Form);
}

#[test]
fn there_are_no_bits_to_spare() {
    // Two bytes are three characters, of which the last has two bits that say nothing.
    let token = |last: char| format!("{}.{}.AA{last}", b64(HEADER), b64("{}"));
    assert!(Token::read(token('A').as_bytes()).is_ok());
    for last in ['B', 'C', 'D'] {
        refuse(token(last), Malformed::Form);
    }
    refuse(format!("{}.{}.A", b64(HEADER), b64("{}")), Malformed::Form);
    assert_eq!(b64("{}"), "e30");
    refuse(format!("{}.e31.AAA", b64(HEADER)), Malformed::Form);
}

/// It is read 32 characters at a time where there are some more of them.
#[test]
fn base64url_is_read_as_the_other_library_reads_it() {
    let same = |text: &[u8]| {
        assert_eq!(decode(text).ok(), URL_SAFE_NO_PAD.decode(text).ok(), "{}", text.escape_ascii());
    };
    for len in 0_u8..=99 {
        let bytes: Vec<u8> = (0..len).map(|n| n.wrapping_mul(89).wrapping_add(len)).collect();
        let text = b64(&bytes).into_bytes();
        assert_eq!(decode(&text).unwrap(), bytes);
        (0..text.len()).for_each(|end| same(&text[..end]));
        let others =
            if len % 24 == 0 { (0..=u8::MAX).collect() } else { b"+/=A_- \0\x80".to_vec() };
        for (at, other) in (0..text.len()).flat_map(|at| others.iter().map(move |b| (at, *b))) {
            let mut text = text.clone();
            text[at] = other;
            same(&text);
        }
    }
}

#[test]
fn header_and_payload_are_objects() {
    for text in ["", " ", "[]", "[{}]", "null", "1", "\"{}\"", "{", "{}{}", "{} x", "{'alg':1}"] {
        refuse_header(text, Malformed::Form);
        refuse(unsigned(HEADER, text), Malformed::Form);
    }
}

#[test]
fn they_are_utf8_without_a_byte_order_mark() {
    refuse_header("\u{feff}{\"alg\":\"ES256\"}", Malformed::Form);
    refuse(unsigned(HEADER, "\u{feff}{}"), Malformed::Form);
    refuse(unsigned(HEADER, b"{\"a\":\"\xff\"}"), Malformed::Form);
    refuse(unsigned(HEADER, b"{\"a\":\"\xc0\xaf\"}"), Malformed::Form);
    refuse(unsigned(HEADER, b"{\"\xed\xa0\x80\":1}"), Malformed::Form);
    refuse(unsigned(HEADER, r#"{"a":"\ud800"}"#), Malformed::Form);
    refuse(b"\xff.\xff.\xff", Malformed::Form);
    let utf16: Vec<u8> = HEADER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    refuse_header(utf16, Malformed::Form);
}

#[test]
fn no_member_comes_twice() {
    refuse_header(r#"{"alg":"ES256","alg":"ES256"}"#, Malformed::Form);
    refuse_header(r#"{"alg":"ES256","\u0061lg":"HS256"}"#, Malformed::Form);
    refuse(unsigned(HEADER, r#"{"iss":"a","iss":"b"}"#), Malformed::Form);
    refuse(unsigned(HEADER, r#"{"a":{"b":1,"b":1}}"#), Malformed::Form);
    refuse(unsigned(HEADER, r#"{"a":[{"b":1,"b":1}]}"#), Malformed::Form);
    for count in [2, 31, 32, 33, 500] {
        let members: Vec<_> = (0..count).map(|n| format!("\"c{n}\":{n}")).collect();
        let token = unsigned(HEADER, format!("{{{}}}", members.join(",")));
        let claims = Token::read(token.as_bytes()).unwrap().claims;
        assert_eq!(claims.find(&format!("c{}", count - 1)), Some(&json!(count - 1)));
        for again in [0, count - 1] {
            let text = format!("{{{},\"c{again}\":0}}", members.join(","));
            refuse(unsigned(HEADER, text), Malformed::Form);
        }
    }
}

#[test]
fn the_algorithm_is_one_that_is_known_spelt_so() {
    for name in [
        "none", "None", "NONE", "nOnE", "es256", "Es256", "ES256 ", " ES256", "ES256K", "ES512K",
        "RS1", "HS1", "A128KW", "dir", "RSA-OAEP", "eddsa", "EDDSA", "Ed25519", "Ed448", "",
    ] {
        refuse_header(json!({"alg": name}).to_string(), Malformed::Algorithm);
    }
    let known = "HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA";
    for name in known.split(' ') {
        let token = unsigned(json!({"alg": name}).to_string(), "{}");
        assert_eq!(Token::read(token.as_bytes()).unwrap().algorithm.name(), name);
    }
}

#[test]
fn the_algorithm_is_a_text_and_there() {
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":["ES256"]}"#, r#"{"alg":1}"#] {
        refuse_header(header, Malformed::Form);
    }
    refuse_header(r#"{"ALG":"ES256"}"#, Malformed::Form);
}

#[test]
fn kid_and_typ_are_texts_if_there() {
    for name in ["kid", "typ"] {
        for value in [json!(1), json!(null), json!(true), json!(["a"]), json!({"a": "b"})] {
            refuse_header(json!({"alg": "ES256", name: value}).to_string(), Malformed::Form);
        }
    }
    let token = unsigned(HEADER, "{}");
    let token = Token::read(token.as_bytes()).unwrap();
    assert_eq!((token.key_id, token.kind), (None, None));
}

#[test]
fn critical_extensions_are_refused_whatever_they_are() {
    for crit in [json!(["exp"]), json!([]), json!(null), json!("exp"), json!(["b64"])] {
        refuse_header(json!({"alg": "ES256", "crit": crit}).to_string(), Malformed::Critical);
    }
}

#[test]
fn an_unencoded_payload_is_refused() {
    for b64 in [json!(false), json!(null), json!(0), json!("true")] {
        refuse_header(json!({"alg": "ES256", "b64": b64}).to_string(), Malformed::Critical);
    }
    let token = unsigned(r#"{"alg":"ES256","b64":true}"#, "{}");
    assert!(Token::read(token.as_bytes()).is_ok());
}

#[test]
fn keys_in_a_token_are_not_looked_at() {
    for name in ["jwk", "jku", "x5c", "x5u", "x5t", "cty"] {
        for value in [json!(1), json!({"kty": "oct"}), json!("https://evil.example")] {
            let token = unsigned(json!({"alg": "ES256", name: value}).to_string(), "{}");
            assert!(Token::read(token.as_bytes()).is_ok());
        }
    }
}

#[test]
fn it_is_no_longer_than_it_may_be() {
    let of = |len: usize| {
        let rest = format!("{}.{}.", b64(HEADER), b64("{}"));
        // No base64 has a length of one more than a multiple of four.
        let signature = "A".repeat(len - rest.len());
        rest + &signature
    };
    let longest =
        (MAX_TOKEN - 3..=MAX_TOKEN).rev().find(|len| Token::read(of(*len).as_bytes()).is_ok());
    assert!(longest.is_some_and(|len| len + 1 >= MAX_TOKEN), "{longest:?}");
    for len in MAX_TOKEN + 1..MAX_TOKEN + 5 {
        refuse(of(len), Malformed::Form);
    }
}

#[test]
fn it_is_no_deeper_than_the_parser_goes() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        unsigned(HEADER, format!("{{\"a\":{open}{close}}}"))
    };
    assert!(Token::read(nested(126).as_bytes()).is_ok());
    refuse(nested(128), Malformed::Form);
    refuse(nested(5000), Malformed::Form);
}
