//! When API keys end.

use super::super::diagnostic::{Report, code};
use super::super::place::Place;
use super::read;
use crate::node::Node;
use crate::policy::Schedule;
use crate::time::Timestamp;

const FIELD: &str = "api_key_schedule";

/// The schedule of a consumer or a route.
pub(super) fn compile(
    owner: &Node<'_>,
    place: &Place<'_>,
    report: &mut Report,
) -> Option<Box<Schedule>> {
    let node = owner.member(FIELD)?;
    let time = |field| read::text(node, field).and_then(Timestamp::parse_rfc3339);
    let (deprecated, sunset) = (time("deprecated"), time("sunset"));
    if let (Some(deprecated), Some(sunset)) = (deprecated, sunset)
        && sunset < deprecated
    {
        // RFC 9745 section 4.
        let message = "API keys would end before they are deprecated";
        let help = "`sunset` must not be earlier than `deprecated`";
        report.error(code::SCHEDULE_REVERSED, &place.field(FIELD), message, help);
    }
    let link = read::text(node, "link").map(Box::from);
    Some(Box::new(Schedule { deprecated, sunset, link }))
}
