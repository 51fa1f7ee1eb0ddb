//! Where forms and fragments are. Pages themselves are at `/`, `/ui/jobs/{id}`, `/ui/workers`, `/ui/queue`, `/ui/login`;
//! assets at `/ui/assets/{hash}/{name}`.
//!
//! A form that did what it says is answered with 303 to a page.

use job::Id;

/// `GET`: [`JobsPage::fragment`](crate::JobsPage::fragment), with the query of the page.
pub const JOBS_FRAGMENT: &str = "/ui/fragments/jobs";
/// `GET`: [`WorkersPage::fragment`](crate::WorkersPage::fragment).
pub const WORKERS_FRAGMENT: &str = "/ui/fragments/workers";
/// `GET`: [`QueuePage::fragment`](crate::QueuePage::fragment).
pub const QUEUE_FRAGMENT: &str = "/ui/fragments/queue";
/// `POST` of a form with the field `token`.
pub const LOGIN: &str = "/ui/login";
/// `POST` of a form without fields.
pub const LOGOUT: &str = "/ui/logout";

/// What a job's page is below.
pub(crate) const JOB: &str = "/ui/jobs/";

/// A job's page. Below it, `POST` of a form with the field `why`: `/cancel` and `/rerun`.
pub fn job(id: &Id) -> String {
    format!("{JOB}{id}")
}

/// `GET`: [`JobPage::fragment`](crate::JobPage::fragment).
pub fn job_fragment(id: &Id) -> String {
    format!("/ui/fragments/jobs/{id}")
}
