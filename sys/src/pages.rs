//! Memory by the page, for a process that mostly sleeps: what it needs only
//! while it works is given back when it does not.
#![expect(unsafe_code, reason = "mappings and their return")]

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::slice;

/// The smallest page of our targets. Where pages are larger, less is given
/// back, and nothing else changes.
const PAGE: usize = 4 << 10;

/// Stack below the caller's own frame that is left alone: the red zone, and
/// the thin wrapper of the call that gives the rest back.
const LIVE_STACK: usize = 1 << 10;

/// Depth to which a dead stack is given back.
const DEAD_STACK: usize = 256 << 10;

/// A buffer of whole pages, all zero at first.
#[derive(Debug)]
pub struct Pages {
    base: NonNull<u8>,
    len: usize,
}

impl Pages {
    /// A buffer of `len` bytes.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn new(len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping at a place of the kernel's choice.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    /// Gives the memory back; the buffer is zero again and can be used on.
    pub fn release(&mut self) {
        // SAFETY: our own mapping, to which nobody holds a reference. That it
        // becomes zero is a change that `&mut self` allows.
        unsafe { libc::madvise(self.base.as_ptr().cast(), self.len, libc::MADV_DONTNEED) };
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is readable, initialised by the kernel, and lives
        // as long as `self`.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and writable; `&mut self` is the only access.
        unsafe { slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and the last use of it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Gives back the stack that earlier, deeper calls left behind below the
/// caller. For the main thread of a program without signal handlers.
#[inline(never)]
pub fn release_dead_stack() {
    let here = 0u8;
    let address = ptr::from_ref(&here).addr();
    let top = (address - LIVE_STACK) & !(PAGE - 1);
    let bottom: *mut libc::c_void = ptr::without_provenance_mut(top - DEAD_STACK);
    // SAFETY: the range lies wholly below every live frame and its red zone:
    // nothing in it will be read before it is written. Parts that are not
    // mapped are left out by the kernel; other mappings keep a far greater
    // distance from a main thread's stack (`stack_guard_gap` is 1 MiB).
    unsafe { libc::madvise(bottom, DEAD_STACK, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_buffer_is_zero_and_works_on() {
        let mut pages = Pages::new(16 << 10).expect("memory");
        assert!(pages.iter().all(|byte| *byte == 0));
        pages.fill(7);
        pages.release();
        assert!(pages.iter().all(|byte| *byte == 0));
        pages[5] = 1;
        assert_eq!((pages.len(), pages[5]), (16 << 10, 1));
    }
}
