//! The link of a box: a WebSocket on which it hears at once that something changed and what it is ordered, and says
//! which state it has stored. Stands outside the route table: it is no request and no answer.

use super::{
    admission::{Class, Urgency},
    ask::Ask,
    auth::{self, BoxToken, Caller},
    client_address::client_address,
    codes::Code,
    frames::Frames,
    handover::{Handover, Socket},
    problem::Problem,
    server::Worker,
    service,
};
use crate::{
    boxes::{
        Answer, Command, LinkView, OnlineCommand, SecretHash, SmartBox,
        api::{online, wire},
    },
    engine::{Bell, Call, Committed},
    kernel::{Principal, time},
    metrics,
};
use actix_http::ws::{self, CloseCode, CloseReason, Frame};
use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    http::header,
    rt,
    web::{self, Bytes, Payload},
};
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::{net::IpAddr, rc::Rc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::codec::Framed;

pub(super) fn register(app: &mut web::ServiceConfig) {
    let link = web::resource("/box/v1/link")
        .route(web::get().to(open))
        .default_service(web::to(async |request: HttpRequest| service::method_not_allowed(&request, "GET")));
    app.service(link);
}

const ROUTE: &str = "box.link";
/// A box says little.
const FRAME_BYTES_MAX: usize = 4 << 10;
/// What a line begins with each way: a box's usual words.
const BUFFER_BYTES: usize = 256;
/// What comes in quick succession is told once.
const PACE: Duration = Duration::from_millis(100);
/// So long a frame may wait for a box that takes nothing.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// So long a box that was told why its link ends may take to end it too.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);
/// When a box that was cut off by a stop should come again: spread over this.
const COME_AGAIN_MS: u64 = 10_000;

async fn open(request: HttpRequest, payload: Payload) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return HttpResponse::InternalServerError().finish();
    };
    let from = client_address(&request, &worker.trusted_proxies);
    match begin(&worker, from, &request, payload).await {
        Ok(response) => response,
        Err(problem) => {
            let problem = service::refusal(ROUTE, &worker, Caller::Nobody, from, problem);
            service::failure(&problem, worker.request_id(request.headers().get(service::REQUEST_ID)))
        }
    }
}

async fn begin(
    worker: &Rc<Worker>,
    from: Option<IpAddr>,
    request: &HttpRequest,
    mut payload: Payload,
) -> Result<HttpResponse, Problem> {
    let header = Ask::header(request, &header::AUTHORIZATION);
    let token = auth::bearer(header).ok().and_then(BoxToken::parse).ok_or(Code::BoxTokenInvalid)?;
    let mut link = Link { worker: Rc::clone(worker), from, token, told: 0 };
    match link.look().await.map_err(|problem| match problem.code() {
        Code::NotFound => Code::BoxTokenInvalid.into(),
        _ => problem,
    })? {
        LinkView { holds: true, .. } => {}
        LinkView { holds: false, .. } => return Err(Code::BoxTokenInvalid.into()),
    }
    let mut switch = ws::handshake(request.head())
        .map_err(|_| Problem::detailed(Code::Malformed, "expected a WebSocket handshake"))?;
    let response = switch.message_body(BoxBody::new(())).map_err(|_| Code::Internal)?;
    let handover = request.conn_data::<Rc<Handover>>().ok_or(Code::Internal)?;
    if let Some(Some(Ok(_))) = payload.next().now_or_never() {
        return Err(Problem::detailed(Code::Malformed, "expected no frame before the answer to the handshake"));
    }
    let bells = worker.engine.bells();
    let bell = bells.hang(token.address(), worker.links.max).ok_or_else(|| {
        let code = if bells.has_ended() { Code::Stopping } else { Code::Busy };
        Problem::from(code).retry_after_s(5 + worker.engine.chance().below(25) as u32)
    })?;
    ::metrics::gauge!(metrics::BOX_LINKS).set(bells.count() as f64);
    handover.ask(move |socket| Box::pin(link.last(bell, socket)));
    Ok(response.into())
}

/// Frames on a socket. Its buffers grow with what is said, to twice a frame at most.
type Line = Framed<Box<dyn Socket>, Frames>;

struct Link {
    worker: Rc<Worker>,
    from: Option<IpAddr>,
    token: BoxToken,
    /// The newest change that the box was told of.
    told: u64,
}

/// Why a link ends; the label of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    BoxGone,
    /// The box has said goodbye.
    Closed,
    Silent,
    Slow,
    TokenInvalid,
    Replaced,
    Malformed,
    Stopping,
    Failed,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::BoxGone => "box_gone",
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::TokenInvalid => "token_invalid",
            Self::Replaced => "replaced",
            Self::Malformed => "malformed",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }

    /// What the box is told, if it can still be told anything.
    fn code(self) -> Option<CloseCode> {
        match self {
            Self::BoxGone | Self::Slow => None,
            Self::Closed => Some(CloseCode::Normal),
            Self::Silent => Some(CloseCode::Away),
            Self::TokenInvalid => Some(CloseCode::Policy),
            Self::Replaced => Some(CloseCode::Other(4000)),
            Self::Malformed => Some(CloseCode::Invalid),
            Self::Stopping => Some(CloseCode::Restart),
            Self::Failed => Some(CloseCode::Again),
        }
    }
}

impl Link {
    /// From the answer to the handshake to the end.
    async fn last(mut self, bell: Bell, socket: Option<Box<dyn Socket>>) {
        let why = match socket {
            Some(socket) => {
                self.run(&bell, Framed::with_capacity(socket, Frames::new(FRAME_BYTES_MAX), BUFFER_BYTES)).await
            }
            None => End::BoxGone,
        };
        drop(bell);
        ::metrics::gauge!(metrics::BOX_LINKS).set(self.worker.engine.bells().count() as f64);
        ::metrics::counter!(metrics::BOX_LINK_ENDS, "why" => why.name()).increment(1);
    }

    async fn run(&mut self, bell: &Bell, mut line: Line) -> End {
        let Err(end) = self.go_on(bell, &mut line).await;
        if let Some(code) = end.code() {
            let description = match end {
                // Jittered, so that not all come at once.
                End::Stopping => format!("retry_after_ms={}", self.worker.engine.chance().below(COME_AGAIN_MS)),
                end => end.name().to_owned(),
            };
            let close = ws::Message::Close(Some(CloseReason { code, description: Some(description) }));
            let said = Box::pin(async {
                sent(line.send(close)).await?;
                let mut socket = line.into_inner();
                let rest = async {
                    socket.shutdown().await?;
                    // What is still on its way would break the connection before the word is read.
                    while socket.read(&mut [0; BUFFER_BYTES]).await? > 0 {}
                    Ok::<_, std::io::Error>(())
                };
                rt::time::timeout(GOODBYE_WITHIN, rest).await.map(drop).map_err(|_| End::Slow)
            });
            let _ = said.await;
        }
        end
    }

    async fn go_on(&mut self, bell: &Bell, line: &mut Line) -> Result<std::convert::Infallible, End> {
        let (ping, silence) = (self.worker.links.ping, self.worker.links.silence);
        let first = ping.mul_f64(0.5 + self.worker.engine.chance().below(500) as f64 / 1_000.0);
        let mut heard = time::instant();
        let mut ping_due = heard + first;
        // What is done now and then takes its room then: ten thousand links wait.
        Box::pin(self.tell_news(line)).await?;
        loop {
            tokio::select! {
                biased;
                () = bell.rung() => {
                    if bell.has_ended() {
                        return Err(End::Stopping);
                    }
                    if bell.is_replaced() {
                        return Err(End::Replaced);
                    }
                    if Box::pin(self.tell_news(line)).await? {
                        rt::time::sleep(PACE).await;
                    }
                }
                said = line.next() => {
                    heard = time::instant();
                    Box::pin(self.hear(said, line)).await?;
                }
                () = rt::time::sleep_until(ping_due.into()) => {
                    if heard.elapsed() >= silence {
                        return Err(End::Silent);
                    }
                    ping_due = time::instant() + ping;
                    sent(line.send(ws::Message::Ping(Bytes::new()))).await?;
                }
            }
        }
    }

    /// Looks what there is for the box; whether it was told anything.
    async fn tell_news(&mut self, line: &mut Line) -> Result<bool, End> {
        let view = match self.look().await {
            Ok(view) if view.holds => view,
            Ok(_) => return Err(End::TokenInvalid),
            Err(problem) if problem.code() == Code::NotFound => return Err(End::TokenInvalid),
            Err(_) => return Err(End::Failed),
        };
        let mut told = false;
        if let Some(missing) = view.missing.filter(|missing| *missing > self.told) {
            self.told = missing;
            sent(line.send(ws::Message::Text(r#"{"sync":true}"#.into()))).await?;
            ::metrics::counter!(metrics::BOX_LINK_NOTICES, "what" => "sync").increment(1);
            told = true;
        }
        if view.orders {
            let command = OnlineCommand::Fetch { token_hash: SecretHash(self.token.hash) };
            let fetched = self.tell(Command::Online(command)).await.map_err(ended)?;
            let orders = online::orders::fetched(fetched.answer).ok_or(End::Failed)?;
            sent(line.send(ws::Message::Text(orders.into()))).await?;
            ::metrics::counter!(metrics::BOX_LINK_NOTICES, "what" => "orders").increment(1);
            told = true;
        }
        Ok(told)
    }

    async fn look(&mut self) -> Result<LinkView, Problem> {
        let (hash, now) = (SecretHash(self.token.hash), self.worker.engine.clock().now());
        let read = move |state: &SmartBox, _| state.link_view(&hash, now);
        Ok(self.worker.engine.read(self.token.address(), read).await?)
    }

    async fn hear(&mut self, said: Option<Result<Frame, ws::ProtocolError>>, line: &mut Line) -> Result<(), End> {
        match said {
            None | Some(Err(ws::ProtocolError::Io(_))) => Err(End::BoxGone),
            Some(Ok(Frame::Close(_))) => Err(End::Closed),
            Some(Ok(Frame::Ping(bytes))) => sent(line.send(ws::Message::Pong(bytes))).await,
            Some(Ok(Frame::Pong(_))) => Ok(()),
            Some(Ok(Frame::Text(text))) => {
                let cursor = wire::confirmed(&text).map_err(|_| End::Malformed)?;
                let command = Command::Confirm { token_hash: SecretHash(self.token.hash), cursor };
                self.tell(command).await.map(drop).map_err(ended)
            }
            Some(Ok(Frame::Binary(_) | Frame::Continuation(_)) | Err(_)) => Err(End::Malformed),
        }
    }

    async fn tell(&self, command: Command) -> Result<Committed<Answer>, Problem> {
        let (engine, at) = (&self.worker.engine, self.token.address());
        let now = engine.clock().now();
        let class = Class::PersonAtBox;
        let urgency = || Urgency::without_ticket(class, now);
        let permit = self.worker.admission.enter(FRAME_BYTES_MAX, class, || now, urgency).await?;
        let by = Principal::Entity(at);
        let call = Call { by, from: self.from, now, permit, only_if: None, replay: None };
        let told = engine.ask::<SmartBox>(at, command, call).await;
        told.map_err(|failure| Problem::of(failure, wire::refused))
    }
}

/// A busy server ends the link: the box comes again, and syncs.
fn ended(problem: Problem) -> End {
    match problem.code() {
        Code::BoxTokenInvalid | Code::BoxSuspended | Code::NotFound => End::TokenInvalid,
        Code::Stopping => End::Stopping,
        _ => End::Failed,
    }
}

async fn sent(frame: impl Future<Output = Result<(), ws::ProtocolError>>) -> Result<(), End> {
    match rt::time::timeout(SEND_WITHIN, frame).await {
        Ok(sent) => sent.map_err(|_| End::BoxGone),
        Err(_) => Err(End::Slow),
    }
}
