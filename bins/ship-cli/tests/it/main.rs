//! Ship as a person runs it: real git, the real hook, the real Codex CLI in front of a scripted model.

#![allow(clippy::unwrap_used, reason = "a stage that cannot be set fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests make repositories, run programs and end them by signals")]

mod codex_answers;
mod codex_background;
#[cfg(target_os = "linux")]
mod codex_full_disk;
mod codex_heals;
mod codex_kills;
mod codex_packets;
mod codex_way;
mod help;
mod repositories;
mod stage;
mod steps;
mod terminal;
