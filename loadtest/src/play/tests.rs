use super::{
    model::{Action, Asked, Bin, Model, Person, Press, ServerSide, Shown, Tone},
    screen::{columns, draw},
};
use ratatui::{Terminal, backend::TestBackend};

fn bin(label: &str, fob: Option<&str>) -> Bin {
    let held = fob.map(str::to_owned);
    Bin { label: label.into(), physical: held.clone(), believed: held, closed: false, confirmed: true }
}

fn model() -> Model {
    let person = |name: &str, code: &str| Person {
        id: format!("per_{name}"),
        name: name.into(),
        code: code.into(),
        badge: format!("badge-{name}"),
        pin: "2468".into(),
    };
    let mut model = Model::new("Porter's lodge".into(), vec![person("Anna", "482913"), person("Bruno", "117204")]);
    model.bins = vec![bin("A-1", Some("VAN-1")), bin("A-2", None), bin("A-3", Some("VAN-3")), bin("A-4", None)];
    model.columns = 2;
    model
}

/// The screen as lines of text.
fn shown(model: &Model) -> String {
    let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let width = usize::from(buffer.area.width);
    let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    cells.chunks(width).map(|line| line.concat()).collect::<Vec<_>>().join("\n")
}

fn typed(model: &mut Model, code: &str) {
    code.chars().for_each(|digit| assert_eq!(model.press(Press::Digit(digit)), None));
}

#[test]
fn bins_people_and_the_journal_are_on_the_screen() {
    let mut model = model();
    model.unsent = 3;
    model.journal_head = 7;
    model.cursor = Some("1.140".into());
    model.tell(Tone::Good, "Anna has VAN-1");
    let screen = shown(&model);
    for expected in [
        "Porter's lodge",
        "connected",
        "A-1",
        "VAN-1",
        "A-4",
        "Anna (code 482913, PIN 2468)",
        "7 written, 3 unsent ▮▮▮",
        "1.140",
        "Anna has VAN-1",
    ] {
        assert!(screen.contains(expected), "{expected}:\n{screen}");
    }
    assert!(!screen.contains("guarantee"), "nothing is known of the server:\n{screen}");
}

#[test]
fn what_is_wrong_can_be_seen() {
    let mut model = model();
    model.connected = false;
    model.mains = false;
    model.bins[0].physical = None;
    model.bins[2].confirmed = false;
    model.bins[3].closed = true;
    model.server = Some(ServerSide {
        plan: "business_pro".into(),
        offline: true,
        late: true,
        pending_s: Some(1000),
        due_in_s: Some(-100),
        alerts: vec!["offline".into()],
        ..ServerSide::default()
    });
    let screen = shown(&model);
    let wrong = ["unplugged", "on battery", "guarantee broken", "empty!", "doubtful", "closed", "offline", "BROKEN"];
    for expected in wrong {
        assert!(screen.contains(expected), "{expected}:\n{screen}");
    }
    model.server.as_mut().unwrap().due_in_s = Some(100);
    assert!(shown(&model).contains("missing 16 min, 100 s left"));
}

#[test]
fn a_code_is_never_shown_and_opens_the_chosen_bin() {
    let mut model = model();
    typed(&mut model, "1172049");
    assert_eq!(model.press(Press::Back), None);
    assert!(shown(&model).contains("••••••") && !shown(&model).contains("••••••\u{2022}"));
    let wanted =
        Action::PickUp { shown: Shown::Code("117204".into()), bin: "A-1".into(), fob: "VAN-1".into(), pin: None };
    assert_eq!(model.press(Press::Enter), Some(wanted));
    assert!(model.code.is_empty());
    assert_eq!(model.press(Press::Enter), None, "nobody has shown anything");
    assert!(model.news.back().unwrap().text.contains("Type a code"));
}

#[test]
fn arrows_move_in_the_grid_and_stay_in_it() {
    let mut model = model();
    let moves = [
        (Press::Left, 0),
        (Press::Up, 0),
        (Press::Right, 1),
        (Press::Down, 3),
        (Press::Down, 3),
        (Press::Right, 3),
        (Press::Up, 1),
    ];
    for (press, selected) in moves {
        model.press(press);
        assert_eq!(model.selected, selected, "{press:?}");
    }
    assert_eq!((columns(100), columns(20)), (4, 1));
}

#[test]
fn a_key_in_the_hand_goes_into_an_empty_bin_with_or_without_a_badge() {
    let mut model = model();
    model.selected = 1;
    assert_eq!(model.press(Press::Letter('b')), None, "there is nothing to leave");
    model.hand.push("VAN-9".into());
    let left = |shown| Some(Action::DropOff { shown, fob: "VAN-9".into() });
    model.press(Press::Tab);
    assert_eq!(model.press(Press::Letter('b')), left(Some(Shown::Badge("badge-Bruno".into()))));
    assert_eq!(model.press(Press::Enter), left(None), "a quick scan");
    assert_eq!(model.press(Press::Letter('h')), Some(Action::ByHand { bin: "A-2".into(), fob: Some("VAN-9".into()) }));
    model.selected = 0;
    assert_eq!(model.press(Press::Letter('h')), Some(Action::ByHand { bin: "A-1".into(), fob: None }));
}

#[test]
fn the_plug_is_pulled_and_put_back() {
    let mut model = model();
    assert_eq!((model.press(Press::Letter('p')), model.connected), (None, false));
    assert_eq!((model.press(Press::Letter('p')), model.connected), (Some(Action::SyncNow), true));
    model.press(Press::Letter('m'));
    assert!(!model.mains);
    assert_eq!(model.press(Press::Letter('g')), Some(Action::Grant { person: "per_Anna".into() }));
    assert_eq!(model.press(Press::Letter('q')), Some(Action::Quit));
}

#[test]
fn a_model_without_people_or_bins_does_nothing_wrong() {
    let mut empty = Model::new("x".into(), vec![]);
    for press in [Press::Enter, Press::Tab, Press::Down, Press::Left, Press::Back, Press::Letter('c')] {
        assert_eq!(empty.press(press), None);
    }
    for letter in ['b', 'g', 'h'] {
        assert_eq!(empty.press(Press::Letter(letter)), None);
    }
    (0..40).for_each(|_| drop(empty.press(Press::Digit('1'))));
    assert_eq!(empty.code.len(), 16);
    (0..300).for_each(|n| empty.tell(Tone::Plain, n.to_string()));
    assert_eq!(empty.news.len(), 200);
    shown(&empty);
}

#[test]
fn a_file_is_named_and_what_stands_in_it_is_shown() {
    let mut model = model();
    model.last_file = "/tmp/a.tx".into();
    assert_eq!(model.press(Press::Letter('f')), None);
    for press in [Press::Letter('t'), Press::Letter('Q'), Press::Back, Press::Digit('2')] {
        assert_eq!(model.press(press), None, "part of the name");
    }
    assert!(shown(&model).contains("/tmp/a.txt2_"));
    assert_eq!(model.press(Press::Enter), Some(Action::Scan { file: "/tmp/a.txt2".into() }));
    model.press(Press::Letter('f'));
    assert_eq!(model.file.as_deref(), Some("/tmp/a.txt2"));
    assert_eq!((model.press(Press::Escape), model.file.clone()), (None, None));
    assert_eq!(model.press(Press::Escape), Some(Action::Quit));
}

#[test]
fn a_scanned_text_asks_for_the_chosen_key_or_leaves_the_one_in_the_hand() {
    let mut model = model();
    let text = Shown::Qr("CAS1:6BF $%*+-./:".into());
    let asked = |bin: &str, fob: &str| {
        Some(Action::PickUp {
            shown: Shown::Qr("CAS1:6BF $%*+-./:".into()),
            bin: bin.into(),
            fob: fob.into(),
            pin: None,
        })
    };
    assert_eq!(model.scanned(b"CAS1:6BF $%*+-./:\n"), asked("A-1", "VAN-1"));
    assert_eq!(model.scanned(b"{\"text\":\"CAS1:6BF $%*+-./:\",\"revision\":3}"), asked("A-1", "VAN-1"));
    model.selected = 1;
    assert_eq!(model.scanned(b"CAS1:6BF $%*+-./:"), asked("A-2", ""), "a pass names its key itself");
    model.hand.push("VAN-9".into());
    let left = Some(Action::DropOff { shown: Some(text), fob: "VAN-9".into() });
    assert_eq!(model.scanned(b"CAS1:6BF $%*+-./:"), left);
    for nothing in [&b""[..], b"hello", b"\x89PNG\r\n", b"\xff\xfe"] {
        assert_eq!(model.scanned(nothing), None);
        assert_eq!(model.news.back().unwrap().tone, Tone::Bad);
    }
}

#[test]
fn an_administrator_signs_for_whoever_stands_there() {
    let mut model = model();
    let signs = |pass| Some(Action::Sign { person: "per_Anna".into(), pass });
    assert_eq!((model.press(Press::Letter('v')), model.press(Press::Letter('i'))), (signs(true), signs(false)));
}

#[test]
fn a_pin_is_typed_for_what_was_asked() {
    let mut model = model();
    let badge = Shown::Badge("badge-Anna".into());
    let asked = Asked { shown: badge.clone(), bin: "A-1".into(), fob: "VAN-1".into(), typed: String::new() };
    let pick_up = |pin: &str| Action::PickUp {
        shown: badge.clone(),
        bin: "A-1".into(),
        fob: "VAN-1".into(),
        pin: Some(pin.into()),
    };
    model.asked = Some(asked.clone());
    typed(&mut model, "13578");
    assert_eq!(model.press(Press::Back), None);
    let screen = shown(&model);
    assert!(screen.contains("PIN ••••_") && !screen.contains("1357"), "{screen}");
    assert_eq!(model.press(Press::Letter('b')), None, "nothing else is done before");
    assert_eq!(model.press(Press::Enter), Some(pick_up("1357")));
    assert_eq!((&model.asked, &*model.code), (&None, ""), "and it is asked for anew");
    model.asked = Some(asked.clone());
    assert_eq!(model.press(Press::Letter('c')), None);
    assert_eq!(model.press(Press::Enter), Some(pick_up("2468")), "the person's own");
    model.asked = Some(asked);
    typed(&mut model, "123456789");
    assert_eq!(model.asked.as_ref().unwrap().typed, "12345678", "none is longer");
    assert_eq!(model.press(Press::Escape), None);
    assert_eq!(model.asked, None);
    assert_eq!(model.press(Press::Letter('n')), Some(Action::WantPins));
}
