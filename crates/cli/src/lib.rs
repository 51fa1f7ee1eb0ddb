//! What every program shares: arguments, output, exit code.
