//! Info-Package and Recv-Info (RFC 6086 §9): what INFO requests carry.

use super::{TokenParams, header};

header!(
    /// The package of this INFO request.
    InfoPackage, Single, TokenParams<'m>, TokenParams::read);
header!(
    /// Packages the sender is willing to receive, possibly none.
    RecvInfo, OptionalList, TokenParams<'m>, TokenParams::read, words TokenParams::plain);
