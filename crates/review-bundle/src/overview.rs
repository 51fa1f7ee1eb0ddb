//! The overview: every changed path and every note, without the lines, for a look across files.
//!
//! It is one packet as long as it fits in one. Its packets are cut between entries only.

use crate::bundle::{Bundle, READING};
use crate::escape::escape;
use crate::fill::{Fill, Filling};
use crate::packet::{Packet, PacketError};

/// The packets of the overview, and what is in which.
pub(crate) struct Overview {
    pub(crate) packets: Vec<Packet>,
    /// The id of the packet that has each note, in the order of the bundle.
    pub(crate) notes: Vec<String>,
    /// The id of the packet that lists each file, in the order of the bundle.
    pub(crate) files: Vec<String>,
}

/// What is never cut.
struct Line {
    is_note: bool,
    /// The path it is about.
    path: Vec<u8>,
    shown: String,
}

const WHOLE: &str = "The whole change without its lines: they are in packets of their own.\n";
const PART: &str = "\
A part of a change without its lines: they are in packets of their own. Other files and notes are in other parts.
";
const TITLE: &str = "=== REVIEW PACKET ===\n";
const FILES: &str = "\n=== CHANGED FILES ===\n";
const AFTER: &str = "\n=== INSTRUCTIONS ===\n";

/// More than the two counts and the words before them take.
const COUNTS_MAX: usize = 60;
const FRAME: usize = TITLE.len() + PART.len() + COUNTS_MAX + FILES.len() + AFTER.len() + READING.len();

/// Returns the overview of `bundle` in packets of at most `cap` bytes.
///
/// # Errors
/// [`PacketError::NoRoom`] if an entry is larger than a packet.
pub(crate) fn overview(bundle: &Bundle, cap: usize, fill: Fill) -> Result<Overview, PacketError> {
    let lines = lines(bundle);
    let whole = render(WHOLE, &lines);
    let (parts, texts) = if whole.len() <= cap {
        (vec![lines.as_slice()], vec![whole])
    } else {
        let parts = cut(&lines, cap, fill)?;
        let texts = parts.iter().map(|part| render(PART, part)).collect();
        (parts, texts)
    };
    let ids = |(index, part): (usize, &&[Line])| vec![overview_id(index); part.len()];
    let mut notes: Vec<String> = parts.iter().enumerate().flat_map(ids).collect();
    let files = notes.split_off(bundle.notes().len());
    let packets = texts.into_iter().enumerate().map(|(index, text)| Packet { id: overview_id(index), text }).collect();
    Ok(Overview { packets, notes, files })
}

fn overview_id(index: usize) -> String {
    format!("overview-{:03}", index + 1)
}

/// The notes, then the files.
fn lines(bundle: &Bundle) -> Vec<Line> {
    let notes = bundle.notes().iter();
    let notes = notes.map(|note| Line { is_note: true, path: note.path.clone().into_bytes(), shown: note.shown() });
    let files = bundle.files().iter();
    let files = files.map(|file| Line { is_note: false, path: file.path().to_vec(), shown: file.short_line() });
    notes.chain(files).collect()
}

fn render(opening: &str, lines: &[Line]) -> String {
    let (notes, files) = lines.split_at(lines.partition_point(|line| line.is_note));
    let shown = |lines: &[Line]| lines.iter().map(|line| line.shown.as_str()).collect::<String>();
    let counts = format!("files {}\nnotes {}\n", files.len(), notes.len());
    [TITLE, opening, &counts, &shown(notes), FILES, &shown(files), AFTER, READING].concat()
}

fn cut(lines: &[Line], cap: usize, fill: Fill) -> Result<Vec<&[Line]>, PacketError> {
    let capacity = cap.saturating_sub(FRAME);
    let (mut parts, mut from, mut used) = (Vec::new(), 0, 0);
    for (at, Line { path, shown, .. }) in lines.iter().enumerate() {
        if shown.len() > capacity {
            return Err(PacketError::NoRoom { path: escape(path), cap });
        }
        if fill.ends_before(path, shown.len(), Filling { used, capacity }) {
            parts.push(&lines[from..at]);
            (from, used) = (at, 0);
        }
        used += shown.len();
    }
    parts.push(&lines[from..]);
    Ok(parts)
}
