//! The words between the runner and the init, and between the init and the job's process before it is the job.
//!
//! **Invariant:** a word is a length and as many bytes of JSON; one that is longer than [`WORD_CAP`] is refused.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Stuck;
use crate::evidence::{Enforcers, Facts};
use crate::report::Ended;
use crate::spec::{Limits, Spec, TreeMode};
use crate::{Evidence, Level};

/// The most bytes of one word: an argument vector and an environment are at most 2 MiB, four bytes of JSON each.
const WORD_CAP: usize = 16 << 20;
/// Descriptors that come with one word.
const FDS: usize = 2;
/// The byte that asks the init to end the job gently.
pub(crate) const TERM: u8 = b'T';

/// What the init is to do. The bytes of the files follow it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) level: Level,
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) tree: OsString,
    pub(crate) mode: TreeMode,
    pub(crate) binds: Vec<(OsString, OsString)>,
    pub(crate) files: Vec<(OsString, u64, u32)>,
    pub(crate) network: bool,
    pub(crate) limits: Limits,
    pub(crate) scratch: Option<OsString>,
    /// The uid and gid the job gets, if the runner is root.
    pub(crate) switch_to: Option<u32>,
    /// The job's uid as the machine sees it.
    pub(crate) uid: u32,
    pub(crate) limits_by: Enforcers,
}

impl Order {
    pub(crate) fn new(spec: &Spec, level: Level, switch_to: Option<u32>, limits_by: Enforcers) -> Self {
        let bind = |bind: &crate::Bind| (bind.source.clone().into(), bind.target.clone().into());
        let file = |file: &crate::File| (file.path.clone().into(), file.bytes.len() as u64, file.mode);
        Self {
            level,
            argv: spec.argv.clone(),
            env: spec.env.clone(),
            tree: spec.tree.path.clone().into(),
            mode: spec.tree.mode,
            binds: spec.binds.iter().map(bind).collect(),
            files: spec.files.iter().map(file).collect(),
            network: spec.network,
            limits: spec.limits,
            scratch: spec.scratch.clone().map(PathBuf::into_os_string),
            switch_to,
            uid: switch_to.unwrap_or_else(|| rustix::process::getuid().as_raw()),
            limits_by,
        }
    }
}

/// What the init says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The job is about to start. With it come the artifact directory and, for capture, the changed layer.
    Ready(Evidence),
    /// The job's main process ended.
    Ended(Ended),
    /// The job's program could not be executed.
    NotStartable(i32),
    /// The sandbox could not be made.
    Stuck(Stuck),
}

/// What the job's process says before it becomes the job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    Facts(Facts),
    Stuck(Stuck),
    NotStartable(i32),
}

/// Sends a word, with descriptors, on a socket.
pub(crate) fn send(socket: BorrowedFd<'_>, word: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = framed(word)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let slice = [IoSlice::new(&bytes)];
    let sent = retry_on_intr(|| rustix::net::sendmsg(socket, &slice, &mut ancillary, SendFlags::NOSIGNAL))?;
    send_all(socket, &bytes[sent..])
}

/// Sends plain bytes on a socket.
pub(crate) fn send_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = retry_on_intr(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// Writes a word to a pipe.
pub(crate) fn write(pipe: BorrowedFd<'_>, word: &impl Serialize) -> io::Result<()> {
    let bytes = framed(word)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let written = retry_on_intr(|| rustix::io::write(pipe, rest))?;
        rest = &rest[written..];
    }
    Ok(())
}

fn framed(word: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, word)?;
    let len = u32::try_from(bytes.len() - 4).ok().filter(|len| *len as usize <= WORD_CAP);
    bytes[..4].copy_from_slice(&len.ok_or(io::ErrorKind::InvalidInput)?.to_le_bytes());
    Ok(bytes)
}

/// Receives a word and its descriptors; `None` when the other side is gone.
pub(crate) fn receive<W: DeserializeOwned>(socket: BorrowedFd<'_>) -> io::Result<Option<(W, Vec<OwnedFd>)>> {
    let mut len = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut len)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    });
    let got = match got {
        Ok(message) if message.bytes == 0 => return Ok(None),
        Err(Errno::CONNRESET) => return Ok(None),
        other => other?.bytes,
    };
    let fds = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let fds = fds.collect();
    fill(socket, &mut len[got..])?;
    Ok(Some((rest_of(socket, len)?, fds)))
}

/// Reads a word from a pipe; `None` when it is closed.
pub(crate) fn read<W: DeserializeOwned>(pipe: BorrowedFd<'_>) -> io::Result<Option<W>> {
    let mut len = [0; 4];
    let got = retry_on_intr(|| rustix::io::read(pipe, &mut len))?;
    if got == 0 {
        return Ok(None);
    }
    fill(pipe, &mut len[got..])?;
    rest_of(pipe, len).map(Some)
}

fn rest_of<W: DeserializeOwned>(fd: BorrowedFd<'_>, len: [u8; 4]) -> io::Result<W> {
    let len = u32::from_le_bytes(len) as usize;
    if len > WORD_CAP {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len];
    fill(fd, &mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Reads exactly as many bytes as `into` holds.
pub(crate) fn fill(fd: impl AsFd, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        let got = retry_on_intr(|| rustix::io::read(fd.as_fd(), &mut *into))?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        into = &mut into[got..];
    }
    Ok(())
}
