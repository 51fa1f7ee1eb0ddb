//! A review or a heal by the real Codex CLI, accepted only when every sign agrees.
