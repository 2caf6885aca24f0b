//! What somebody may have meant.

/// The candidate nearest to what was written, if it is near enough to be a slip.
pub(super) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|it| (distance(&written.to_lowercase(), &it.to_lowercase()), it))
        .filter(|(steps, it)| *steps <= (it.chars().count() / 3).max(1))
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, it)| it)
}

/// A sentence of advice: the nearest candidate, or all of them.
pub(super) fn advise<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match (nearest(written, candidates.iter().copied()), candidates.is_empty()) {
        (Some(it), _) => format!("did you mean `{it}`?"),
        (None, true) => "there is none to choose from".to_owned(),
        (None, false) => format!("there is: {}", list(&candidates)),
    }
}

/// Names in back quotes, cut off where the list gets long.
pub(super) fn list(names: &[&str]) -> String {
    const SHOWN_MAX: usize = 12;
    let mut shown: Vec<String> = names.iter().take(SHOWN_MAX).map(|it| format!("`{it}`")).collect();
    if names.len() > SHOWN_MAX {
        shown.push(format!("and {} more", names.len() - SHOWN_MAX));
    }
    shown.join(", ")
}

/// The number of characters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["match", "through", "erase", "personal"];
        assert_eq!(nearest("macth", known), Some("match"));
        assert_eq!(nearest("Erase", known), Some("erase"));
        assert_eq!(nearest("presonal", known), Some("personal"));
        assert_eq!(nearest("zebra", known), None);
        assert_eq!(advise("zebra", ["a", "b"]), "there is: `a`, `b`");
        assert_eq!(advise("zebra", []), "there is none to choose from");
    }
}
