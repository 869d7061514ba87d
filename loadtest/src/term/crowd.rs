//! Many requests over kept connections, each as soon as the one before has its answer.

use crate::{
    client::{Connection, Response, Target, write_request},
    course::Course,
    fleet::gather,
    report::{Latencies, LoadError},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

/// How often one request is put off or its connection breaks before it has failed.
const TRIES: usize = 30;

#[derive(Clone)]
pub struct Crowd {
    pub target: Target,
    pub connections: usize,
    pub course: Course,
}

/// What somebody was answered. Status 0: nothing.
pub struct Heard<'a> {
    pub status: u16,
    pub location: Option<&'a str>,
    pub cookies: Vec<&'a str>,
    pub body: &'a [u8],
}

impl Heard<'_> {
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.body)
    }

    /// The value of a cookie that came along.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')?.split(';').next())
    }
}

pub struct Done {
    pub answers: u64,
    pub seconds: f64,
    pub latencies: Latencies,
}

/// What all connections do together.
struct Work {
    next: Cell<usize>,
    count: usize,
    until: Option<Instant>,
    lane: &'static str,
    answers: Cell<u64>,
    latencies: RefCell<Latencies>,
}

impl Work {
    fn take(&self) -> Option<usize> {
        let index = self.next.get();
        let is_over = index >= self.count || self.until.is_some_and(|until| Instant::now() >= until);
        (!is_over).then(|| self.next.replace(index + 1))
    }
}

/// An empty sync, as the bare handler reads it.
const ECHO_BODY: &[u8] =
    b"{\"cursor\":null,\"clock_ms\":1790000000000,\"journal\":{\"head\":0,\"more\":false,\"entries\":[]}}";

impl Crowd {
    /// Asks the bare handler for so long.
    pub async fn echo(&self, length: Duration) -> Result<Done, LoadError> {
        let write = |_: usize, target: &Target, request: &mut Vec<u8>| {
            write_request(request, target, "POST", "/echo", None, &[], ECHO_BODY);
        };
        let failed = Rc::new(Cell::new(None));
        let hearing = failed.clone();
        let until = Some(Instant::now() + length);
        let heard = move |_: usize, heard: Heard<'_>| {
            if heard.status != 200 {
                hearing.set(Some(heard.status));
            }
        };
        let done = self.work("echo", usize::MAX, until, write, heard).await?;
        match failed.get() {
            None => Ok(done),
            Some(status) => Err(LoadError::Unfit(format!("the bare handler answered {status}"))),
        }
    }

    /// Asks `count` times: `write` makes the request with this index, `heard` hears its answer.
    pub async fn all(
        &self,
        lane: &'static str,
        count: usize,
        write: impl Fn(usize, &Target, &mut Vec<u8>) + 'static,
        heard: impl FnMut(usize, Heard<'_>) + 'static,
    ) -> Result<Done, LoadError> {
        self.work(lane, count, None, write, heard).await
    }

    async fn work(
        &self,
        lane: &'static str,
        count: usize,
        until: Option<Instant>,
        write: impl Fn(usize, &Target, &mut Vec<u8>) + 'static,
        heard: impl FnMut(usize, Heard<'_>) + 'static,
    ) -> Result<Done, LoadError> {
        let (write, heard) = (Rc::new(write), Rc::new(RefCell::new(heard)));
        let latencies = RefCell::new(Latencies::new()?);
        let work = Rc::new(Work { next: Cell::new(0), count, until, lane, answers: Cell::new(0), latencies });
        let mut links = Vec::with_capacity(self.connections);
        for _ in 0..self.connections.min(count) {
            links.push(Connection::open(&self.target).await?);
        }
        let began = Instant::now();
        let workers = links.into_iter().map(|link| {
            let (work, write, heard) = (work.clone(), write.clone(), heard.clone());
            let (target, course) = (self.target.clone(), self.course.clone());
            async move {
                let (mut link, mut request) = (Some(link), Vec::with_capacity(1024));
                while let Some(index) = work.take() {
                    request.clear();
                    write(index, &target, &mut request);
                    let began = Instant::now();
                    let hear = |answer: Option<&Response<'_>>| {
                        let (mut heard, work) = (heard.borrow_mut(), &work);
                        match answer {
                            Some(answer) => {
                                let took = began.elapsed();
                                work.answers.set(work.answers.get() + 1);
                                work.latencies.borrow_mut().record(took);
                                course.answered(work.lane, took);
                                (*heard)(index, read(answer));
                            }
                            None => {
                                course.failed(work.lane);
                                (*heard)(index, Heard { status: 0, location: None, cookies: Vec::new(), body: b"" });
                            }
                        }
                    };
                    ask(&mut link, &target, &request, hear).await;
                }
                Ok(Vec::<(usize, ())>::new())
            }
        });
        gather(workers).await?;
        let seconds = began.elapsed().as_secs_f64();
        let work = Rc::try_unwrap(work).map_err(|_| LoadError::Unfit("a connection outlived its work".to_owned()))?;
        Ok(Done { answers: work.answers.get(), seconds, latencies: work.latencies.into_inner() })
    }
}

fn read<'a>(answer: &'a Response<'a>) -> Heard<'a> {
    Heard {
        status: answer.status,
        location: answer.headers("location").next(),
        cookies: answer.headers("set-cookie").collect(),
        body: answer.body,
    }
}

/// Asks until there is an answer that is none of "later". Only what may be asked twice is asked again when the
/// connection broke: the caller hears that there was no answer.
pub async fn ask<T>(
    link: &mut Option<Connection>,
    target: &Target,
    request: &[u8],
    hear: impl FnOnce(Option<&Response<'_>>) -> T,
) -> T {
    for _ in 0..TRIES {
        let Ok(connection) = Connection::kept(link, target).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let wait = match connection.round_trip(request).await {
            Ok(answer) if matches!(answer.status, 429 | 503) => answer.retry_after_s.unwrap_or(1).clamp(1, 10),
            Ok(answer) => return hear(Some(&answer)),
            Err(_) => break,
        };
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
    hear(None)
}
