//! What a rule that is broken on purpose changes in the scripts. Nothing of it is in a build without drills.

use erasure_drill::{Rule, is_broken};
use std::borrow::Cow;

/// A rule, the lines of a script that keep it, and what stands in their place while it is broken.
const BREAKS: [(Rule, &str, &str); 5] = [
    (
        Rule::BitsNotCounter,
        "if fresh and all_fresh then rec.at = struct.pack('>I6', now_ms()) end\n",
        "local marked = 0
for i = 1, rec.words do
  for k = 1, 3 do marked = marked + ones(word_at(A[4 + k], i * 4 - 3, i * 4)) end
end
marked = call('HINCRBY', h.store, 'X' .. name, marked)
if marked >= rec.count then
  for i = 1, rec.words do rec[i] = whole_word(rec.count, i) end
end
",
    ),
    (
        Rule::MissingIsNotDone,
        "'*', 'r', REQUEST)\n  return { 'U' }\n",
        "'*', 'r', REQUEST)\n  return { 'F' }\n",
    ),
    (
        Rule::CompleteByPlan,
        "      if not is_full(h, entry, recs) then return 0 end\n      any = true\n",
        "      local seen = call('HGET', h.store, name_of(h, entry.at, 0))
      if seen and not is_full(h, entry, recs) then return 0 end
      any = any or seen ~= false
",
    ),
    (
        Rule::BoundEvidenceKey,
        "if found.evidence ~= A[4] then return { 'S', found.evidence } end\n",
        "",
    ),
    (
        Rule::BoundEvidenceKey,
        "if not entry.live or entry.evidence ~= A[3] then return { 'S' } end\n",
        "if not entry.live then return { 'S' } end\n",
    ),
];

/// A script as it is run: as it is written, unless a rule is broken.
pub(crate) fn text(script: &'static str) -> Cow<'static, str> {
    let mut text = Cow::Borrowed(script);
    for (_, kept, broken) in BREAKS.iter().filter(|(rule, ..)| is_broken(*rule)) {
        text = Cow::Owned(text.replace(kept, broken));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise breaking the rule would break nothing.
    #[test]
    fn each_broken_rule_changes_lines_that_are_there() {
        let common = include_str!("scripts/common.lua");
        let scripts = [common, include_str!("scripts/claim.lua"), include_str!("scripts/mark.lua")];
        for (rule, kept, _) in BREAKS {
            let times: usize = scripts.iter().map(|script| script.matches(kept).count()).sum();
            assert_eq!(times, 1, "{rule:?}");
        }
    }
}
