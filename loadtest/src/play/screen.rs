//! The model as a person sees it.

use super::model::{Bin, Model, Tone};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, BorderType, Paragraph, Wrap},
};

const BIN_WIDTH: u16 = 12;
const BIN_HEIGHT: u16 = 4;
const SIDE_WIDTH: u16 = 44;
const KEYS: &str = "arrows bin · digits code · c own code · enter use · b badge · tab person · p plug · m mains · \
                    s sync · g grant/withdraw · n PINs or not · v sign a pass · i personal QR · f show a file · h by hand · q quit";

/// How many bins stand beside each other.
pub fn columns(width: u16) -> usize {
    usize::from((width.saturating_sub(SIDE_WIDTH + 2) / BIN_WIDTH).max(1))
}

pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let [head, middle, news, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(BIN_HEIGHT + 2),
        Constraint::Percentage(35),
        Constraint::Length(2),
    ])
    .areas(frame.area());
    let [grid, side] =
        Layout::horizontal([Constraint::Min(BIN_WIDTH + 2), Constraint::Length(SIDE_WIDTH)]).areas(middle);
    frame.render_widget(title(model), head);
    draw_bins(frame, model, grid);
    draw_side(frame, model, side);
    draw_news(frame, model, news);
    frame.render_widget(Paragraph::new(KEYS).style(Style::new().fg(Color::DarkGray)).wrap(Wrap { trim: true }), foot);
}

fn title(model: &Model) -> Line<'_> {
    let (link, colour) = if model.connected { (" connected ", Color::Green) } else { (" unplugged ", Color::Red) };
    let badge = |text: &'static str, colour| Span::styled(text, Style::new().fg(Color::Black).bg(colour));
    let mut spans = vec![
        Span::styled(format!(" {} ", model.title), Style::new().add_modifier(Modifier::BOLD)),
        badge(link, colour),
    ];
    if !model.mains {
        spans.extend([Span::raw(" "), badge(" on battery ", Color::Yellow)]);
    }
    if model.server.as_ref().is_some_and(|server| server.late) {
        spans.extend([Span::raw(" "), badge(" guarantee broken ", Color::Red)]);
    }
    Line::from(spans)
}

fn draw_bins(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let block = Block::bordered().title(" bins ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    for (at, bin) in model.bins.iter().enumerate() {
        let (column, row) = (at % model.columns.max(1), at / model.columns.max(1));
        let (Ok(column), Ok(row)) = (u16::try_from(column), u16::try_from(row)) else { return };
        let (x, y) = (inner.x + column * BIN_WIDTH, inner.y + row * BIN_HEIGHT);
        let place = Rect { x, y, width: BIN_WIDTH, height: BIN_HEIGHT };
        if place.right() > inner.right() || place.bottom() > inner.bottom() {
            continue;
        }
        frame.render_widget(bin_box(bin, at == model.selected), place);
    }
}

fn bin_box(bin: &Bin, selected: bool) -> Paragraph<'_> {
    let (held, colour) = match (&bin.physical, &bin.believed) {
        (physical, believed) if physical != believed => (physical.as_deref().unwrap_or("empty!"), Color::Red),
        (Some(fob), _) => (fob.as_str(), Color::Cyan),
        (None, _) => ("–", Color::DarkGray),
    };
    let note = match (bin.closed, bin.confirmed) {
        (true, _) => "closed",
        (false, false) => "doubtful",
        (false, true) => "",
    };
    let border = if selected { BorderType::Double } else { BorderType::Rounded };
    let border_style = Style::new().fg(if selected { Color::Yellow } else { Color::Gray });
    let lines = vec![
        Line::from(Span::styled(held, Style::new().fg(colour).add_modifier(Modifier::BOLD))),
        Line::from(Span::styled(note, Style::new().fg(Color::Yellow))),
    ];
    let block = Block::bordered().border_type(border).border_style(border_style).title(bin.label.as_str());
    Paragraph::new(lines).block(block)
}

fn span_of(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn draw_side(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let code = if model.code.is_empty() { "_".to_owned() } else { "•".repeat(model.code.chars().count()) };
    let who = model.who().map_or("–".to_owned(), |person| {
        let pin = if person.pin.is_empty() { String::new() } else { format!(", PIN {}", person.pin) };
        format!("{} (code {}{pin})", person.name, person.code)
    });
    let hand = if model.hand.is_empty() { "–".to_owned() } else { model.hand.join(", ") };
    let synced = model.synced_s_ago.map_or("never".to_owned(), |seconds| format!("{} ago", span_of(seconds)));
    let mut lines = vec![
        match (&model.file, &model.asked) {
            (Some(file), _) => field("show file", format!("{file}_")),
            (None, Some(asked)) => field("PIN", format!("{}_", "•".repeat(asked.typed.len()))),
            (None, None) => field("keypad", code),
        },
        field("person", who),
        field("in the hand", hand),
        Line::default(),
        field("journal", format!("{} written, {} unsent {}", model.journal_head, model.unsent, drain(model.unsent))),
        field("state", model.cursor.clone().unwrap_or_else(|| "none yet".to_owned())),
        field("last sync", synced),
    ];
    if let Some(server) = &model.server {
        let standing = match (server.offline, server.reconciling) {
            (true, _) => "offline",
            (false, true) => "reconciling",
            (false, false) => "in contact",
        };
        let missing = match (server.pending_s, server.due_in_s) {
            (Some(pending), Some(due)) if due >= 0 => {
                format!("missing {}, {} left", span_of(pending), span_of(due.unsigned_abs()))
            }
            (Some(pending), _) => format!("missing {}: BROKEN", span_of(pending)),
            (None, _) => "nothing missing".to_owned(),
        };
        lines.push(Line::default());
        lines.push(field("server says", standing.to_owned()));
        lines.push(field("plan", server.plan.clone()));
        lines.push(field("guarantee", missing));
        let besides = if server.pins { "a code and a PIN" } else { "a code" };
        lines.push(field("pick-ups by", besides.to_owned()));
        let alerts = if server.alerts.is_empty() { "none".to_owned() } else { server.alerts.join(", ") };
        lines.push(field("alerts", alerts));
    }
    let block = Block::bordered().title(" box ");
    frame.render_widget(Paragraph::new(lines).block(block).wrap(Wrap { trim: false }), area);
}

/// The journal's tail as a bar: a mark for each unsent entry.
fn drain(unsent: usize) -> String {
    "▮".repeat(unsent.min(12))
}

fn field(name: &'static str, value: String) -> Line<'static> {
    Line::from(vec![Span::styled(format!("{name:>12} "), Style::new().fg(Color::DarkGray)), Span::raw(value)])
}

fn draw_news(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let block = Block::bordered().title(" what happens ");
    let room = usize::from(block.inner(area).height);
    let lines = model.news.iter().rev().take(room).rev().map(|news| {
        let colour = match news.tone {
            Tone::Plain => Color::Reset,
            Tone::Good => Color::Green,
            Tone::Bad => Color::Red,
            Tone::Server => Color::Blue,
        };
        Line::from(Span::styled(news.text.as_str(), Style::new().fg(colour)))
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}
