//! What front ends show. The `--json` output of a verb is one of these, and its schema is stable.
