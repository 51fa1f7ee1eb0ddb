//! What pages and fragments say, whole.

use insta::assert_snapshot;
use runner_page::asset;

use super::scene;

/// Without the hashes of assets, which say nothing here.
fn show((name, html): (&str, String)) {
    let names = ["page.css", "page.js", "htmx.min.js", "favicon.svg"];
    let plain = names.iter().fold(html, |html, name| html.replace(asset(name).unwrap().hash(), "HASH"));
    assert_snapshot!(name, plain);
}

#[test]
fn pages_say_what_is_known() {
    scene::pages().into_iter().for_each(show);
}

#[test]
fn fragments_say_what_changes() {
    scene::fragments().into_iter().for_each(show);
}

#[test]
fn who_may_not_act_is_offered_no_action() {
    let reader = runner_page::Viewer { login: "eve".into(), may_submit: false, may_admin: false };
    for told in [scene::running(), scene::mutated()] {
        let page = told.page_for(&reader, |page| page.render());
        assert!(!page.contains("/cancel\"") && !page.contains("/rerun\""));
    }
}

#[test]
fn an_action_is_offered_where_the_state_allows_it() {
    let offers = |told: &scene::Told| {
        let page = told.page(|page| page.render());
        (page.contains("/cancel\""), page.contains("/rerun\""))
    };
    assert_eq!(offers(&scene::queued()), (true, false));
    assert_eq!(offers(&scene::running()), (true, false));
    let stopping = scene::told()
        .into_iter()
        .find(|told| told.view.job.life.cancel.is_some() && !told.view.job.life.status.is_final());
    assert_eq!(offers(&stopping.unwrap()), (false, false));
    assert_eq!(offers(&scene::mutated()), (false, true));
}

#[test]
fn of_a_proof_that_cannot_be_shown_it_is_said_where_it_is() {
    let told = scene::Told { artifact: None, ..scene::succeeded() };
    for page in [told.page(|page| page.render()), told.page(|page| page.fragment())] {
        let link = format!(
            "href=\"/jobs/{}/artifacts/artifact.json\">artifact.json</a>, which is too large",
            told.view.job.job_id
        );
        assert!(page.contains(&link) && !page.contains("nothing was proved"));
    }
    let none = scene::Told { files: Vec::new(), ..told };
    assert!(none.page(|page| page.render()).contains("nothing was proved of this job"));
}
