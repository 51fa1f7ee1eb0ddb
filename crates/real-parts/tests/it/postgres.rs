//! PostgreSQL: that it is a real one, and what can be done to it.

use std::time::Duration;
use std::{fs, thread};

use insta::assert_snapshot;
use real_parts::Postgres;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use crate::left::{after_a_kill, below, left};

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn sqlx_takes_the_url_of_a_new_database() {
    let postgres = Postgres::start().unwrap();
    let url = postgres.database("a \"name\"/of?a=database").unwrap();
    let said = block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let row = connection.fetch_one("select current_database(), current_user::text").await.unwrap();
        format!("{} {}", row.get::<String, _>(0), row.get::<String, _>(1))
    });
    assert_snapshot!(said, @r#"a "name"/of?a=database postgres"#);
}

#[test]
fn what_a_crash_could_lose_is_written_as_in_production() {
    let postgres = Postgres::start().unwrap();
    let settings = "('fsync', 'full_page_writes', 'synchronous_commit', 'listen_addresses')";
    let said = postgres.sql(&format!("select name, setting from pg_settings where name in {settings} order by 1"));
    assert_snapshot!(said.unwrap(), @"
    fsync|on
    full_page_writes|on
    listen_addresses|
    synchronous_commit|on
    ");
}

#[test]
fn a_killed_server_recovers_what_was_committed() {
    let mut postgres = Postgres::start().unwrap();
    postgres.sql("create table t as select 1 as n").unwrap();
    let before = below(std::process::id());
    postgres.kill();
    assert!(before.len() > 2, "{before:?}");
    assert_eq!(left(before), [0_u32; 0]);
    assert!(postgres.sql("select 1").is_err());
    postgres.restart().unwrap();
    assert_eq!(postgres.sql("select n from t").unwrap(), "1");
    assert!(postgres.log().contains("automatic recovery in progress"), "{}", postgres.log());
}

#[test]
fn a_stopped_server_answers_nobody_until_it_goes_on() {
    let postgres = Postgres::start().unwrap();
    postgres.stop();
    thread::scope(|scope| {
        let asking = scope.spawn(|| postgres.sql("select 2"));
        thread::sleep(Duration::from_millis(300));
        assert!(!asking.is_finished());
        postgres.cont();
        assert_eq!(asking.join().unwrap().unwrap(), "2");
    });
}

#[test]
fn a_dropped_connection_is_known_to_the_client() {
    let postgres = Postgres::start().unwrap();
    block_on(async {
        let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
        connection.execute("select 1").await.unwrap();
        postgres.drop_connections().unwrap();
        let error = connection.execute("select 1").await.unwrap_err();
        assert!(matches!(error, sqlx::Error::Io(_) | sqlx::Error::Database(_)), "{error:?}");
    });
}

#[test]
fn two_servers_know_nothing_of_each_other() {
    let [one, other] = [Postgres::start().unwrap(), Postgres::start().unwrap()];
    one.database("d").unwrap();
    assert!(one.database("d").is_err());
    other.database("d").unwrap();
}

#[test]
fn it_listens_on_an_address_too_when_told_so() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let postgres = Postgres::builder().tcp(free).start().unwrap();
    let answer = block_on(async {
        let mut connection = PgConnection::connect(&format!("postgres://postgres@{free}/postgres")).await.unwrap();
        connection.fetch_one("select inet_server_port()").await.unwrap().get::<i32, _>(0)
    });
    assert_eq!(answer, i32::from(free.port()));
    assert_eq!(postgres.sql("select 1").unwrap(), "1");
}

#[test]
fn nothing_is_left_of_a_dropped_server() {
    let postgres = Postgres::start().unwrap();
    let dir = postgres.url().rsplit_once("host=").unwrap().1.replace("%2F", "/");
    assert!(fs::exists(&dir).unwrap());
    let started = below(std::process::id());
    postgres.stop();
    drop(postgres);
    assert_eq!(left(started), [0_u32; 0]);
    assert!(!fs::exists(&dir).unwrap());
}

#[test]
fn a_server_dies_with_the_process_that_started_it() {
    let name = "postgres::a_server_dies_with_the_process_that_started_it";
    let (started, left) = after_a_kill(name, Postgres::start);
    assert!(started > 2, "{started}");
    assert_eq!(left, [0_u32; 0]);
}
