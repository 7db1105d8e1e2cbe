//! Whether a pattern lies wholly inside another one: what no request can reach is a mistake.

use super::{HostPattern, PathPattern, RouteId, RouteTable, Segment};
use crate::sorted::sort;

impl RouteTable {
    /// A route of this table that has every request of a host and path pattern with this method.
    pub(crate) fn covering(
        &self,
        host: &HostPattern,
        path: &PathPattern,
        method: &str,
    ) -> Option<RouteId> {
        let mut roots: Vec<usize> = match host {
            HostPattern::Any => self.any.into_iter().collect(),
            HostPattern::Exact(name) => self.roots(name).collect(),
            HostPattern::Suffix(suffix) => {
                let wider = suffix.match_indices('.').filter_map(|(dot, _)| suffix.get(dot..));
                wider
                    .filter_map(|suffix| self.suffix.get(suffix).copied())
                    .chain(self.any)
                    .collect()
            }
        };
        sort(&mut roots);
        roots.into_iter().find_map(|root| self.cover(root, &path.segments, path.rest, method))
    }

    /// INVARIANT: each step goes one segment deeper into a pattern whose length is bounded.
    fn cover(&self, at: usize, segments: &[Segment], rest: bool, method: &str) -> Option<RouteId> {
        let branch = self.branches.get(at)?;
        let covers = |methods: &super::Methods| methods.any.or_else(|| methods.listed(method));
        let Some((first, deeper)) = segments.split_first() else {
            let bare = || covers(&branch.rest).filter(|_| self.refuses);
            return if rest { covers(&branch.rest) } else { covers(&branch.here).or_else(bare) };
        };
        let literal = match first {
            Segment::Literal(text) => {
                let text = if self.refuses { &text.to_ascii_lowercase().into() } else { text };
                branch.literal(text).ok().flatten()
            }
            Segment::Parameter(_) => None,
        };
        let is_empty = matches!(first, Segment::Literal(text) if text.is_empty());
        let parameter = branch.parameter.filter(|_| !is_empty);
        let slash_at_end = || covers(&branch.here).filter(|_| self.refuses && is_empty && !rest);
        covers(&branch.rest).or_else(slash_at_end).or_else(|| {
            let mut places = literal.into_iter().chain(parameter);
            places.find_map(|place| self.cover(place, deeper, rest, method))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn host(text: &str) -> HostPattern {
        match text.strip_prefix('*') {
            Some("") => HostPattern::Any,
            Some(suffix) => HostPattern::Suffix(suffix.into()),
            None => HostPattern::Exact(text.into()),
        }
    }

    fn path(text: &str) -> PathPattern {
        let (text, rest) = text.strip_suffix("/**").map_or((text, false), |head| (head, true));
        let segment = |part: &str| match part.strip_prefix('{') {
            Some(name) => Segment::Parameter(name.into()),
            None => Segment::Literal(part.into()),
        };
        PathPattern { segments: text.split('/').skip(1).map(segment).collect(), rest }
    }

    fn covers(outer: (&str, &str, &str), inner: (&str, &str, &str)) -> bool {
        let mut table = RouteTable::default();
        let _ = table.methods_mut(&host(outer.0), &path(outer.1)).insert(outer.2, RouteId(0));
        table.covering(&host(inner.0), &path(inner.1), inner.2).is_some()
    }

    #[test]
    fn a_pattern_covers_what_it_alone_would_match() {
        for (outer, inner) in [
            (("*", "/a/**", "*"), ("h", "/a/b", "GET")),
            (("*", "/a/**", "*"), ("*", "/a/**", "*")),
            (("*", "/a/**", "*"), ("*.x", "/a/{b}/c/**", "CONNECT")),
            (("*", "/a/**", "*"), ("*", "/a/", "GET")),
            (("*", "/**", "*"), ("*", "/", "GET")),
            (("*", "/{a}/b", "GET"), ("*", "/x/b", "GET")),
            (("*", "/{a}/b", "GET"), ("*", "/{x}/b", "GET")),
            (("*.x.y", "/a", "*"), ("*.w.x.y", "/a", "GET")),
            (("*.x.y", "/a", "*"), ("*.x.y", "/a", "GET")),
            (("*.x.y", "/a", "*"), ("w.x.y", "/a", "GET")),
        ] {
            assert!(covers(outer, inner), "{outer:?} {inner:?}");
        }
        for (outer, inner) in [
            (("*", "/a/**", "*"), ("*", "/a", "GET")),
            (("*", "/a/**", "GET"), ("*", "/a/b", "*")),
            (("*", "/a/**", "GET"), ("*", "/a/b", "POST")),
            (("*", "/a/{b}", "*"), ("*", "/a/", "GET")),
            (("*", "/a/{b}", "*"), ("*", "/a/**", "GET")),
            (("*", "/a/b", "*"), ("*", "/a/{b}", "GET")),
            (("h", "/a", "*"), ("*", "/a", "GET")),
            (("*.x.y", "/a", "*"), ("x.y", "/a", "GET")),
            (("*.x.y", "/a", "*"), ("*.y", "/a", "GET")),
            (("*.x.y", "/a", "*"), ("*", "/a", "GET")),
        ] {
            assert!(!covers(outer, inner), "{outer:?} {inner:?}");
        }
    }
}
