//! One host call as its function sees it: arguments in order, and the module's memory.

use wasmtime::{Caller, Val};

use super::faults::Corruption;
use super::state::State;

/// A host call under way. Each getter takes the next argument, or the next two.
pub(super) struct Guest<'a> {
    caller: Caller<'a, State>,
    name: &'static str,
    arguments: std::slice::Iter<'a, Val>,
}

/// A host call that does not come to `Ok`.
pub(super) enum Stop {
    /// The call returns this status.
    Status(u32),
    /// The module ends.
    Trap(wasmtime::Error),
}

pub(super) type Done = Result<(), Stop>;

pub(super) const NOT_FOUND: Stop = Stop::Status(1);
pub(super) const BAD_ARGUMENT: Stop = Stop::Status(2);
pub(super) const PARSE_FAILURE: Stop = Stop::Status(4);
pub(super) const INVALID_MEMORY_ACCESS: Stop = Stop::Status(6);
pub(super) const CAS_MISMATCH: Stop = Stop::Status(8);
pub(super) const UNIMPLEMENTED: Stop = Stop::Status(12);

impl<'a> Guest<'a> {
    pub(super) fn new(caller: Caller<'a, State>, name: &'static str, arguments: &'a [Val]) -> Self {
        Self { caller, name, arguments: arguments.iter() }
    }

    pub(super) fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    pub(super) fn u32(&mut self) -> u32 {
        self.arguments.next().and_then(Val::i32).map_or(0, |word| word as u32)
    }

    pub(super) fn i64(&mut self) -> i64 {
        self.arguments.next().and_then(Val::i64).unwrap_or(0)
    }

    /// The bytes that a pointer and a size name.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Stop> {
        let (at, size) = (self.u32(), self.u32());
        self.read(at, size)
    }

    /// As [`Self::bytes`], as text.
    pub(super) fn text(&mut self) -> Result<String, Stop> {
        self.bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn read(&mut self, at: u32, size: u32) -> Result<Vec<u8>, Stop> {
        let (at, size) = (at as usize, size as usize);
        let memory = self.memory()?.data(&self.caller);
        let bytes = memory.get(at..at + size).ok_or(INVALID_MEMORY_ACCESS)?;
        Ok(bytes.to_vec())
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Done {
        let memory = self.memory()?;
        memory.write(&mut self.caller, at as usize, bytes).map_err(|_| INVALID_MEMORY_ACCESS)
    }

    /// Writes to where the next argument points.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Done {
        let at = self.u32();
        self.write(at, bytes)
    }

    /// Returns bytes to where the next two arguments point, in memory that the module allocates.
    pub(super) fn give(&mut self, bytes: Vec<u8>) -> Done {
        let name = self.name;
        let corruption = self.state().faults.corruption(name);
        let bytes = match corruption {
            Some(corruption) => corruption.spoil(bytes),
            None => bytes,
        };
        let at = match corruption {
            Some(Corruption::NullPointer) => 0,
            Some(Corruption::Empty) => self.allocate(1)?,
            _ if bytes.is_empty() => 0,
            _ => self.copy(&bytes)?,
        };
        self.put(&at.to_le_bytes())?;
        self.put(&(bytes.len() as u32).to_le_bytes())
    }

    fn copy(&mut self, bytes: &[u8]) -> Result<u32, Stop> {
        let at = self.allocate(bytes.len() as u32)?;
        self.write(at, bytes)?;
        Ok(at)
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Stop> {
        let export = ["proxy_on_memory_allocate", "malloc"]
            .into_iter()
            .find_map(|name| self.caller.get_export(name)?.into_func())
            .ok_or(INVALID_MEMORY_ACCESS)?;
        let allocate = export.typed::<u32, u32>(&self.caller).map_err(Stop::Trap)?;
        let at = allocate.call(&mut self.caller, size).map_err(Stop::Trap)?;
        if at == 0 { Err(INVALID_MEMORY_ACCESS) } else { Ok(at) }
    }

    fn memory(&mut self) -> Result<wasmtime::Memory, Stop> {
        let export = self.caller.get_export("memory");
        export.and_then(wasmtime::Extern::into_memory).ok_or(INVALID_MEMORY_ACCESS)
    }
}
