//! Jobs and repositories as closed sets: what an operator lists may run, and nothing else.
//!
//! **Invariant:** nothing here reads a file, a clock, the environment or the network.
//! **Invariant:** a list is understood whole or refused with every problem at once; a request is admitted or refused
//! with every reason at once.
//! **Invariant:** an [`Admitted`] exists only because [`Policy::admit`] returned it.
//!
//! Whether the commit is reachable from an allowed branch is not known here: who has the repository checks it.
//!
//! | module | one job |
//! |---|---|
//! | [`policy`] | both files become one policy; its hash |
//! | [`job`], [`limits`], [`param`] | one job: what runs, how much it may take, what may vary |
//! | [`repo`], [`branch`] | one repository: where it is fetched from, which branches count |
//! | [`git_url`] | every spelling of a Git URL becomes one, look-alikes are refused |
//! | [`admit`] | a request becomes [`Admitted`], or every [`Refusal`] |

pub mod admit;
mod bind;
pub mod branch;
pub mod git_url;
mod hash;
mod host_key;
pub mod job;
pub mod limits;
mod name;
pub mod param;
mod pattern;
pub mod policy;
pub mod problem;
mod reading;
pub mod refusal;
pub mod repo;
mod section;
mod show;
mod variable;

pub use admit::{Admitted, Request};
pub use git_url::{GitUrl, Scheme, UrlError};
pub use job::{Job, TreeMode};
pub use limits::Limits;
pub use param::Param;
pub use policy::{Level, Policy};
pub use problem::{Problem, Problems};
pub use refusal::{Refusal, Refusals};
pub use repo::Repo;
