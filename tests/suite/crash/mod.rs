//! Nothing is lost: every process is killed at every named point, and at any instant, and ordinary commands go on.

mod left;
mod points;
mod random;
