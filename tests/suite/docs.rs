//! Every command of the README and of docs/ is run here, and every table there compared with the code.
