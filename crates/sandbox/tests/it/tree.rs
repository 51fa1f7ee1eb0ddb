use crate::fixture::Fixture;

#[test]
fn a_job_runs() {
    let mut fixture = Fixture::new();
    let ran = fixture.sh("pwd; id; cat file; ls / /dev /etc; env; cat /proc/self/mountinfo; ps ax 2>/dev/null; echo err >&2; echo x > /artifacts/out; ls -la /tmp");
    eprintln!("{}\n{}\n{:#?}", ran.stdout, ran.stderr, ran.report);
}
