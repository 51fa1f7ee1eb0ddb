//! Installs the gate and its hooks outside the work tree and reads the effective hooks path.
