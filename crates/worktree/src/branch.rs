//! Which branches jobs may use.

/// Whether a branch's short name is what `pattern` says: a name, in which `*` stands for any part of one component.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('/'), name.split('/'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) if component(pattern, name) => {}
            _ => return false,
        }
    }
}

fn component(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.len() >= last.len() && left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j06_a_star_stands_for_a_part_of_one_component() {
        let is = |pattern, name| assert!(matches(pattern, name), "{pattern} {name}");
        let is_not = |pattern, name| assert!(!matches(pattern, name), "{pattern} {name}");
        is("main", "main");
        is("release/*", "release/1.0");
        is("release/*", "release/");
        is("*/v*.*", "release/v1.2");
        is("a*b*c", "abbcc");
        is_not("main", "main2");
        is_not("main", "x/main");
        is_not("release/*", "release/a/b");
        is_not("release/*", "release");
        is_not("*", "a/b");
        is_not("a*a", "a");
        is_not("", "main");
    }
}
