//! Payloads that were cut, flipped, or made up: an error or another message,
//! never a panic, never a message from half of one.

use proptest::prelude::*;
use protocol::codec::CodecError;

use crate::samples::{self, Reader};

fn readers() -> Vec<Reader> {
    // One of each family is enough: they read the family's type.
    let mut found: Vec<Reader> = Vec::new();
    let mut family = String::new();
    for (name, _, read) in samples::all() {
        let of = name.split('.').next().unwrap_or_default();
        if of != family {
            family = of.to_string();
            found.push(read);
        }
    }
    found
}

#[test]
fn half_a_message_is_none() {
    for (name, bytes, read) in samples::all() {
        for length in 0..bytes.len() {
            let cut = read(&bytes[..length]);
            assert_eq!(cut, Err(CodecError::Message), "{name} cut at {length}");
        }
    }
}

#[test]
fn a_message_and_a_half_is_none() {
    for (name, mut bytes, read) in samples::all() {
        bytes.push(0);
        assert_eq!(read(&bytes), Err(CodecError::Message), "{name}");
    }
}

#[test]
fn every_single_flip_is_survived() {
    for (_, bytes, read) in samples::all() {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                // Another message is possible here: the journal has a checksum
                // of its own, and the sockets are local.
                drop(read(&flipped));
            }
        }
    }
}

#[test]
fn a_length_that_cannot_be_is_no_reason_to_reserve_room_for_it() {
    // The longest lengths that a varint can tell, for the first list or text
    // of every kind of message.
    for first in 0..20_u8 {
        for longest in [[0xff; 9].as_slice(), &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
            let mut bytes = vec![first];
            bytes.extend(longest);
            bytes.push(0x01);
            for read in readers() {
                drop(read(&bytes));
            }
        }
    }
}

proptest! {
    #[test]
    fn made_up_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for read in readers() {
            drop(read(&bytes));
        }
    }

    #[test]
    fn made_up_bytes_behind_a_real_beginning_are_survived(
        which in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        tail in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let all = samples::all();
        let (_, bytes, read) = &all[which.index(all.len())];
        let mut spliced = bytes[..cut.index(bytes.len())].to_vec();
        spliced.extend(tail);
        drop(read(&spliced));
    }
}
