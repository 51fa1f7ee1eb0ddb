//! What holds of the markup of every page, whatever it says.

use std::collections::BTreeSet;

use super::scene;

/// A start tag.
pub(crate) struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The start tags of a page. It takes only what the templates write: names in lower case, values in quotes.
pub(crate) fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if rest.starts_with(|c: char| c.is_ascii_lowercase()) {
            let (tag, after) = tag(rest);
            tags.push(tag);
            rest = after;
        }
    }
    tags
}

fn tag(text: &str) -> (Tag, &str) {
    let end = text.find([' ', '>', '/', '\n']).unwrap();
    let mut tag = Tag { name: text[..end].into(), attributes: Vec::new() };
    let mut rest = &text[end..];
    loop {
        rest = rest.trim_start_matches([' ', '\n', '/']);
        if let Some(after) = rest.strip_prefix('>') {
            return (tag, after);
        }
        let end = rest.find(['=', ' ', '>', '\n', '/']).unwrap();
        let name = rest[..end].to_owned();
        assert!(!name.contains(['"', '\'', '<']), "an attribute is called {name}");
        rest = &rest[end..];
        let value = match rest.strip_prefix('=') {
            None => "",
            Some(quoted) => {
                let quote = quoted.chars().next().unwrap();
                assert!(matches!(quote, '"' | '\''), "{name} has no quotes");
                let (value, after) = quoted[1..].split_once(quote).unwrap();
                rest = after;
                value
            }
        };
        tag.attributes.push((name, value.to_owned()));
    }
}

fn every() -> Vec<(&'static str, String, Vec<Tag>)> {
    let all = scene::pages().into_iter().chain(scene::fragments());
    all.map(|(name, html)| {
        let tags = tags(&html);
        (name, html, tags)
    })
    .collect()
}

#[test]
fn no_page_has_a_script_a_style_or_a_handler_of_its_own() {
    for (page, html, tags) in every() {
        for tag in tags {
            assert_ne!(tag.name, "style", "{page}");
            assert!(tag.name != "script" || tag.get("src").is_some(), "{page}");
            for (name, value) in &tag.attributes {
                assert!(name != "style" && !name.starts_with("on") && !name.starts_with("hx-on"), "{page}: {name}");
                assert!(!value.trim_start().starts_with("javascript:"), "{page}: {name}");
            }
        }
        assert!(!html.contains("<script>"), "{page}");
    }
}

#[test]
fn every_control_has_a_name() {
    for (page, html, tags) in every() {
        let labels: BTreeSet<&str> =
            tags.iter().filter(|tag| tag.name == "label").filter_map(|tag| tag.get("for")).collect();
        for tag in &tags {
            match tag.name.as_str() {
                "input" | "select" | "textarea" => {
                    assert!(tag.get("id").is_some_and(|id| labels.contains(id)), "{page}");
                }
                "meter" | "nav" => assert!(tag.get("aria-label").is_some(), "{page}: {}", tag.name),
                "section" => assert!(tag.get("aria-label").or(tag.get("aria-labelledby")).is_some(), "{page}"),
                _ => {}
            }
        }
        let buttons = html.split("<button").skip(1).map(|rest| rest.split_once('>').unwrap().1);
        assert!(buttons.into_iter().all(|inner| !inner.starts_with("</button>")), "{page}");
    }
}

#[test]
fn an_id_is_there_once_and_what_refers_to_one_finds_it() {
    for (page, _, tags) in every() {
        let all: Vec<&str> = tags.iter().filter_map(|tag| tag.get("id")).collect();
        let ids: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(ids.len(), all.len(), "{page}");
        // A fragment's shapes and names are in the page around it.
        if page.ends_with("fragment") {
            continue;
        }
        for tag in &tags {
            let one = ["for", "list"].into_iter().filter_map(|name| tag.get(name));
            let many = ["aria-labelledby", "aria-describedby"].into_iter().filter_map(|name| tag.get(name));
            let anchors = tag.get("href").and_then(|href| href.strip_prefix('#'));
            for id in one.chain(anchors).chain(many.flat_map(str::split_whitespace)) {
                assert!(ids.contains(id), "{page}: nothing is called {id}");
            }
        }
    }
}

#[test]
fn links_stay_on_this_server_and_have_their_reserved_characters_encoded() {
    for (page, _, tags) in every() {
        let urls = ["href", "src", "action", "hx-get", "data-stream"];
        for url in tags.iter().flat_map(|tag| urls.iter().filter_map(|name| tag.get(name))) {
            assert!(url.starts_with('/') && !url.starts_with("//") || url.starts_with('#'), "{page}: {url}");
            assert!(
                url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)),
                "{page}: {url}"
            );
        }
    }
}

#[test]
fn a_page_has_landmarks_one_heading_and_says_where_it_is() {
    for (page, html) in scene::pages() {
        let tags = tags(&html);
        let count = |name: &str| tags.iter().filter(|tag| tag.name == name).count();
        assert_eq!((count("main"), count("h1"), count("header")), (1, 1, 1), "{page}");
        assert!(html.contains("<html lang=\"en\">") && html.contains("class=\"skip\""), "{page}");
        let current = tags.iter().filter(|tag| tag.get("aria-current").is_some()).count();
        assert_eq!(current, usize::from(!page.starts_with("login") && page != "error"), "{page}");
    }
}

#[test]
fn a_table_keeps_its_roles_when_it_is_shown_as_cards() {
    for (page, _, tags) in every() {
        for tag in tags {
            let role = match tag.name.as_str() {
                "table" => "table",
                "thead" | "tbody" => "rowgroup",
                "tr" => "row",
                "td" => "cell",
                "th" if tag.get("scope") == Some("row") => "rowheader",
                "th" => "columnheader",
                _ => continue,
            };
            assert_eq!(tag.get("role"), Some(role), "{page}: {}", tag.name);
        }
    }
}
