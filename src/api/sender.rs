//! Extracts the client of a request.

use poem::{FromRequest, Request, RequestBody};

use crate::auth::ClientInfo;

/// The client of a request. Without a connection, the client has no address and never disconnects.
#[derive(Debug)]
pub struct Sender(pub ClientInfo);

impl<'a> FromRequest<'a> for Sender {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let caller = request.data::<ClientInfo>().cloned().unwrap_or_default();
        Ok(Self(caller))
    }
}
