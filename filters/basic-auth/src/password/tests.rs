//! The rules of the module, one test each.

use super::vectors::*;
use super::*;

const BCRYPT: &str = "$2y$04$FKx9gEUteo33OvVj544FPeQKlKbTcn5hl1R/LaQlHHug3Uf6y.1bC";
const SHA256: &str = "$5$rounds=1000$3iyyKGaP215.0o/B$HypCN0eMLN1QGwo5Yw5MPyOtkVnUVLQZJQUcSA60H60";
const APR1: &str = "$apr1$eY7JI8.D$zpuQUPevb7Ycs2IunkMFk/";
const SHA1: &str = "{SHA}xyD9TFZQCbVgynqI40oFYqzz8+8=";

// Rule 1: what is read.

#[test]
fn verifies_what_htpasswd_makes() {
    OF_HTPASSWD.iter().for_each(|(options, hash)| check(options, hash, PASSWORD.as_bytes()));
}

#[test]
fn verifies_what_openssl_makes() {
    OF_OPENSSL.iter().for_each(|(options, hash)| check(options, hash, PASSWORD.as_bytes()));
}

#[test]
fn verifies_the_published_hashes_of_sha_crypt() {
    OF_DREPPER.iter().for_each(|(password, hash)| check(hash, hash, password.as_bytes()));
}

#[test]
fn verifies_the_published_hashes_of_bcrypt() {
    OF_OPENWALL.iter().for_each(|(password, hash)| check(hash, hash, password));
}

#[test]
fn verifies_the_empty_password() {
    OF_NOTHING.iter().for_each(|(options, hash)| check(options, hash, b""));
}

#[test]
fn verifies_passwords_that_are_not_utf_8() {
    OF_BYTES.iter().for_each(|(options, hash)| check(options, hash, b"\xe9\xff\x80"));
}

#[test]
fn tells_the_scheme_and_its_cost() {
    let schemes: Vec<_> = OF_HTPASSWD.iter().map(|(_, text)| hash(text).scheme()).collect();
    assert_eq!(
        schemes,
        [
            Scheme::Bcrypt { cost: 4 },
            Scheme::Bcrypt { cost: 5 },
            Scheme::Apr1,
            Scheme::Sha256Crypt { rounds: 5_000 },
            Scheme::Sha256Crypt { rounds: 1_000 },
            Scheme::Sha512Crypt { rounds: 5_000 },
            Scheme::Sha512Crypt { rounds: 10_000 },
            Scheme::Sha1,
        ]
    );
    assert_eq!(hash(OF_OPENSSL[0].1).scheme(), Scheme::Md5Crypt);
}

#[test]
fn refuses_other_formats_by_name() {
    for (text, name) in [
        ("BsEWI/XeRyTNQ", "DES crypt"),
        ("$y$j9T$abcdefgh$9WNEpu8Mx2S4KNGvbVWKM6clOSoY6.YEl7AYF4DGV04", "yescrypt"),
        (
            "$2x$04$abcdefghijklmnopqrstuuPp7HPfoAs8I2dCQCQ/fW7zEJv8I8C8e",
            "the bcrypt of a faulty library",
        ),
        ("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b", "Argon2"),
        ("{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "salted SHA-1"),
    ] {
        check_refused(text, InvalidHash::Unsupported(name));
    }
    for text in
        ["$$apr1$$eY7JI8.D$$zpuQUPevb7Ycs2IunkMFk/", "{MD5}1B2M2Y8AsgTpgAmY7PhCfg==", "$8$a$b"]
    {
        check_refused(text, InvalidHash::Unknown);
    }
}

#[test]
fn refuses_hashes_that_are_cut_off_too_long_or_misspelt() {
    for text in OF_HTPASSWD.iter().chain(&OF_OPENSSL).map(|(_, text)| text) {
        for damaged in [
            text.strip_suffix(|_: char| true).unwrap().to_owned(),
            format!("{text}."),
            format!("{text} "),
            format!(" {text}").replacen(" $", "$", 1).replacen('.', "é", 1).replacen('+', "é", 1)
                + "$",
            text.rsplit_once(['$', '}']).unwrap().0.to_owned() + "$",
        ] {
            assert!(PasswordHash::parse(&damaged).is_err(), "{damaged}");
        }
    }
}

#[test]
fn refuses_stray_bits_at_the_end_of_base64() {
    let of_salt = BCRYPT.replacen("PeQ", "PfQ", 1);
    check_refused(&of_salt, InvalidHash::Malformed("bcrypt"));
    check_refused(&BCRYPT.replace("1bC", "1bD"), InvalidHash::Malformed("bcrypt"));
    check_refused(&SHA256.replace("H60", "H6z"), InvalidHash::Malformed("SHA-256 crypt"));
    check_refused(&APR1.replace("Fk/", "Fkz"), InvalidHash::Malformed("apr1"));
    check_refused(&SHA1.replace("8=", "9="), InvalidHash::Malformed("{SHA}"));
}

#[test]
fn refuses_salts_that_are_empty_or_too_long() {
    for (salt, ok) in
        [("", false), ("s", true), ("12345678", true), ("123456789", false), ("a b", false)]
    {
        assert_eq!(PasswordHash::parse(&APR1.replace("eY7JI8.D", salt)).is_ok(), ok, "{salt}");
    }
    for (salt, ok) in [("", false), ("1234567890123456", true), ("12345678901234567", false)] {
        assert_eq!(
            PasswordHash::parse(&SHA256.replace("3iyyKGaP215.0o/B", salt)).is_ok(),
            ok,
            "{salt}"
        );
    }
}

// Rule 2: plain text.

#[test]
fn refuses_plain_text() {
    check_refused("secret", InvalidHash::Plain);
    check_refused("$ecret", InvalidHash::Plain);
    check_refused("{ecret", InvalidHash::Plain);
    check_refused("", InvalidHash::Empty);
}

#[test]
fn takes_plain_text_that_is_said_to_be_plain() {
    let hash = PasswordHash::plain(SHA1).unwrap();
    assert_eq!(hash.scheme(), Scheme::Plain);
    assert!(hash.verify(SHA1.as_bytes()));
    assert!(!hash.verify(PASSWORD.as_bytes()));
}

#[test]
fn refuses_plain_text_that_nobody_could_send() {
    assert!(PasswordHash::plain(&"x".repeat(256)).unwrap().verify(&[b'x'; 256]));
    for (password, invalid) in [
        ("", InvalidHash::Empty),
        (&*"x".repeat(257), InvalidHash::ImpossiblePassword),
        ("a\0b", InvalidHash::ImpossiblePassword),
    ] {
        assert_eq!(PasswordHash::plain(password).unwrap_err(), invalid);
    }
}

// Rule 3: bounds.

#[test]
fn bounds_the_cost_of_bcrypt() {
    let of_cost = |cost: &str| PasswordHash::parse(&BCRYPT.replacen("04", cost, 1));
    assert!(of_cost("14").is_ok());
    for (cost, message) in [
        ("00", "is no bcrypt hash: cut off, too long, or with a wrong character"),
        ("4", "is no bcrypt hash: cut off, too long, or with a wrong character"),
        ("004", "is no bcrypt hash: cut off, too long, or with a wrong character"),
        ("+4", "is no bcrypt hash: cut off, too long, or with a wrong character"),
        ("03", "bcrypt cost 3 is below the least allowed, 4"),
        ("15", "bcrypt cost 15 is above the greatest allowed, 14"),
        ("31", "bcrypt cost 31 is above the greatest allowed, 14"),
        ("99", "bcrypt cost 99 is above the greatest allowed, 14"),
    ] {
        assert_eq!(of_cost(cost).unwrap_err().to_string(), message);
    }
}

#[test]
fn bounds_the_rounds_of_sha_crypt() {
    let of_rounds = |count: &str| PasswordHash::parse(&SHA256.replacen("1000", count, 1));
    assert!(of_rounds("1000000").is_ok());
    for (count, message) in [
        ("999", "SHA-256 crypt round count 999 is below the least allowed, 1000"),
        ("1000001", "SHA-256 crypt round count 1000001 is above the greatest allowed, 1000000"),
        ("99999999999", "is no SHA-256 crypt hash: cut off, too long, or with a wrong character"),
        ("01000", "is no SHA-256 crypt hash: cut off, too long, or with a wrong character"),
        ("", "is no SHA-256 crypt hash: cut off, too long, or with a wrong character"),
        ("-1000", "is no SHA-256 crypt hash: cut off, too long, or with a wrong character"),
    ] {
        assert_eq!(of_rounds(count).unwrap_err().to_string(), message);
    }
    let sha512 = OF_HTPASSWD[6].1.replacen("10000", "1000001", 1);
    assert_eq!(
        PasswordHash::parse(&sha512).unwrap_err().to_string(),
        "SHA-512 crypt round count 1000001 is above the greatest allowed, 1000000"
    );
}

#[test]
fn verifies_the_longest_passwords_and_none_that_is_longer() {
    OF_255_X.iter().for_each(|(options, hash)| check(options, hash, &[b'x'; 255]));
    let bcrypt = hash(OF_80_X);
    assert!(bcrypt.verify(&[b'x'; MAX_PASSWORD]));
    assert!(!bcrypt.verify(&[b'x'; MAX_PASSWORD + 1]));
    assert!(!bcrypt.verify(&vec![b'x'; 1 << 20]));
}

// Rule 4: NUL.

#[test]
fn a_password_with_a_nul_is_wrong() {
    // The key of bcrypt is repeated: `a NUL a NUL` is as good a key as `a NUL`.
    let made_of_a =
        PasswordHash { recipe: hash(BCRYPT).recipe, digest: hash(BCRYPT).recipe.digest(b"a") };
    assert_eq!(made_of_a.recipe.digest(b"a\0a"), made_of_a.digest);
    assert!(made_of_a.verify(b"a"));
    assert!(!made_of_a.verify(b"a\0a"));
    for (_, text) in OF_NOTHING {
        assert!(!hash(text).verify(b"\0"));
    }
}

// Rule 5: 72 bytes.

#[test]
fn bcrypt_looks_at_72_bytes() {
    let hash = hash(OF_80_X);
    assert!(hash.verify(&[b'x'; 80]));
    assert!(hash.verify(&[b'x'; 72]));
    assert!(!hash.verify(&[b'x'; 71]));
}

// Rule 6: $2a$.

#[test]
fn passwords_for_which_2a_is_ambiguous_are_wrong() {
    let (password, text) = OF_OPENWALLS_2A;
    assert!(!hash(text).verify(password));
}

// Rule 7: secrecy.

#[test]
fn debug_shows_the_scheme_only() {
    assert_eq!(format!("{:?}", hash(BCRYPT)), "PasswordHash(Bcrypt { cost: 4 }, ..)");
    assert_eq!(format!("{:?}", PasswordHash::plain("secret").unwrap()), "PasswordHash(Plain, ..)");
}

#[test]
fn errors_do_not_show_the_text() {
    for text in [BCRYPT, SHA256, APR1, SHA1, "$secret$secret$secret", "{secret}secret", "secret"] {
        for text in [format!("{text}secret"), format!("secret{text}"), format!("$secret{text}")] {
            let invalid = PasswordHash::parse(&text).unwrap_err();
            assert!(!format!("{invalid} {invalid:?}").contains("secret"), "{invalid:?}");
        }
    }
}

// Dummies.

#[test]
fn no_password_matches_a_dummy() {
    for (_, text) in OF_HTPASSWD {
        let dummy = PasswordHash::dummy(&hash(text));
        assert_eq!(dummy.scheme(), hash(text).scheme());
        assert!(!dummy.verify(PASSWORD.as_bytes()));
        assert!(!dummy.verify(b""));
    }
}

#[test]
fn a_dummy_is_hashed_like_its_model() {
    for (_, text) in OF_HTPASSWD {
        let (model, dummy) = (hash(text), PasswordHash::dummy(&hash(text)));
        assert_eq!(dummy.recipe.digest(b"any"), model.recipe.digest(b"any"));
    }
}

// Nonsense.

#[test]
fn survives_any_text_and_any_password() {
    for text in [
        "$",
        "$$",
        "$2y$",
        "$2y$04$",
        "$5$",
        "$5$rounds=",
        "$5$rounds=1000",
        "$6$$",
        "$apr1$",
        "$1$é$é",
        "{SHA}",
        "é",
        "\0",
    ] {
        assert!(PasswordHash::parse(text).is_err(), "{text}");
    }
    let dear = BCRYPT.replacen("04", "é", 1);
    assert!(PasswordHash::parse(&dear).is_err());
    for text in [BCRYPT, SHA256, APR1, SHA1] {
        for password in [&b""[..], b"\0", b"\xff\xfe", &[0xff; 256], &[b'x'; 1 << 20]] {
            assert!(!hash(text).verify(password));
        }
    }
}

// The real htpasswd.

#[test]
fn agrees_with_the_htpasswd_that_is_here() {
    if std::process::Command::new("htpasswd").output().is_err() {
        eprintln!("skipped: there is no htpasswd here (Debian: apache2-utils)");
        return;
    }
    let options =
        ["-niB -C4", "-niB -C6", "-nim", "-ni2", "-ni2 -r1234", "-ni5", "-ni5 -r1001", "-nis"];
    for (number, option) in (0_u64..64).zip(options.iter().cycle()) {
        let password = some_password(number);
        let text = htpasswd(option, &password);
        check(&format!("{option} of {password:?}"), &text, &password);
    }
    assert_eq!(
        PasswordHash::parse(&htpasswd("-nid", b"secret")).unwrap_err(),
        InvalidHash::Unsupported("DES crypt")
    );
    assert_eq!(PasswordHash::parse(&htpasswd("-nip", b"secret")).unwrap_err(), InvalidHash::Plain);
}

fn htpasswd(options: &str, password: &[u8]) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut command = Command::new("htpasswd");
    command.args(options.split(' ')).arg("alice");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(password).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    output.trim_end().strip_prefix("alice:").unwrap().to_owned()
}

/// Another one for each number and each run, of 1 to 255 bytes: no NUL, and no end of line.
fn some_password(number: u64) -> Vec<u8> {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    let length = (random.hash_one(number) % 255).saturating_add(1);
    let bytes = (0..length).map(|index| random.hash_one((number, index)).to_le_bytes()[0]);
    bytes.map(|byte| if matches!(byte, 0 | b'\n' | b'\r') { b'-' } else { byte }).collect()
}

// Helpers.

#[track_caller]
fn check(what: &str, text: &str, password: &[u8]) {
    let hash =
        PasswordHash::parse(text).unwrap_or_else(|invalid| panic!("{what}: {text} {invalid}"));
    assert!(hash.verify(password), "{what}: {text}");
    let mut other = password.to_vec();
    match other.first_mut() {
        Some(byte) => *byte ^= 1,
        None => other.push(b'x'),
    }
    assert!(!hash.verify(&other), "{what}: {text}");
}

#[track_caller]
fn check_refused(text: &str, invalid: InvalidHash) {
    assert_eq!(PasswordHash::parse(text).unwrap_err(), invalid, "{text}");
}

#[track_caller]
fn hash(text: &str) -> PasswordHash {
    PasswordHash::parse(text).unwrap()
}
