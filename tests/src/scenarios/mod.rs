//! What several test files do to a world.
