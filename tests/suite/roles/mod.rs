//! Roles: files of other programs, what they may do, and who has to be asked.

mod golden;
