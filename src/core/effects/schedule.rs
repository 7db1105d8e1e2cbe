//! What a caller with an API key is told of the end of API keys.

use super::Lines;
use crate::decision::Decision;
use crate::json::push_number;
use crate::policy::Schedule;

impl Decision<'_, '_> {
    /// `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` (RFC 8288), where the caller showed a
    /// good key, be it the credential that counts or not, and its consumer or the route has a schedule.
    pub(super) fn add_schedule_headers(&self, lines: &mut Lines) {
        let Some(principal) = self.proven().find(|principal| principal.key().is_some()) else {
            return;
        };
        let of_consumer = principal.consumer.and_then(|consumer| consumer.schedule.as_deref());
        let of_route = self.route.and_then(|route| route.schedule.as_deref());
        match (of_consumer, of_route) {
            (Some(one), Some(other)) => add_headers(&one.both(other), lines),
            (Some(schedule), None) | (None, Some(schedule)) => add_headers(schedule, lines),
            (None, None) => {}
        }
    }
}

fn add_headers(schedule: &Schedule, lines: &mut Lines) {
    if let Some(time) = schedule.deprecated {
        // A date as structured fields have it (RFC 9651 section 3.3.7).
        lines.write("deprecation", |out| {
            out.push(b'@');
            push_number(out, time.unix_seconds());
        });
    }
    if let Some(time) = schedule.sunset {
        lines.add("sunset", &time.http_date());
    }
    if let Some(link) = &schedule.link {
        let relation = match (schedule.deprecated, schedule.sunset) {
            (Some(_), Some(_)) => "deprecation sunset",
            (None, Some(_)) => "sunset",
            _ => "deprecation",
        };
        lines.add("link", &["<", link, ">; rel=\"", relation, "\""].concat());
    }
}
