//! Who sent a request, for the operations that care.

use poem::{FromRequest, Request, RequestBody};

use crate::auth::Caller;

/// The client behind a request. A request that came over no connection is waited for.
#[derive(Debug)]
pub struct Sender(pub Caller);

impl<'a> FromRequest<'a> for Sender {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(request.data::<Caller>().cloned().unwrap_or_default()))
    }
}
