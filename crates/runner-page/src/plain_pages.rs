//! Pages that do not change: `/ui/login`, and why a request was not answered.

use askama::Template;
use runner_wire::Problem;

use crate::frame::{Shell, Viewer};
use crate::{html, path};

/// Where somebody says who they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoginPage<'a> {
    /// Why the last try was refused.
    pub error: Option<&'a str>,
}

/// Why a request was not answered.
#[derive(Debug, Clone, Copy)]
pub struct ErrorPage<'a> {
    /// Who asked, where that is known.
    pub viewer: Option<&'a Viewer>,
    /// The status of the response.
    pub code: u16,
    /// Why.
    pub problem: &'a Problem,
}

#[derive(Template)]
#[template(path = "login.html", whitespace = "minimize")]
struct Login<'a> {
    shell: Shell<'a>,
    error: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "error.html", whitespace = "minimize")]
struct Refused<'a> {
    shell: Shell<'a>,
    code: u16,
    called: &'static str,
    problem: &'a Problem,
}

impl LoginPage<'_> {
    /// The page.
    pub fn render(&self) -> String {
        html(&Login { shell: Shell::new("Sign in", None, path::LOGIN), error: self.error })
    }
}

impl ErrorPage<'_> {
    /// The page.
    pub fn render(&self) -> String {
        let called = called(self.code);
        let shell = Shell::new(format!("{} {called}", self.code), self.viewer, "");
        html(&Refused { shell, code: self.code, called, problem: self.problem })
    }
}

/// What a status is called.
const fn called(code: u16) -> &'static str {
    match code {
        400 => "Bad request",
        401 => "Not signed in",
        403 => "Not allowed",
        404 => "Not found",
        409 => "Conflict",
        413 => "Too large",
        422 => "Not acceptable",
        429 => "Too many requests",
        503 => "Not available",
        500.. => "Server error",
        _ => "Refused",
    }
}
