//! "Did you mean": the closest of some known words.

/// Most words that are looked at: a policy may define 100,000 names.
const MAX_CANDIDATES: usize = 1_000;
/// Longest text, in bytes, that is compared at all.
const MAX_LENGTH: usize = 64;

/// The known word that a text was most likely meant to be: the closest one by letters changed, added,
/// left out or swapped, ignoring case, if that is at most a third of the text.
pub(crate) fn closest<'c>(text: &str, known: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let most = text.len().div_ceil(3).min(3);
    known
        .into_iter()
        .take(MAX_CANDIDATES)
        .filter(|word| word.len().abs_diff(text.len()) <= most)
        .filter_map(|word| Some((distance(text, word)?, word)))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Help that ends in a suggestion, or else in what is known.
pub(crate) fn help<'c>(
    text: &str,
    known: impl IntoIterator<Item = &'c str> + Clone,
    what: &str,
) -> String {
    if let Some(word) = closest(text, known.clone()) {
        return format!("did you mean `{word}`?");
    }
    let mut listed: Vec<String> =
        known.into_iter().take(33).map(|word| format!("`{word}`")).collect();
    if listed.is_empty() {
        return format!("no {what} are defined");
    }
    if listed.len() > 32 {
        listed.truncate(32);
        listed.push("…".to_owned());
    }
    format!("{what}: {}", listed.join(", "))
}

/// Optimal string alignment distance in bytes; `None` for texts that are too long to compare.
fn distance(left: &str, right: &str) -> Option<usize> {
    if left.len() > MAX_LENGTH || right.len() > MAX_LENGTH {
        return None;
    }
    let fold = |text: &str| text.bytes().map(|byte| byte.to_ascii_lowercase()).collect::<Vec<_>>();
    let (left, right) = (fold(left), fold(right));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        for (column, other) in right.iter().enumerate() {
            let cell = |line: &[usize], back: usize| {
                let at = column.saturating_add(1).checked_sub(back)?;
                line.get(at).copied()
            };
            let swapped = row > 0
                && column > 0
                && left.get(row.saturating_sub(1)) == Some(other)
                && right.get(column.saturating_sub(1)) == Some(letter);
            let costs = [
                cell(&above, 0).map(|cost| cost.saturating_add(1)),
                cell(&current, 1).map(|cost| cost.saturating_add(1)),
                cell(&above, 1).map(|cost| cost.saturating_add(usize::from(letter != other))),
                cell(&before, 2).filter(|_| swapped).map(|cost| cost.saturating_add(1)),
            ];
            current.push(costs.into_iter().flatten().min()?);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn finds_what_was_meant() {
        let known = ["routes", "roles", "scopes", "methods", "GET"];
        for (text, expected) in [
            ("route", Some("routes")),
            ("rotues", Some("routes")),
            ("Roles", Some("roles")),
            ("scope", Some("scopes")),
            ("GTE", Some("GET")),
            ("method", Some("methods")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(closest(text, known), expected, "{text}");
        }
        assert_eq!(closest(&"x".repeat(100_000), known), None);
        assert_eq!(help("zzz", ["a", "b"], "known words"), "known words: `a`, `b`");
        assert_eq!(help("zzz", [], "networks"), "no networks are defined");
    }
}
