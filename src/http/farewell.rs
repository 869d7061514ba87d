//! The last word to those who come while the server ends: when to come again, instead of a connection that breaks off.
//! It outlives the workers, which finish what they have.

use super::{codes::Code, problem::Problem};
use std::{io, net, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{JoinHandle, spawn_local},
};

/// Whoever takes longer to ask, or to hear, is cut off.
const PATIENCE: Duration = Duration::from_secs(1);
/// Who may be told at once; further ones wait in the kernel's queue.
const AT_ONCE: usize = 256;
const HEAD_MAX: usize = 16 << 10;

/// The API's own socket once more.
pub struct Farewell {
    listener: net::TcpListener,
    /// A stranger to TLS cannot be told anything: the connection is closed before it begins.
    tls: bool,
}

impl Farewell {
    pub(super) fn of(listener: &net::TcpListener, tls: bool) -> io::Result<Self> {
        Ok(Self { listener: listener.try_clone()?, tls })
    }

    /// Begins to answer whoever connects from now on. To be called when nobody else accepts any more.
    pub fn begin(self) -> io::Result<Answering> {
        let end = self.listener.try_clone()?;
        let listener = TcpListener::from_std(self.listener)?;
        let tls = self.tls;
        let room = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Answering { end, task: spawn_local(answer(listener, tls, Arc::clone(&room))), room })
    }
}

/// Answers until it is ended.
pub struct Answering {
    end: net::TcpListener,
    task: JoinHandle<()>,
    room: Arc<Semaphore>,
}

impl Answering {
    /// Nobody is let in any more; who is in is told first.
    pub async fn end(self) {
        // A queue of none: who comes now is refused by the kernel, which says so.
        if let Err(error) = socket2::SockRef::from(&self.end).listen(0) {
            tracing::warn!(%error, "the last connections may break off");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.task.abort();
        let _ = self.task.await;
        drop(self.end);
        let everybody = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(PATIENCE, self.room.acquire_many(everybody)).await;
    }
}

async fn answer(listener: TcpListener, tls: bool, room: Arc<Semaphore>) {
    let words: Rc<[u8]> = words().into();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) if !tls => {
                let words = Rc::clone(&words);
                spawn_local(async move {
                    let _ = tokio::time::timeout(PATIENCE, tell(stream, &words)).await;
                    drop(permit);
                });
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn tell(mut stream: TcpStream, words: &[u8]) -> io::Result<()> {
    let (mut heard, mut part) = (Vec::new(), [0; 2048]);
    while heard.len() < HEAD_MAX && !heard.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part).await? {
            0 => return Ok(()),
            read => heard.extend_from_slice(&part[..read]),
        }
    }
    stream.write_all(words).await?;
    stream.shutdown().await?;
    // What is still on its way would break the connection before the answer is read.
    while stream.read(&mut part).await? > 0 {}
    Ok(())
}

fn words() -> Vec<u8> {
    let problem = Problem::from(Code::Stopping).retry_after_s(5);
    let json = problem.to_json("stopping");
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nx-request-id: stopping\r\n\
         retry-after: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        problem.retry_after().unwrap_or(5),
        json.len()
    );
    [head.as_bytes(), &json].concat()
}
