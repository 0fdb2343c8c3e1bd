//! `gatehouse keygen`: keys that nobody can guess.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::arguments::KeygenArguments;
use crate::hash::sha256;
use crate::output::{self, Failure, Outcome};

/// Makes one key.
pub(crate) fn run(arguments: &KeygenArguments) -> Result<Outcome, Failure> {
    let mut bytes = vec![0; usize::from(arguments.bytes.get())];
    fill(&mut bytes)?;
    let key = URL_SAFE_NO_PAD.encode(bytes);
    if !arguments.api_key {
        output::say(key)?;
        return Ok(Outcome::Well);
    }
    let key = format!("{}_{key}", arguments.prefix);
    output::say(format_args!("key:    {key}\nsha256: {}", sha256(&key)?))?;
    Ok(Outcome::Well)
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

fn fill(bytes: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(bytes).map_err(|error| Failure::because(format!("no randomness: {error}")))
}
