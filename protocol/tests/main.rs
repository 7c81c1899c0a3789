//! Tests of the wire: golden bytes, damaged payloads, JSON shapes, secrecy.

mod damage;
mod samples;
mod secrecy;
mod shapes;
mod wire;
