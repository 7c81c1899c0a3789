use super::*;
use proptest::prelude::*;

#[test]
fn every_layout_has_a_place() {
    let class = |size, align| class_of(Layout::from_size_align(size, align).expect("valid"));
    assert_eq!(class(1, 1), Class::Small(0));
    assert_eq!(class(16, 16), Class::Small(0));
    assert_eq!(class(17, 8), Class::Small(1));
    assert_eq!(class(LARGEST_SMALL, 1), Class::Small(CLASSES - 1));
    assert_eq!(class(LARGEST_SMALL + 1, 1), Class::Large(PAGE));
    assert_eq!(class(8, 64), Class::Large(PAGE));
    assert_eq!(class(8, 2 * PAGE), Class::Impossible);
}

#[test]
fn trimming_leaves_the_living_and_makes_no_block_twice() {
    let heap = CompactHeap::new();
    let layout = Layout::from_size_align(400, 8).expect("valid");
    // SAFETY: the size is not zero.
    let blocks: Vec<*mut u8> = (0..100).map(|_| unsafe { heap.alloc(layout) }).collect();
    for (number, block) in blocks.iter().enumerate() {
        // SAFETY: a block of this heap with its size.
        unsafe { block.write_bytes(7, 400) };
        if number % 50 != 0 {
            // SAFETY: a block of this heap with its layout.
            unsafe { heap.dealloc(*block, layout) };
        }
    }
    heap.trim();
    for number in [0, 50] {
        // SAFETY: this block was not freed.
        let bytes = unsafe { std::slice::from_raw_parts(blocks[number], 400) };
        assert!(bytes.iter().all(|byte| *byte == 7));
    }
    // SAFETY: an address of the region; released pages are zero.
    assert_eq!(unsafe { blocks[25].read() }, 0);
    // SAFETY: the size is not zero.
    let mut again: Vec<*mut u8> = (0..100).map(|_| unsafe { heap.alloc(layout) }).collect();
    again.extend([blocks[0], blocks[50]]);
    again.sort_unstable();
    assert!(
        again
            .windows(2)
            .all(|pair| pair[1].addr() - pair[0].addr() >= 400)
    );
}

#[test]
fn zeroed_is_zero_where_something_was_before() {
    let heap = CompactHeap::new();
    for size in [400, 20_000] {
        let layout = Layout::from_size_align(size, 8).expect("valid");
        for _ in 0..3 {
            // SAFETY: the size is not zero.
            let block = unsafe { heap.alloc_zeroed(layout) };
            // SAFETY: a block of this heap with its size, zero or written before.
            let bytes = unsafe { std::slice::from_raw_parts_mut(block, size) };
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(7);
            // SAFETY: a block of this heap with its layout.
            unsafe { heap.dealloc(block, layout) };
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Allocate(usize, u32),
    Resize(usize, usize),
    Free(usize),
    Trim,
}

fn act() -> impl Strategy<Value = Act> {
    let size = prop_oneof![1usize..100, 1usize..5000, Just(LARGEST_SMALL), Just(20_000)];
    prop_oneof![
        (size.clone(), 0u32..8).prop_map(|(size, shift)| Act::Allocate(size, shift)),
        (any::<usize>(), size).prop_map(|(at, size)| Act::Resize(at, size)),
        any::<usize>().prop_map(Act::Free),
        any::<usize>().prop_map(Act::Free),
        Just(Act::Trim),
    ]
}

/// A block with the byte that fills it.
struct Block {
    start: *mut u8,
    layout: Layout,
    fill: u8,
}

fn fill(block: &Block) {
    // SAFETY: the block is ours and has this size.
    unsafe { block.start.write_bytes(block.fill, block.layout.size()) };
}

fn is_intact(block: &Block, len: usize) -> bool {
    // SAFETY: the block is ours, filled, and has at least this size.
    let bytes = unsafe { std::slice::from_raw_parts(block.start, len) };
    bytes.iter().all(|byte| *byte == block.fill)
}

proptest! {
    #[test]
    fn blocks_keep_what_was_written_to_them(acts in proptest::collection::vec(act(), 1..200)) {
        let heap = CompactHeap::new();
        let mut blocks: Vec<Block> = Vec::new();
        for (number, act) in acts.into_iter().enumerate() {
            let new_fill = u8::try_from(number % 251).expect("small");
            match act {
                Act::Allocate(size, shift) => {
                    let layout = Layout::from_size_align(size, 1 << shift).expect("valid");
                    // SAFETY: the size is not zero.
                    let start = unsafe { heap.alloc(layout) };
                    prop_assert!(!start.is_null() && start.addr() % layout.align() == 0);
                    blocks.push(Block { start, layout, fill: new_fill });
                    fill(&blocks[blocks.len() - 1]);
                }
                Act::Resize(at, size) if !blocks.is_empty() => {
                    let at = at % blocks.len();
                    let block = &mut blocks[at];
                    let kept = block.layout.size().min(size);
                    // SAFETY: a block of this heap with its layout.
                    block.start = unsafe { heap.realloc(block.start, block.layout, size) };
                    block.layout = Layout::from_size_align(size, block.layout.align()).expect("valid");
                    prop_assert!(is_intact(block, kept));
                    fill(block);
                }
                Act::Free(at) if !blocks.is_empty() => {
                    let block = blocks.swap_remove(at % blocks.len());
                    prop_assert!(is_intact(&block, block.layout.size()));
                    // SAFETY: a block of this heap with its layout.
                    unsafe { heap.dealloc(block.start, block.layout) };
                }
                Act::Trim => heap.trim(),
                Act::Resize(..) | Act::Free(_) => {}
            }
        }
        for block in blocks {
            prop_assert!(is_intact(&block, block.layout.size()));
            // SAFETY: a block of this heap with its layout.
            unsafe { heap.dealloc(block.start, block.layout) };
        }
    }
}
