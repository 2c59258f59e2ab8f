//! What differs.
