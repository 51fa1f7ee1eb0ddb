//! The operator's web page: documents of the runner's HTTP API in, HTML out.
//!
//! Every page is plain data with a `render`; those that change by themselves also have a `fragment`, which the page asks
//! for again and again at the path that [`path`] names. Without JavaScript every page still tells all and every form
//! works.
//!
//! **Invariant:** nothing here reads a file, a clock, the environment or the network: `now` is an argument, and what pages
//! are made of is part of the program.
//! **Invariant:** what a job, a repository or a person wrote is shown and never obeyed: templates escape HTML, and the
//! whole text of a page goes through [`outcome::printable`], last, so that no control or bidirectional character gets
//! into one.
//! **Invariant:** a page has no script, style or handler of its own; [`CSP`] forbids them.
//!
//! | module | one job |
//! |---|---|
//! | [`asset`](mod@asset) | the files that pages link, each under the hash of its content |
//! | [`filter`] | which jobs a list shows, and the query that says so |
//! | [`path`] | where forms and fragments are |
//! | `testing` | a Chromium for tests, with the feature of that name |

pub mod asset;
pub mod filter;
mod frame;
mod job_page;
mod jobs_page;
mod part;
pub mod path;
mod plain_pages;
mod queue_page;
#[cfg(feature = "testing")]
#[allow(
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a browser that cannot be worked fails its test"
)]
pub mod testing;
mod words;
mod workers_page;

pub use asset::{Asset, asset};
pub use filter::Filter;
pub use frame::{Frame, Viewer};
pub use job_page::JobPage;
pub use jobs_page::JobsPage;
pub use plain_pages::{ErrorPage, LoginPage};
pub use queue_page::QueuePage;
pub use workers_page::WorkersPage;

use askama::Template;

/// The value of the `Content-Security-Policy` header of every page: what is not from this server, or stands in the page
/// itself, is neither run nor shown.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                       form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The text of a page or fragment. The only way from a template to a caller.
fn html(template: &impl Template) -> String {
    outcome::printable(&template.render().expect("a template writes plain data to memory"))
}
