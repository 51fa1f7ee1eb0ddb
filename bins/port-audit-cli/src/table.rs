//! A report for a person at a terminal.

use std::fmt::Write as _;
use std::io::stdout;

use comfy_table::{ContentArrangement, Table, presets};
use port_audit::Report;
use rustix::termios::tcgetwinsize;

/// Columns as wide as the terminal lets them be. What does not fit goes on below: nothing of a finding is cut.
pub(crate) fn table(report: &Report) -> String {
    let mut text = report.summary();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["FINDING", "WHAT", "BY", "WHY", "NEXT"]);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if let Ok(size) = tcgetwinsize(stdout()) {
        table.set_width(size.ws_col);
    }
    for finding in report.findings() {
        let [class, subject, reason, next] =
            [finding.class, &finding.subject, &finding.reason, &finding.next].map(port_audit::one_line);
        let owners = port_audit::one_line(&finding.owners().unwrap_or_default());
        table.add_row([class, subject, owners, reason, next]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if !report.findings().is_empty() {
        text.push('\n');
        text.extend(table.lines().map(|line| line.trim_end().to_owned() + "\n"));
    }
    // Writing to a string cannot fail.
    let _ = report.remediation().iter().try_for_each(|remediation| write!(text, "\n{remediation}"));
    text
}
