//! What a monitor reads.

use std::fmt;
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use runner_wire::{Queue, Workers};

type Labels = Vec<(String, String)>;

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram>,
    submitted: Counter,
    jobs: Family<Labels, Gauge>,
    workers: Family<Labels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ai_ops_runner");
        let requests = Family::<_, Counter>::default();
        registry.register("http_requests", "Answers by operation and status", requests.clone());
        let seconds = Family::<Labels, Histogram>::new_with_constructor(seconds);
        registry.register("http_request_seconds", "Time to the head of an answer by operation", seconds.clone());
        let submitted = Counter::default();
        registry.register("jobs_submitted", "Jobs that were accepted by this process", submitted.clone());
        let jobs = Family::<_, Gauge>::default();
        registry.register("jobs", "Jobs that wait or run, by repository", jobs.clone());
        let workers = Family::<_, Gauge>::default();
        registry.register("workers", "Workers by what they do", workers.clone());
        Self { registry, requests, seconds, submitted, jobs, workers }
    }
}

/// From half a millisecond to 16 seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

fn label(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

impl Metrics {
    pub(crate) fn answered(&self, operation: &str, status: StatusCode, took: Duration) {
        let operation = label("operation", operation);
        self.seconds.get_or_create(&vec![operation.clone()]).observe(took.as_secs_f64());
        self.requests.get_or_create(&vec![operation, label("status", status.as_str())]).inc();
    }

    pub(crate) fn submitted(&self) {
        self.submitted.inc();
    }

    /// Sets what is counted elsewhere.
    pub(crate) fn see(&self, queue: &Queue, workers: &Workers) {
        self.jobs.clear();
        for repo in &queue.repos {
            let gauge = |status: &str, count: u64| {
                let labels = vec![label("repo_name", &repo.repo_name), label("status", status)];
                self.jobs.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            };
            gauge("queued", repo.queued);
            gauge("running", repo.running);
        }
        let count = |state: &str, is: &dyn Fn(&runner_wire::Worker) -> bool| {
            let count = workers.workers.iter().filter(|worker| is(worker)).count();
            self.workers.get_or_create(&vec![label("state", state)]).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        count("alive", &|worker| worker.alive && !worker.draining);
        count("draining", &|worker| worker.alive && worker.draining);
        count("lost", &|worker| !worker.alive);
    }

    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
