//! Deterministic scanners over changes: secrets, invisible characters, links, control-plane paths.
