//! The module's memory: small pieces are kept for the next of their size.
//!
//! 1. A piece of at most [`LARGEST`] bytes is of a class, every [`STEP`] bytes one. What is given back
//!    goes on its class's list, and comes from there again: a few instructions, where the standard
//!    allocator looks for the best gap and merges it with its neighbours.
//! 2. What a class has none of, and what is larger, the standard allocator gives.
//! 3. A class keeps what it had at most in use at once; nothing of it goes back. A request needs the
//!    same pieces as the one before it.

#![allow(unsafe_code, reason = "an allocator is that")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

/// The difference between two classes, in bytes: a power of two, and no smaller than a pointer.
const STEP: usize = 16;
/// The largest piece of a class, in bytes.
const LARGEST: usize = 2048;
/// What the standard allocator aligns to by itself.
const ALIGN: usize = 8;

/// The allocator.
struct Pool {
    /// The first piece of each class that is free. It holds the address of the next.
    free: [Cell<*mut u8>; LARGEST / STEP],
}

#[global_allocator]
static POOL: Pool = Pool { free: [const { Cell::new(null_mut()) }; LARGEST / STEP] };

// SAFETY: a module of this target has one thread.
unsafe impl Sync for Pool {}

impl Pool {
    /// The list of a layout's class, and the size of all its pieces.
    fn class(&self, layout: &Layout) -> Option<(&Cell<*mut u8>, usize)> {
        // The size is never zero (`GlobalAlloc`).
        let index = layout.size().wrapping_sub(1) / STEP;
        let list = self.free.get(index)?;
        let size = index.wrapping_add(1).wrapping_mul(STEP);
        (layout.align() <= ALIGN).then_some((list, size))
    }
}

// SAFETY: a piece is on its class's list or in use, never both, and all pieces of a class have the size and
// the alignment of the class.
unsafe impl GlobalAlloc for Pool {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((list, size)) = self.class(&layout) else {
            // SAFETY: the caller's own promise.
            return unsafe { System.alloc(layout) };
        };
        let first = list.get();
        if first.is_null() {
            // SAFETY: no class has the size zero, and `ALIGN` is a power of two.
            return unsafe { System.alloc(Layout::from_size_align_unchecked(size, ALIGN)) };
        }
        // SAFETY: what is on the list was given back, and `dealloc` wrote an address to it.
        list.set(unsafe { first.cast::<*mut u8>().read() });
        first
    }

    #[inline(never)]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match self.class(&layout) {
            Some((list, _)) => {
                // SAFETY: the piece is given back, and large enough for an address, to which it is aligned.
                unsafe { piece.cast::<*mut u8>().write(list.get()) };
                list.set(piece);
            }
            // SAFETY: it came from there, with the same layout.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size` is right for the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (self.class(&layout), self.class(&wanted)) {
            (Some((_, had)), Some((_, has))) if had == has => return piece,
            // SAFETY: it came from there, with the same layout.
            (None, None) => return unsafe { System.realloc(piece, layout, size) },
            _ => {}
        }
        // SAFETY: `wanted` is a layout of the size that the caller asks for.
        let other = unsafe { self.alloc(wanted) };
        if !other.is_null() {
            // SAFETY: both are there, apart, and at least of the lesser size; the old one is given back once.
            unsafe {
                other.copy_from_nonoverlapping(piece, layout.size().min(size));
                self.dealloc(piece, layout);
            }
        }
        other
    }
}
