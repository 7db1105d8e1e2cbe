//! Where in the document something is: a chain of steps on the stack, written out only when a
//! finding needs it.

use std::fmt;

use super::diagnostic::looks_secret;

/// A place in the document, shown as a JSON pointer (RFC 6901).
#[derive(Clone, Copy)]
pub(crate) struct Place<'p>(Option<(&'p Place<'p>, Step<'p>)>);

#[derive(Clone, Copy)]
enum Step<'p> {
    Field(&'p str),
    Item(usize),
}

impl Place<'static> {
    /// The document as a whole.
    pub(crate) const TOP: Self = Self(None);
}

impl Place<'_> {
    /// The member `name` of the object at this place.
    pub(crate) const fn field<'c>(&'c self, name: &'c str) -> Place<'c> {
        Place(Some((self, Step::Field(name))))
    }

    /// The item `index` of the list at this place, counted from 0.
    pub(crate) const fn item(&self, index: usize) -> Place<'_> {
        Place(Some((self, Step::Item(index))))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // INVARIANT: as deep as the policy language, which is a handful of steps.
        let Some((parent, step)) = self.0 else { return Ok(()) };
        parent.fmt(f)?;
        match step {
            Step::Item(index) => write!(f, "/{index}"),
            Step::Field(name) => write!(f, "/{}", Escaped(name)),
        }
    }
}

/// One member name as a step of a JSON pointer: `~` and `/` are escaped. A name that looks like an API
/// key is left out.
pub(crate) struct Escaped<'t>(pub(crate) &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if looks_secret(self.0) {
            return f.write_str("(hidden)");
        }
        self.0.split_inclusive(['~', '/']).try_for_each(|piece| {
            if let Some(head) = piece.strip_suffix('~') {
                write!(f, "{head}~0")
            } else if let Some(head) = piece.strip_suffix('/') {
                write!(f, "{head}~1")
            } else {
                f.write_str(piece)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn shows_a_json_pointer() {
        let networks = Place::TOP.field("networks");
        assert_eq!(Place::TOP.to_string(), "");
        assert_eq!(networks.field("pcl_0123").to_string(), "/networks/(hidden)");
        assert_eq!(
            networks.field("a/b~c").field("cidrs").item(7).to_string(),
            "/networks/a~1b~0c/cidrs/7"
        );
    }
}
