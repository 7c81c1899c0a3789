//! A heap for a small process that lives long and does little, or does little and
//! ends: its objects stand side by side, whatever their sizes, so that few pages are
//! touched.
//!
//! A general allocator keeps objects of one size together and so touches at
//! least a page for each of a dozen sizes. Here all sizes up to
//! [`LARGEST_SMALL`] are cut from one growing region and go back to a list of
//! their size; larger ones are mappings of their own, gone when they are freed.
//! Memory of small objects is reused for their size; after
//! [`CompactHeap::trim`] it is reused for any, and empty pages are returned.
#![expect(unsafe_code, reason = "an allocator")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Larger objects get a mapping of their own.
pub const LARGEST_SMALL: usize = 2 << 10;

/// Sizes are rounded up to this, and no small object needs a wider alignment.
const UNIT: usize = 16;

/// Address space that is taken at a time; only touched pages cost memory.
const REGION: usize = 1 << 20;

const CLASSES: usize = LARGEST_SMALL / UNIT;
const PAGE: usize = 4 << 10;

/// How much of the newest region a trim looks at: far more than a start takes.
const WINDOW: usize = 64 << 10;

/// The heap, to be made a program's `#[global_allocator]`.
pub struct CompactHeap {
    /// A shim has one thread, and `agentctl` seldom more, so that this hardly ever
    /// waits; any other use is slow and still sound.
    locked: AtomicBool,
    state: UnsafeCell<State>,
}

/// Free memory of any length, between the living.
struct Run {
    next: *mut Run,
    len: usize,
}

struct State {
    /// What the last trim found.
    runs: *mut Run,
    /// Freed objects of each size, linked by their first word.
    free: [*mut u8; CLASSES],
    /// The newest region, of which `next` is the part that was never used.
    region: *mut u8,
    next: *mut u8,
    left: usize,
}

// SAFETY: the state is touched only by whoever holds the lock.
unsafe impl Sync for CompactHeap {}

impl CompactHeap {
    /// An empty heap.
    #[must_use]
    pub const fn new() -> Self {
        let none = ptr::null_mut();
        let state = State {
            runs: ptr::null_mut(),
            free: [none; CLASSES],
            region: none,
            next: none,
            left: 0,
        };
        Self {
            locked: AtomicBool::new(false),
            state: UnsafeCell::new(state),
        }
    }

    /// Joins what is free and returns the pages on which nothing lives. It
    /// looks at everything: for the end of a phase, not for every day.
    pub fn trim(&self) {
        self.with_state(State::trim);
    }

    fn with_state<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        while self.locked.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: the lock is ours, and `action` neither allocates nor panics.
        let result = action(unsafe { &mut *self.state.get() });
        self.locked.store(false, Ordering::Release);
        result
    }
}

impl Default for CompactHeap {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: blocks are cut from mappings, at least as large and as aligned as the
// layout asks, never overlap, and stay valid until they are given back with the
// same layout, from which the same class follows.
unsafe impl GlobalAlloc for CompactHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_of(layout) {
            Class::Small(class) => self.with_state(|state| state.take(class)),
            Class::Large(len) => map(len),
            Class::Impossible => ptr::null_mut(),
        }
    }

    /// A mapping is zero from the beginning, and no page of it is touched.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout is the caller's.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() && matches!(class_of(layout), Class::Small(_)) {
            // SAFETY: a new block of at least this size.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class_of(layout) {
            Class::Small(class) => self.with_state(|state| state.give_back(block, class)),
            Class::Large(len) => unmap(block, len),
            Class::Impossible => {}
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size fits the alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        match (class_of(layout), class_of(new_layout)) {
            (Class::Small(old), Class::Small(new)) if old == new => block,
            (Class::Large(old), Class::Large(new)) => remap(block, old, new),
            _ => {
                // SAFETY: a new block of the caller's alignment and size.
                let new_block = unsafe { self.alloc(new_layout) };
                if !new_block.is_null() {
                    // SAFETY: two blocks that do not overlap, each at least as
                    // large as what is copied; the old one is the caller's.
                    unsafe {
                        ptr::copy_nonoverlapping(block, new_block, layout.size().min(new_size));
                        self.dealloc(block, layout);
                    }
                }
                new_block
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// So many units, less one.
    Small(usize),
    /// So many bytes, whole pages.
    Large(usize),
    /// No mapping is aligned like that.
    Impossible,
}

fn class_of(layout: Layout) -> Class {
    if layout.size() <= LARGEST_SMALL && layout.align() <= UNIT {
        Class::Small(layout.size().max(1).div_ceil(UNIT) - 1)
    } else if layout.align() <= PAGE {
        Class::Large(layout.size().next_multiple_of(PAGE))
    } else {
        Class::Impossible
    }
}

impl State {
    fn take(&mut self, class: usize) -> *mut u8 {
        let freed = self.free[class];
        if !freed.is_null() {
            // SAFETY: a freed block of ours, whose first word is the link.
            self.free[class] = unsafe { freed.cast::<*mut u8>().read() };
            return freed;
        }
        let size = (class + 1) * UNIT;
        let block = self.take_from_run(size);
        if !block.is_null() {
            return block;
        }
        if self.left < size {
            // The rest of the old region stays unused, and so do its runs.
            self.runs = ptr::null_mut();
            let region = map(REGION);
            if region.is_null() {
                return region;
            }
            (self.region, self.next, self.left) = (region, region, REGION);
        }
        let block = self.next;
        self.next = block.wrapping_add(size);
        self.left -= size;
        block
    }

    fn give_back(&mut self, block: *mut u8, class: usize) {
        // SAFETY: the block is ours again, large enough for a word, and aligned
        // to more than one.
        unsafe { block.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = block;
    }

    fn trim(&mut self) {
        let mut free = [false; WINDOW / UNIT];
        for class in 0..CLASSES {
            self.withdraw(class, &mut free);
        }
        let mut runs = std::mem::replace(&mut self.runs, ptr::null_mut());
        while !runs.is_null() {
            let run = runs;
            // SAFETY: a run of ours begins with its header.
            let header = unsafe { run.read() };
            runs = header.next;
            let from = run.addr() - self.region.addr();
            free[from / UNIT..(from + header.len) / UNIT].fill(true);
        }
        let mut at = 0;
        while let Some(start) = free[at..].iter().position(|is_free| *is_free) {
            let start = at + start;
            let len = free[start..].iter().position(|is_free| !is_free);
            let end = len.map_or(free.len(), |len| start + len);
            self.add_run(start * UNIT, (end - start) * UNIT);
            at = end;
        }
    }

    /// Takes the blocks of the window out of their list and marks them.
    fn withdraw(&mut self, class: usize, free: &mut [bool; WINDOW / UNIT]) {
        let size = (class + 1) * UNIT;
        let mut rest = std::mem::replace(&mut self.free[class], ptr::null_mut());
        while !rest.is_null() {
            let block = rest;
            // SAFETY: a freed block of ours, whose first word is the link.
            rest = unsafe { block.cast::<*mut u8>().read() };
            let offset = block.addr().wrapping_sub(self.region.addr());
            if offset < WINDOW && offset + size <= WINDOW {
                free[offset / UNIT..(offset + size) / UNIT].fill(true);
            } else {
                self.give_back(block, class);
            }
        }
    }

    /// Makes the free bytes at `offset` of the region a run, and returns its
    /// whole pages but for the one that its header is on.
    fn add_run(&mut self, offset: usize, len: usize) {
        let start = self.region.wrapping_add(offset);
        if len < size_of::<Run>() {
            return self.give_back(start, len / UNIT - 1);
        }
        let run = start.cast::<Run>();
        // SAFETY: free memory of ours, large enough and aligned to a unit.
        unsafe {
            run.write(Run {
                next: self.runs,
                len,
            })
        };
        self.runs = run;
        let first = (offset + size_of::<Run>()).next_multiple_of(PAGE);
        let last = (offset + len) / PAGE * PAGE;
        if first < last {
            let pages = self.region.wrapping_add(first).cast();
            // SAFETY: nothing lives on these pages; their content does not
            // matter until they are given out again.
            unsafe { libc::madvise(pages, last - first, libc::MADV_DONTNEED) };
        }
    }

    /// Cuts a block off the end of the first run that has room.
    fn take_from_run(&mut self, size: usize) -> *mut u8 {
        let mut link = &raw mut self.runs;
        loop {
            // SAFETY: `link` is our own head, or the link of a header of ours.
            let run = unsafe { link.read() };
            if run.is_null() {
                return ptr::null_mut();
            }
            // SAFETY: a run of ours begins with its header, to which nobody
            // else holds a reference.
            let header = unsafe { &mut *run };
            if header.len >= size + size_of::<Run>() {
                header.len -= size;
                return run.cast::<u8>().wrapping_add(header.len);
            }
            if header.len == size {
                // SAFETY: as above; the whole run is used up.
                unsafe { link.write(header.next) };
                return run.cast();
            }
            link = &raw mut header.next;
        }
    }
}

fn map(len: usize) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping at a place of the kernel's choice.
    let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        ptr::null_mut()
    } else {
        base.cast()
    }
}

fn remap(block: *mut u8, old: usize, new: usize) -> *mut u8 {
    if old == new {
        return block;
    }
    // SAFETY: a whole mapping of ours, which may move; the old place is not
    // used again.
    let base = unsafe { libc::mremap(block.cast(), old, new, libc::MREMAP_MAYMOVE) };
    if base == libc::MAP_FAILED {
        ptr::null_mut()
    } else {
        base.cast()
    }
}

fn unmap(block: *mut u8, len: usize) {
    // SAFETY: a whole mapping of ours that is not used again.
    unsafe { libc::munmap(block.cast(), len) };
}

#[cfg(test)]
mod tests;
