//! Patterns of host and path, as routes have them.

use crate::path::Segments;

/// Which hosts a pattern means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    Any,
    /// This host, in canonical form.
    Exact(Box<str>),
    /// Every host that ends so and has at least one label before: `.example.org`.
    Suffix(Box<str>),
}

/// One segment of a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// This text, in canonical form.
    Literal(Box<str>),
    /// Any text but the empty one: `{name}`.
    Parameter(Box<str>),
}

/// A path pattern: segments, and whether `/**` follows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PathPattern {
    pub(crate) segments: Vec<Segment>,
    pub(crate) rest: bool,
}

impl PathPattern {
    /// The segment of a canonical path at this position, if the path is one of the pattern's.
    pub(crate) fn segment<'t>(&self, path: &'t str, position: usize) -> Option<&'t str> {
        let mut segments = Segments::of(path);
        let mut wanted = None;
        for (at, pattern) in self.segments.iter().enumerate() {
            let segment = segments.next()?;
            let fits = match pattern {
                Segment::Literal(text) => **text == *segment,
                Segment::Parameter(_) => !segment.is_empty(),
            };
            if !fits {
                return None;
            }
            if at == position {
                wanted = Some(segment);
            }
        }
        if self.rest == segments.next().is_some() { wanted } else { None }
    }

    /// Sorts patterns that match one path as the table chooses between them, the most specific first:
    /// a literal before `{name}` before `/**`, segment by segment.
    pub(crate) fn specificity(&self) -> impl Iterator<Item = u8> {
        let rank = |segment: &Segment| u8::from(matches!(segment, Segment::Parameter(_)));
        self.segments.iter().map(rank).chain([2])
    }

    /// Where a parameter stands.
    pub(crate) fn position(&self, parameter: &str) -> Option<usize> {
        self.segments
            .iter()
            .position(|segment| matches!(segment, Segment::Parameter(name) if **name == *parameter))
    }
}
