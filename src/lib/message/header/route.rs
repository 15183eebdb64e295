//! Fields that hold a path: Route, Record-Route (RFC 3261 §20.30, §20.34), Path (RFC 3327),
//! Service-Route (RFC 3608).

use super::header;
use crate::message::NameAddr;

header!(
    /// Where the request has still to go.
    Route, List, NameAddr<'m>, NameAddr::read, address);
header!(
    /// Who wants to stay on the path.
    RecordRoute, List, NameAddr<'m>, NameAddr::read, address);
header!(
    /// The way from a registrar to the contact.
    Path, List, NameAddr<'m>, NameAddr::read, address);
header!(
    /// The route a registrar hands out for requests of its user.
    ServiceRoute, List, NameAddr<'m>, NameAddr::read, address);
