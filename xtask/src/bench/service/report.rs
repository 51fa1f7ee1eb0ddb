//! What was measured of the service, as a table for people and as JSON for programs.

use std::time::Duration;

use serde_json::{Value, json};

/// One thing that was measured.
pub(super) struct Row {
    pub(super) name: String,
    unit: &'static str,
    pub(super) seen: Result<Seen, String>,
    beside: Option<(&'static str, Seen)>,
    goal: Option<&'static str>,
    before: Option<&'static str>,
}

/// How it was: of many times the median and the 99th percentile, or one number.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    p50: f64,
    p99: Option<f64>,
    runs: usize,
}

impl Seen {
    /// Of times, in milliseconds.
    pub(super) fn times(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |hundredths: usize| times.get(times.len() * hundredths / 100).map_or(f64::NAN, |time| millis(*time));
        Self { p50: at(50), p99: Some(at(99)), runs: times.len() }
    }

    /// Of `runs` times together one number.
    pub(super) fn one(number: f64, runs: usize) -> Self {
        Self { p50: number, p99: None, runs }
    }
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl Row {
    pub(super) fn new(name: impl Into<String>, unit: &'static str, seen: Seen) -> Self {
        Self { name: name.into(), unit, seen: Ok(seen), beside: None, goal: None, before: None }
    }

    pub(super) fn failed(name: &str, why: String) -> Self {
        Self { name: name.into(), unit: "", seen: Err(why), beside: None, goal: None, before: None }
    }

    /// What does the least of the same, on the same machine in the same run.
    pub(super) fn beside(self, what: &'static str, seen: Seen) -> Self {
        Self { beside: Some((what, seen)), ..self }
    }

    pub(super) fn goal(self, goal: &'static str) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// What the Python service took that this one is in the place of, measured once on a machine of two processors.
    pub(super) fn before(self, before: &'static str) -> Self {
        Self { before: Some(before), ..self }
    }

    /// By medians, ours over theirs.
    fn ratio(&self) -> Option<f64> {
        let (Ok(seen), Some((_, beside))) = (&self.seen, &self.beside) else { return None };
        Some(seen.p50 / beside.p50)
    }

    pub(super) fn json(&self) -> Value {
        let Self { name, unit, seen, beside, goal, before } = self;
        let seen = match seen {
            Ok(seen) => seen,
            Err(why) => return json!({"schema": 1, "name": name, "not_measured": why}),
        };
        let told = |Seen { p50, p99, runs }: &Seen| json!({"p50": p50, "p99": p99, "runs": runs});
        json!({
            "schema": 1, "name": name, "unit": unit, "ours": told(seen), "goal": goal, "before": before,
            "beside": beside.as_ref().map(|(what, _)| what), "theirs": beside.as_ref().map(|(_, seen)| told(seen)),
            "ratio": self.ratio(),
        })
    }

    fn cells(&self) -> Vec<String> {
        let seen = match &self.seen {
            Ok(seen) => seen,
            Err(why) => return vec![self.name.clone(), format!("not measured: {why}")],
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let beside =
            |show: &dyn Fn(&Seen) -> Option<String>| or_dash(self.beside.as_ref().and_then(|(_, seen)| show(seen)));
        vec![
            self.name.clone(),
            self.unit.into(),
            number(seen.p50),
            or_dash(seen.p99.map(number)),
            seen.runs.to_string(),
            or_dash(self.goal.map(Into::into)),
            or_dash(self.before.map(Into::into)),
            or_dash(self.ratio().map(number)),
            beside(&|seen| Some(number(seen.p50))),
            beside(&|seen| seen.p99.map(number)),
            or_dash(self.beside.as_ref().map(|(what, _)| (*what).into())),
        ]
    }
}

const HEAD: [&str; 11] =
    ["measure", "unit", "p50 or all", "p99", "runs", "goal", "before", "ratio", "theirs", "p99", "beside"];

/// The table. Ratios are ours over theirs.
pub(super) fn show(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> =
        std::iter::once(HEAD.map(String::from).to_vec()).chain(rows.iter().map(Row::cells)).collect();
    let whole = || cells.iter().filter(|row| row.len() == HEAD.len());
    let widths: Vec<usize> = (0..HEAD.len()).map(|at| whole().map(|row| row[at].len()).max().unwrap_or(0)).collect();
    cells.iter().map(|row| line(row, &widths)).collect()
}

/// Names to the left, numbers to the right.
fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
        if column == 0 || column == HEAD.len() - 1 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
}

/// Digits that say something.
fn number(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn rows() -> [Row; 3] {
        let times = |unit: u64| Seen::times((1..=200).rev().map(|n| Duration::from_micros(n * unit)).collect());
        [
            Row::new("submit", "ms", times(10)).beside("fdatasync", times(20)).goal("p99 < 3").before("11.0 / 22.3"),
            Row::new("jobs", "1/s", Seen::one(123.4, 200)),
            Row::failed("log", "no room".into()),
        ]
    }

    #[test]
    fn a_table_has_a_row_for_each_measure() {
        assert_snapshot!(show(&rows()), @r"
        measure  unit  p50 or all   p99  runs     goal       before  ratio  theirs   p99  beside
        submit     ms        1.01  1.99   200  p99 < 3  11.0 / 22.3   0.50    2.02  3.98  fdatasync
        jobs      1/s         123     -   200        -            -      -       -     -  -
        log      not measured: no room
        ");
    }

    #[test]
    fn json_names_its_units() {
        assert_snapshot!(rows().map(|row| row.json().to_string()).join("\n"), @r#"
        {"before":"11.0 / 22.3","beside":"fdatasync","goal":"p99 < 3","name":"submit","ours":{"p50":1.01,"p99":1.99,"runs":200},"ratio":0.5,"schema":1,"theirs":{"p50":2.02,"p99":3.98,"runs":200},"unit":"ms"}
        {"before":null,"beside":null,"goal":null,"name":"jobs","ours":{"p50":123.4,"p99":null,"runs":200},"ratio":null,"schema":1,"theirs":null,"unit":"1/s"}
        {"name":"log","not_measured":"no room","schema":1}
        "#);
    }
}
