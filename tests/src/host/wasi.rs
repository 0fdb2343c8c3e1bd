//! The few functions of WASI that proxies offer: environment, clock, random bytes, output.

use super::guest::{Done, Guest, Stop};
use super::imports::Import;

pub(super) const IMPORTS: &[Import] = &[
    ("args_get", "ii", nothing),
    ("args_sizes_get", "ii", sizes_of_nothing),
    ("environ_get", "ii", environ_get),
    ("environ_sizes_get", "ii", environ_sizes_get),
    ("clock_time_get", "iIi", clock_time_get),
    ("random_get", "ii", random_get),
    ("fd_write", "iiii", fd_write),
    ("fd_read", "iiii", bad_descriptor),
    ("fd_seek", "iIii", bad_descriptor),
    ("fd_close", "i", bad_descriptor),
    ("fd_fdstat_get", "ii", bad_descriptor),
    ("fd_prestat_get", "ii", bad_descriptor),
    ("fd_prestat_dir_name", "iii", bad_descriptor),
    ("sched_yield", "", nothing),
    ("proc_exit", "i", proc_exit),
];

fn nothing(_: &mut Guest<'_>) -> Done {
    Ok(())
}

fn sizes_of_nothing(guest: &mut Guest<'_>) -> Done {
    guest.put(&[0; 4])?;
    guest.put(&[0; 4])
}

fn environ_get(guest: &mut Guest<'_>) -> Done {
    let (mut pointer, mut at) = (guest.u32(), guest.u32());
    for entry in environment(guest) {
        guest.write(pointer, &at.to_le_bytes())?;
        guest.write(at, &entry)?;
        pointer += 4;
        at += entry.len() as u32;
    }
    Ok(())
}

fn environ_sizes_get(guest: &mut Guest<'_>) -> Done {
    let environment = environment(guest);
    guest.put(&(environment.len() as u32).to_le_bytes())?;
    guest.put(&(environment.iter().map(Vec::len).sum::<usize>() as u32).to_le_bytes())
}

fn environment(guest: &mut Guest<'_>) -> Vec<Vec<u8>> {
    let variables = guest.state().environment.iter();
    variables.map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}

/// Real and monotonic are one here: the time that the test set.
fn clock_time_get(guest: &mut Guest<'_>) -> Done {
    let (_clock, _precision) = (guest.u32(), guest.i64());
    let now = guest.state().now;
    guest.put(&now.to_le_bytes())
}

fn random_get(guest: &mut Guest<'_>) -> Done {
    let (at, size) = (guest.u32(), guest.u32());
    if size > RANDOM_AT_MOST {
        return Err(INVALID);
    }
    let bytes: Vec<u8> = (0..size).map(|_| guest.state().random_byte()).collect();
    guest.write(at, &bytes)
}

/// Standard output and error are lines of the log, as in Envoy.
fn fd_write(guest: &mut Guest<'_>) -> Done {
    let (descriptor, vectors, count) = (guest.u32(), guest.u32(), guest.u32());
    let level = match descriptor {
        1 => 2,
        2 => 4,
        _ => return Err(BAD_DESCRIPTOR),
    };
    let mut text = Vec::new();
    for vector in (0..count).map(|n| vectors + 8 * n) {
        let (at, size) = (word(guest, vector)?, word(guest, vector + 4)?);
        text.extend(guest.read(at, size)?);
    }
    guest.state().log(level, &text);
    guest.put(&(text.len() as u32).to_le_bytes())
}

fn word(guest: &mut Guest<'_>, at: u32) -> Result<u32, Stop> {
    let bytes = guest.read(at, 4)?;
    Ok(bytes.try_into().map_or(0, u32::from_le_bytes))
}

fn bad_descriptor(_: &mut Guest<'_>) -> Done {
    Err(BAD_DESCRIPTOR)
}

fn proc_exit(guest: &mut Guest<'_>) -> Done {
    let code = guest.u32();
    Err(Stop::Trap(wasmtime::Error::msg(format!("the module left with code {code}"))))
}

/// `EBADF` and `EINVAL` of WASI.
const BAD_DESCRIPTOR: Stop = Stop::Status(8);
const INVALID: Stop = Stop::Status(28);
/// Envoy gives no more at once.
const RANDOM_AT_MOST: u32 = 64 * 1024;
