//! The methods that exist.

/// The HTTP Method Registry of IANA, without `PRI`, which no request may use.
const METHODS: &str = "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK \
    MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH \
    PATCH POST PROPFIND PROPPATCH PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT \
    UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL";

/// Every registered method.
pub(crate) fn registered() -> impl Iterator<Item = &'static str> {
    METHODS.split(' ')
}

/// Whether a method is one of them. Callers can make up any number of others.
pub(crate) fn is_registered(method: &str) -> bool {
    registered().any(|known| known == method)
}
