//! `GIT binary patch`: how `git apply` takes content that is not lines of text.
//!
//! Format: `diff.c` (`emit_binary_diff_body`) and `base85.c` of Git. Zlib data in lines of at most 52 bytes, each line a letter for its
//! length (`A` is 1, `z` is 52) and the bytes in base 85, four to five characters.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Writes the patch that replaces whatever is there by `content`.
pub(crate) fn write_literal(out: &mut impl Write, content: &[u8]) -> io::Result<()> {
    write!(out, "GIT binary patch\nliteral {}\n", content.len())?;
    let mut deflated = ZlibEncoder::new(Base85 { out, line: Vec::with_capacity(LINE) }, Compression::fast());
    deflated.write_all(content)?;
    deflated.finish()?.finish()
}

/// Bytes of data in a line.
const LINE: usize = 52;

struct Base85<'a, W> {
    out: &'a mut W,
    line: Vec<u8>,
}

impl<W: Write> Base85<'_, W> {
    fn finish(mut self) -> io::Result<()> {
        self.write_line()?;
        self.out.write_all(b"\n")
    }

    fn write_line(&mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            self.out.write_all(&encode_line(&self.line))?;
            self.line.clear();
        }
        Ok(())
    }
}

impl<W: Write> Write for Base85<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            self.line.push(byte);
            if self.line.len() == LINE {
                self.write_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

const ALPHABET: &[u8; 85] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

fn encode_line(data: &[u8]) -> Vec<u8> {
    let len = u8::try_from(data.len()).expect("a line is short");
    let mut line = Vec::with_capacity(2 + LINE / 4 * 5);
    line.push(if len <= 26 { b'A' + len - 1 } else { b'a' + len - 27 });
    for group in data.chunks(4) {
        let mut padded = [0; 4];
        padded[..group.len()].copy_from_slice(group);
        let number = u32::from_be_bytes(padded);
        line.extend((0..5).rev().map(|digit| ALPHABET[(number / 85_u32.pow(digit) % 85) as usize]));
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_git_writes_them() {
        assert_eq!(encode_line(&[0]), b"A00000\n");
        assert_eq!(encode_line(&[0xff; 4]), b"D|NsC0\n");
        assert_eq!(encode_line(&[0; 26])[0], b'Z');
        assert_eq!(encode_line(&[0; 27])[0], b'a');
        assert_eq!(encode_line(&[0; 52]), [b"z".as_slice(), &[b'0'; 65], b"\n"].concat());
    }

    #[test]
    fn an_empty_literal_is_the_one_git_writes() {
        let mut out = Vec::new();
        write_literal(&mut out, b"").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "GIT binary patch\nliteral 0\nHcmV?d00001\n\n");
    }
}
