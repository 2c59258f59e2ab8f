//! Landing after a crash.
