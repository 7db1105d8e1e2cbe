//! The names that a section of the policy defines, and who uses them.

use std::borrow::Cow;
use std::cell::Cell;

use super::super::diagnostic::{Report, Shown, code};
use super::super::forms;
use super::super::place::Place;
use super::super::suggest;
use crate::node::Node;
use crate::sorted::sort_by;

/// Most networks, roles or limits of a policy.
const MAX_NAMES: usize = 65_536;

/// The names of one section, in alphabetical order, which is their order in the policy.
pub(super) struct Names<'n> {
    section: &'static str,
    /// What one of them is called.
    what: &'static str,
    all: Vec<Name<'n>>,
}

/// A name, what it stands for, and whether somebody uses it.
struct Name<'n> {
    text: &'n str,
    node: &'n Node<'n>,
    used: Cell<bool>,
}

impl<'n> Names<'n> {
    pub(super) fn new(
        document: &'n Node<'n>,
        section: &'static str,
        what: &'static str,
        report: &mut Report,
    ) -> Self {
        let members = document.member(section).map(Node::members).unwrap_or_default();
        let name = |(text, node): &'n (Cow<'n, str>, Node<'n>)| Name {
            text: text.as_ref(),
            node,
            used: Cell::new(false),
        };
        let mut names: Vec<_> = members.iter().map(name).collect();
        if names.len() > MAX_NAMES {
            let message = format!("holds more than {MAX_NAMES} of them");
            report.error(code::OUT_OF_BOUNDS, &Place::TOP.field(section), message, "");
        }
        sort_by(&mut names, |a, b| a.text.cmp(b.text));
        Self { section, what, all: names }
    }

    /// The names in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'n str> + Clone {
        self.all.iter().map(|name| name.text)
    }

    /// What the names stand for, in their order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&'n str, &'n Node<'n>)> {
        self.all.iter().map(|name| (name.text, name.node))
    }

    /// Position of a defined name.
    pub(super) fn position(&self, name: &str) -> Option<u16> {
        let found = self.all.binary_search_by_key(&name, |other| other.text).ok()?;
        u16::try_from(found).ok()
    }

    /// Position of a name that is used here; a name that is not defined is reported.
    pub(super) fn resolve(
        &self,
        name: &str,
        place: &Place<'_>,
        report: &mut Report,
    ) -> Option<u16> {
        let position = self.position(name);
        match position.and_then(|at| self.all.get(usize::from(at))) {
            Some(name) => name.used.set(true),
            // Texts that cannot be a name were reported with the shape of the document.
            None if !forms::NAME.holds(name) || report.is_full() => {}
            None => {
                let message = format!("there is no {} {}", self.what, Shown(name));
                let help = suggest::help(name, self.iter(), &format!("{}s", self.what));
                report.error(code::UNKNOWN_NAME, place, message, help);
            }
        }
        position
    }

    /// Counts every name as used.
    pub(super) fn mark_all(&self) {
        self.all.iter().for_each(|name| name.used.set(true));
    }

    pub(super) fn report_unused(&self, report: &mut Report) {
        for Name { text: name, used, .. } in &self.all {
            if !used.get() {
                let section = Place::TOP.field(self.section);
                let message = format!("the {} {} is never used", self.what, Shown(name));
                report.warning(code::UNUSED, &section.field(name), message, "");
            }
        }
    }
}
