//! Gives operations the client that sent the request.

use poem::{FromRequest, Request, RequestBody};

use crate::auth::ClientInfo;

/// The client behind a request. A request without a connection has a client without an address, which never disconnects.
#[derive(Debug)]
pub struct Sender(pub ClientInfo);

impl<'a> FromRequest<'a> for Sender {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let caller = request.data::<ClientInfo>().cloned().unwrap_or_default();
        Ok(Self(caller))
    }
}
