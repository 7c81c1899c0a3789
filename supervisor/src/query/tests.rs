//! Tests of views and words.
