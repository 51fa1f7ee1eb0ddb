//! Whether every text can be read: the contrast of the pairs of colours that the style sheet uses, by WCAG 2.

use std::collections::BTreeMap;

use runner_page::asset;

/// Text, and what it stands on.
const TEXTS: [(&str, &str); 26] = [
    ("ink", "ground"),
    ("ink", "sheet"),
    ("ink", "sunk"),
    ("muted", "ground"),
    ("muted", "sheet"),
    ("muted", "sunk"),
    ("link", "ground"),
    ("link", "sheet"),
    ("link", "sunk"),
    ("on-link", "link"),
    ("on-danger", "danger"),
    ("ok", "ok-tint"),
    ("ok", "sheet"),
    ("run", "run-tint"),
    ("run", "sheet"),
    ("wait", "wait-tint"),
    ("wait", "sheet"),
    ("bad", "bad-tint"),
    ("bad", "sheet"),
    ("ink", "bad-tint"),
    ("warn", "warn-tint"),
    ("warn", "sheet"),
    ("off", "off-tint"),
    ("ink", "run-tint"),
    ("term-ink", "term"),
    ("term-muted", "term"),
];

/// What is no text but has to be seen: the edges of controls, the focus, bars.
const SHAPES: [(&str, &str); 6] = [
    ("edge", "sheet"),
    ("edge", "ground"),
    ("focus", "ground"),
    ("focus", "sheet"),
    ("focus", "term"),
    ("run", "line"),
];

/// The custom properties of the light and of the dark page.
fn colours() -> [BTreeMap<String, [f64; 3]>; 2] {
    let css = String::from_utf8(asset("page.css").unwrap().bytes.to_vec()).unwrap();
    let (light, dark) = css.split_once("@media (prefers-color-scheme: dark)").unwrap();
    let light = properties(light);
    let mut both = light.clone();
    both.extend(properties(dark));
    assert_eq!(both.len(), light.len(), "dark has no colour that light has not");
    [light, both]
}

fn properties(css: &str) -> BTreeMap<String, [f64; 3]> {
    let lines = css.lines().filter_map(|line| line.trim().strip_prefix("--")?.strip_suffix(';')?.split_once(": #"));
    lines.map(|(name, hex)| (name.to_owned(), channels(hex))).collect()
}

fn channels(hex: &str) -> [f64; 3] {
    assert_eq!(hex.len(), 6, "{hex}");
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0)
}

fn luminance(colour: [f64; 3]) -> f64 {
    let [red, green, blue] =
        colour.map(|part| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// The pairs that have less contrast than they must.
fn too_weak(pairs: &[(&str, &str)], least: f64) -> Vec<String> {
    let judge = |colours: &BTreeMap<String, [f64; 3]>, mode: &str| {
        let pairs = pairs.iter().map(|(front, back)| (front, back, contrast(colours[*front], colours[*back])));
        let weak = pairs.filter(|(_, _, contrast)| *contrast < least);
        weak.map(|(front, back, contrast)| format!("{mode}: {front} on {back}: {contrast:.2}")).collect::<Vec<_>>()
    };
    let [light, dark] = colours();
    [judge(&light, "light"), judge(&dark, "dark")].concat()
}

#[test]
fn every_text_has_a_contrast_of_4_5_in_both_modes() {
    assert_eq!(too_weak(&TEXTS, 4.5), Vec::<String>::new());
}

#[test]
fn every_edge_has_a_contrast_of_3_in_both_modes() {
    assert_eq!(too_weak(&SHAPES, 3.0), Vec::<String>::new());
}

#[test]
fn black_on_white_is_21() {
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
}
