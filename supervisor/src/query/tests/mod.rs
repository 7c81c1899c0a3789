//! Tests of views and words: stories as events, and what is told of them.

mod chain;
mod evidence;
mod story;
mod views;
