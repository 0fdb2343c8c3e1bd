//! `gatehouse hash`: what a configuration holds in place of a password or a key.

use std::io::{self, IsTerminal, Read};

use basic_auth::password::{MAX_PASSWORD, PasswordHash};
use sha_crypt::{Algorithm, Params, PasswordHasher, ShaCrypt};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::arguments::HashArguments;
use crate::keygen::random;
use crate::output::{self, Failure, Outcome};

/// The rounds of SHA-512 crypt: a tenth of what `basic-auth` takes at most.
const ROUNDS: u32 = 100_000;

/// Hashes one secret.
pub(crate) fn run(arguments: &HashArguments) -> Result<Outcome, Failure> {
    if let Some(user) = &arguments.user {
        check_user(user).map_err(Failure::because)?;
    }
    let secret = if arguments.key { read("Key")? } else { read("Password")? };
    if arguments.key {
        output::say(sha256(&secret)?)?;
        return Ok(Outcome::Well);
    }
    check_password(&secret, arguments.sha512).map_err(Failure::because)?;
    let hash =
        if arguments.sha512 { sha512_crypt(&secret)? } else { bcrypt(&secret, arguments.cost)? };
    // What the filter would not take for the password's hash is no hash.
    match PasswordHash::parse(&hash) {
        Ok(read) if read.verify(secret.as_bytes()) => {}
        _ => return Err(Failure::because("the hash does not match the password")),
    }
    match &arguments.user {
        Some(user) => output::say(format_args!("{user}:{hash}"))?,
        None => output::say(hash)?,
    }
    Ok(Outcome::Well)
}

/// The secret: asked for twice on a terminal, else the first line of standard input.
fn read(what: &str) -> Result<Zeroizing<String>, Failure> {
    let because = |error: io::Error| Failure::because(format!("cannot read it: {error}"));
    if io::stdin().is_terminal() {
        let ask = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new);
        let secret = ask(format!("{what}: ")).map_err(because)?;
        if *ask(format!("{what} again: ")).map_err(because)? != *secret {
            return Err(Failure::because("what was typed twice is not the same"));
        }
        return Ok(secret);
    }
    let mut text = Zeroizing::new(String::new());
    io::stdin().take(64 << 10).read_to_string(&mut text).map_err(because)?;
    // What editors put at the beginning of a file is no part of it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = text.split('\n').next().unwrap_or_default();
    Ok(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// RFC 7617: no colon and no control character; and `#` would begin a comment in htpasswd.
fn check_user(user: &str) -> Result<(), &'static str> {
    let is_wrong = |letter: char| letter == ':' || letter.is_control();
    if user.is_empty() || user.contains(is_wrong) || user.starts_with('#') || user.trim() != user {
        return Err(
            "a user has a name, without `:`, control characters, `#` at its beginning and spaces at its ends",
        );
    }
    Ok(())
}

fn check_password(password: &str, is_sha: bool) -> Result<(), String> {
    let most = if is_sha { MAX_PASSWORD } else { 72 };
    match password.len() {
        0 => Err("the password is empty".to_owned()),
        // bcrypt looks no further, and the rest would count for nothing.
        long if long > most => Err(format!("the password is longer than {most} bytes")),
        _ if password.contains(char::is_control) => {
            Err("the password holds a control character, which no client can send".to_owned())
        }
        _ => Ok(()),
    }
}

fn bcrypt(password: &str, cost: u32) -> Result<String, Failure> {
    let parts = bcrypt::hash_with_salt(password, cost, random()?)
        .map_err(|error| Failure::because(error.to_string()))?;
    Ok(parts.format_for_version(bcrypt::Version::TwoY))
}

fn sha512_crypt(password: &str) -> Result<String, Failure> {
    let because = |error: &dyn std::fmt::Display| Failure::because(error.to_string());
    let params = Params::new(ROUNDS).map_err(|error| because(&error))?;
    let scheme = ShaCrypt::new(Algorithm::Sha512Crypt, params);
    // Twelve bytes are the sixteen characters that a salt may have.
    let salt: [u8; 12] = random()?;
    let hash = scheme.hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| because(&error))
}

/// The SHA-256 of a key that `api-key-auth` would take.
pub(crate) fn sha256(key: &str) -> Result<String, Failure> {
    if key.len() < 8 {
        return Err(Failure::because("a key of less than 8 bytes is refused by api-key-auth"));
    }
    if key.contains(char::is_control) || key.trim() != key {
        return Err(Failure::because("a key has no control character, and no space at its ends"));
    }
    Ok(Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect())
}
