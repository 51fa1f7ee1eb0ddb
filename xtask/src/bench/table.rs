//! What was measured, as a table for people and as JSON for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::pair::{Measured, Pair, Seen};

pub(super) struct Row {
    pub(super) name: String,
    pub(super) measured: Result<Measured, String>,
    goal: Option<f64>,
}

impl Row {
    pub(super) fn of(pair: &Pair, measured: Result<Measured, String>) -> Self {
        Self { name: pair.name.clone(), measured, goal: pair.goal }
    }

    /// Times in milliseconds, memory in KiB.
    pub(super) fn json(&self) -> Value {
        let seen = |seen: &Seen| json!({"median_ms": millis(seen.median), "min_ms": millis(seen.least), "cpu_ms": millis(seen.usage.cpu), "peak_kib": seen.usage.peak_kib});
        match &self.measured {
            Ok(measured) => {
                let (median, least) = measured.ratios();
                json!({
                    "schema": 1, "name": self.name, "runs": measured.runs, "goal": self.goal,
                    "ours": seen(&measured.ours), "theirs": seen(&measured.theirs),
                    "ratio": {"median": median, "min": least},
                })
            }
            Err(why) => json!({"schema": 1, "name": self.name, "not_measured": why}),
        }
    }
}

/// The table: medians, then least times. Ratios are ours over theirs: below 1, ours is faster.
pub(super) fn show(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> =
        std::iter::once(HEAD.map(String::from).to_vec()).chain(rows.iter().map(cells)).collect();
    let widths: Vec<usize> =
        (0..HEAD.len()).map(|column| cells.iter().map(|row| width(row, column)).max().unwrap_or_default()).collect();
    cells.iter().map(|row| line(row, &widths)).collect()
}

const HEAD: [&str; 13] = [
    "pair",
    "ours ms",
    "least",
    "theirs ms",
    "least",
    "ratio",
    "least",
    "goal",
    "ours MiB",
    "theirs MiB",
    "ours CPU ms",
    "theirs CPU ms",
    "runs",
];

fn cells(row: &Row) -> Vec<String> {
    let measured = match &row.measured {
        Ok(measured) => measured,
        Err(why) => return vec![row.name.clone(), format!("not measured: {why}")],
    };
    let Measured { ours, theirs, runs } = measured;
    let (median, least) = measured.ratios();
    let millis = |time| format!("{:.2}", millis(time));
    vec![
        row.name.clone(),
        millis(ours.median),
        millis(ours.least),
        millis(theirs.median),
        millis(theirs.least),
        shown_ratio(median),
        shown_ratio(least),
        row.goal.map_or_else(|| "-".into(), shown_ratio),
        mib(ours.usage.peak_kib),
        mib(theirs.usage.peak_kib),
        millis(ours.usage.cpu),
        millis(theirs.usage.cpu),
        runs.to_string(),
    ]
}

/// The room a cell needs in its column: a reason, which ends its row, needs none.
fn width(row: &[String], column: usize) -> usize {
    let is_reason = column == 1 && row.len() == 2;
    row.get(column).filter(|_| !is_reason).map_or(0, String::len)
}

/// The first cell to the left, numbers to the right.
fn line(row: &[String], widths: &[usize]) -> String {
    let cells =
        row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
    cells.collect::<Vec<_>>().join("  ") + "\n"
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Two digits that say something.
fn shown_ratio(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}

fn mib(kib: u64) -> String {
    format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::run::Usage;
    use super::*;

    fn row(name: &str, measured: Result<Measured, String>) -> Row {
        Row { name: name.into(), measured, goal: Some(0.8) }
    }

    fn measured() -> Measured {
        let seen = |millis, kib| Seen {
            median: Duration::from_millis(millis),
            least: Duration::from_millis(millis - 1),
            usage: Usage { peak_kib: kib, cpu: Duration::from_millis(millis - 2) },
        };
        Measured { ours: seen(5, 10_240), theirs: seen(10, 20_480), runs: 7 }
    }

    #[test]
    fn a_table_has_a_row_a_pair() {
        let rows = [row("diff, small", Ok(measured())), row("gate", Err("push-gate: exit status: 1".into()))];
        assert_snapshot!(show(&rows), @r"
        pair         ours ms  least  theirs ms  least  ratio  least  goal  ours MiB  theirs MiB  ours CPU ms  theirs CPU ms  runs
        diff, small     5.00   4.00      10.00   9.00   0.50   0.44  0.80      10.0        20.0         3.00           8.00     7
        gate         not measured: push-gate: exit status: 1
        ");
    }

    #[test]
    fn json_names_its_units() {
        assert_snapshot!(row("diff, small", Ok(measured())).json(), @r#"{"goal":0.8,"name":"diff, small","ours":{"cpu_ms":3.0,"median_ms":5.0,"min_ms":4.0,"peak_kib":10240},"ratio":{"median":0.5,"min":0.4444444444444445},"runs":7,"schema":1,"theirs":{"cpu_ms":8.0,"median_ms":10.0,"min_ms":9.0,"peak_kib":20480}}"#);
    }
}
