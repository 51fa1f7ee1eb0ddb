//! Questions to the kernel over netlink (RFC 3549), each answered by a dump.
//!
//! **Invariant:** a dump that ends with an error, that a change went through, or that was cut short is no answer.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// `NLM_F_DUMP_INTR`: something changed meanwhile.
const INTERRUPTED: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Of a message's head, in bytes.
const HEAD: usize = 16;
/// The kernel fills 32 KiB where it is given as much.
const ROOM: usize = 64 << 10;
/// How often a dump is asked for that changes went through.
const TRIES: u32 = 5;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiagError {
    /// The kernel has no such thing, or does not tell: its error number.
    #[error("the kernel answers: {0}")]
    Refused(io::Error),
    /// It could not be asked.
    #[error("the kernel cannot be asked: {0}")]
    Io(#[from] io::Error),
    /// What it said is not what it says.
    #[error("the kernel's answer is cut short, or of a form that is not known")]
    Form,
    /// It never stood still.
    #[error("too much changed while it was asked")]
    Changing,
}

impl From<Errno> for DiagError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// A connection to one part of the kernel, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    room: Vec<u8>,
}

impl Netlink {
    /// Of no part is the first one, that of interfaces and addresses.
    pub(crate) fn open(part: Option<Protocol>) -> Result<Self, DiagError> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, part)?;
        // Connected to the kernel, it takes nothing from anybody else.
        connect(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { socket, room: vec![0; ROOM] })
    }

    /// The bodies of all messages that answer a question of this kind.
    pub(crate) fn dump(&mut self, kind: u16, body: &[u8]) -> Result<Vec<Vec<u8>>, DiagError> {
        for number in 1..=TRIES {
            if let Some(all) = self.dump_once(kind, body, number)? {
                return Ok(all);
            }
        }
        Err(DiagError::Changing)
    }

    /// Nothing where the answer is that of two times.
    fn dump_once(&mut self, kind: u16, body: &[u8], number: u32) -> Result<Option<Vec<Vec<u8>>>, DiagError> {
        let question = question(kind, body, number).ok_or(DiagError::Form)?;
        retry_on_intr(|| send(&self.socket, &question, SendFlags::empty()))?;
        let mut answer = Answer::of(number);
        loop {
            // With `TRUNC` the length is that of all of it, also of what there was no room for.
            let (_, length) = retry_on_intr(|| recv(&self.socket, &mut self.room[..], RecvFlags::TRUNC))?;
            if let Some(whole) = answer.take(self.room.get(..length).ok_or(DiagError::Form)?)? {
                return Ok(whole.then_some(answer.bodies));
            }
        }
    }
}

fn question(kind: u16, body: &[u8], number: u32) -> Option<Vec<u8>> {
    let length = u32::try_from(HEAD + body.len()).ok()?;
    let mut question = Vec::with_capacity(HEAD + body.len());
    question.extend(length.to_ne_bytes());
    question.extend(kind.to_ne_bytes());
    question.extend(DUMP.to_ne_bytes());
    question.extend(number.to_ne_bytes());
    question.extend([0; 4]);
    question.extend(body);
    Some(question)
}

/// What the kernel said to the question of a number until now.
#[derive(Debug)]
struct Answer {
    number: u32,
    bodies: Vec<Vec<u8>>,
    whole: bool,
}

impl Answer {
    const fn of(number: u32) -> Self {
        Self { number, bodies: Vec::new(), whole: true }
    }

    /// Takes what arrived at once. At its end, whether it is the answer of one time.
    fn take(&mut self, mut rest: &[u8]) -> Result<Option<bool>, DiagError> {
        while !rest.is_empty() {
            let message = Message::first(rest).ok_or(DiagError::Form)?;
            rest = rest.get(aligned(message.length)..).unwrap_or_default();
            if message.number != self.number {
                continue;
            }
            self.whole &= message.flags & INTERRUPTED == 0;
            match message.kind {
                // An error at the end of a dump stands in its last message.
                NLMSG_DONE | NLMSG_ERROR => {
                    return match message.error().ok_or(DiagError::Form)? {
                        0 => Ok(Some(self.whole)),
                        error => Err(DiagError::Refused(io::Error::from_raw_os_error(error.saturating_neg()))),
                    };
                }
                _ => self.bodies.push(message.body.to_vec()),
            }
        }
        Ok(None)
    }
}

struct Message<'a> {
    length: usize,
    kind: u16,
    flags: u16,
    number: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let body = bytes.get(HEAD..length)?;
        Some(Self { length, kind: u16_at(bytes, 4)?, flags: u16_at(bytes, 6)?, number: u32_at(bytes, 8)?, body })
    }

    fn error(&self) -> Option<i32> {
        Some(i32::from_ne_bytes(self.body.get(..4)?.try_into().ok()?))
    }
}

/// Messages and attributes begin at every fourth byte.
const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The attributes of a message, from here on: their kinds and what they hold.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The bits that say how it is to be read.
    const FLAGS: u16 = 0xc000;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let (kind, value) = (u16_at(bytes, 2)? & !FLAGS, bytes.get(4..length)?);
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// What the attribute of a kind holds.
pub(crate) fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// A text that ends with a zero byte.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, number: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEAD + body.len()).unwrap();
        let mut message = length.to_ne_bytes().to_vec();
        message.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
        message.extend([number.to_ne_bytes(), [0; 4]].concat());
        message.extend(body);
        message.resize(aligned(message.len()), 0);
        message
    }

    fn taken(parts: &[Vec<u8>]) -> String {
        let mut answer = Answer::of(7);
        match answer.take(&parts.concat()) {
            Ok(Some(whole)) => format!("{} bodies, whole: {whole}", answer.bodies.len()),
            Ok(None) => "goes on".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn v04_an_error_at_the_end_of_a_dump_is_no_empty_answer() {
        let done = |error: i32| message(NLMSG_DONE, 2, 7, &error.to_ne_bytes());
        assert_eq!(taken(&[message(20, 2, 7, &[1; 5]), message(20, 2, 7, &[2; 8]), done(0)]), "2 bodies, whole: true");
        assert_eq!(taken(&[done(-2)]), "the kernel answers: No such file or directory (os error 2)");
        let error = message(NLMSG_ERROR, 0, 7, &(-1_i32).to_ne_bytes());
        assert_eq!(taken(&[error]), "the kernel answers: Operation not permitted (os error 1)");
        assert_eq!(taken(&[message(20, 2 | INTERRUPTED, 7, &[1; 5]), done(0)]), "1 bodies, whole: false");
        assert_eq!(taken(&[message(20, 2, 7, &[1; 5])]), "goes on");
        // Left over from a question that was given up.
        assert_eq!(
            taken(&[message(20, 2, 6, &[1; 5]), message(NLMSG_DONE, 2, 6, &[0; 4]), done(0)]),
            "0 bodies, whole: true"
        );
    }

    #[test]
    fn what_is_cut_short_is_no_answer() {
        let form = DiagError::Form.to_string();
        let whole = message(20, 2, 7, &[1; 8]);
        for length in 1..whole.len() {
            assert_eq!(taken(&[whole[..length].to_vec()]), form, "{length} bytes");
        }
        assert_eq!(taken(&[message(NLMSG_DONE, 2, 7, &[0; 3])]), form);
        assert_eq!(taken(&[vec![8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]), form, "shorter than its own head");
    }

    #[test]
    fn attributes_end_where_one_is_longer_than_what_is_there() {
        let bytes = [5, 0, 1, 0, 9, 0, 0, 0, 8, 0, 2, 0x80, 1, 2, 3, 4, 9, 0, 3, 0];
        let all: Vec<_> = attributes(&bytes).collect();
        assert_eq!(all, [(1, &[9][..]), (2, &[1, 2, 3, 4])]);
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0);
    }
}
