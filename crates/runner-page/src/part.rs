//! Small parts that many pages show.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use job::{Status, Time};

use crate::words;

/// A moment as it lies to now, with the absolute one beside it.
#[derive(Template)]
#[template(
    source = r#"<time datetime="{{ at }}" title="{{ at }}">{{ words::relative(*at, *now) }}</time>"#,
    ext = "html"
)]
pub(crate) struct Ago {
    pub(crate) at: Time,
    pub(crate) now: Time,
}

/// A state: a shape, a word, and last a colour.
#[derive(Template)]
#[template(
    source = r#"<span class="badge {{ self.0.as_str() }}">{{ Icon(self.0.as_str()) }}{{ self.0.as_str() }}</span>"#,
    ext = "html"
)]
pub(crate) struct Badge<'a>(pub(crate) &'a Status);

/// A shape of the sprite in `base.html`, for eyes alone.
pub(crate) struct Icon(pub(crate) &'static str);

/// How much of `most` is taken. Zero of nothing is an empty bar.
#[derive(Template)]
#[template(
    source = r#"<meter min="0" max="{{ self.at_most() }}" value="{{ taken }}" aria-label="{{ label }}">{{ taken }} of {{ most }}</meter>"#,
    ext = "html"
)]
pub(crate) struct Meter {
    pub(crate) taken: u64,
    pub(crate) most: u64,
    pub(crate) label: &'static str,
}

impl Meter {
    /// A bar needs an end.
    fn at_most(&self) -> u64 {
        self.most.max(1)
    }
}

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r##"<svg class="icon" aria-hidden="true" focusable="false"><use href="#i-{}"/></svg>"##, self.0)
    }
}

impl HtmlSafe for Ago {}
impl HtmlSafe for Badge<'_> {}
impl HtmlSafe for Icon {}
impl HtmlSafe for Meter {}
