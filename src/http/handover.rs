//! A connection that goes on as something other than HTTP: when the answer is written, its socket goes to whoever asked
//! for it. The reader of requests ends, and its buffers with it: they are most of what a connection costs.

use std::{cell::Cell, pin::Pin};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes both ways, with TLS or without.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket for T {}

type Work = Pin<Box<dyn Future<Output = ()>>>;
type Next = Box<dyn FnOnce(Option<Box<dyn Socket>>) -> Work>;

/// Of one connection.
#[derive(Default)]
pub(super) struct Handover {
    asked: Cell<bool>,
    next: Cell<Option<Next>>,
    socket: Cell<Option<Box<dyn Socket>>>,
}

impl Handover {
    /// `next` follows when the answer to the request at hand is written. It gets no socket if the connection ended
    /// before.
    pub fn ask(&self, next: impl FnOnce(Option<Box<dyn Socket>>) -> Work + 'static) {
        self.next.set(Some(Box::new(next)));
        self.asked.set(true);
    }

    /// What comes on the socket is no request any more.
    pub fn is_asked(&self) -> bool {
        self.asked.get()
    }

    pub fn give(&self, socket: Box<dyn Socket>) {
        self.socket.set(Some(socket));
    }

    /// What is to be done when the reader of requests is gone.
    pub fn take(&self) -> Option<Work> {
        Some(self.next.take()?(self.socket.take()))
    }
}
