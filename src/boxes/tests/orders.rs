//! Orders at a connected box: fetched, done, told, and dead after a minute.

use super::{
    online::{SECOND, Story},
    world::*,
};
use crate::boxes::*;

#[test]
fn an_order_is_fetched_done_and_told() {
    let mut story = Story::new();
    let order = story.order(Order::Open(label("A-1"))).unwrap();
    assert_eq!(story.row(order).retrieved_at, None);
    assert_eq!(story.fetch(), [order]);
    assert_eq!(story.fetch(), [order], "an answer that was lost is given again");
    assert_eq!(story.row(order).retrieved_at, Some(story.world.now));
    assert_eq!(story.report(order, &[("A-2", Opening::Opened)]), Err(Refusal::BinNotFound));
    story.report(order, &[("A-1", Opening::Opened)]).unwrap();
    assert_eq!(story.report(order, &[]), Err(Refusal::Online(OnlineRefusal::OrderEnded)));
    assert!(!story.world.shows(0, "A-1").1, "somebody has to say what he found");
    assert_eq!(story.row(order).results.len(), 1);
    assert!(story.fetch().is_empty());
    assert_eq!(story.lines().last().map(|line| (line.kind, line.bin)), Some((HistoryKind::Opened, Some(label("A-1")))));
}

#[test]
fn an_order_for_one_cabinet_opens_nothing_at_the_next() {
    for is_unlinked in [true, false] {
        let mut story = Story::new();
        let order = story.order(Order::Open(label("A-1"))).unwrap();
        if is_unlinked {
            story.world.run(0, Command::Unlink).unwrap();
        }
        story.world.enrol(0, false);
        assert!(story.fetch().is_empty(), "unlinked: {is_unlinked}");
        assert_eq!(story.report(order, &[]), Err(Refusal::Online(OnlineRefusal::OrderEnded)));
    }
}

#[test]
fn case_12_a_jammed_bin_is_seen() {
    let mut story = Story::new();
    let order = story.order(Order::OpenAll).unwrap();
    story.fetch();
    story.report(order, &[("A-1", Opening::Opened), ("A-2", Opening::Jammed), ("A-3", Opening::Failed)]).unwrap();
    let outcomes: Vec<_> = story.row(order).results.iter().map(|result| result.outcome).collect();
    assert_eq!(outcomes, [Opening::Opened, Opening::Jammed, Opening::Failed]);
    assert_eq!(["A-1", "A-2", "A-3"].map(|bin| story.world.shows(0, bin).1), [false, true, true]);
}

#[test]
fn an_order_dies_after_a_minute_and_is_never_queued() {
    for with_tick in [false, true] {
        let mut story = Story::new();
        let order = story.order(Order::Restart).unwrap();
        story.world.pass(60 * SECOND);
        if with_tick {
            story.world.run(0, Command::Tick).unwrap();
        }
        assert!(story.fetch().is_empty(), "BOX-12");
        assert_eq!(story.report(order, &[]), Err(Refusal::Online(OnlineRefusal::OrderEnded)));
    }
    let mut story = Story::new();
    assert_eq!(story.order(Order::Open(label("Z-1"))), Err(Refusal::BinNotFound));
    for _ in 0..8 {
        story.order(Order::Restart).unwrap();
    }
    assert_eq!(story.order(Order::Restart), Err(Refusal::Online(OnlineRefusal::TooManyOrders)));
    story.world.pass(3600 * SECOND);
    assert_eq!(story.order(Order::Restart), Err(Refusal::Online(OnlineRefusal::Offline)), "tick or not");
    story.world.run(0, Command::Tick).unwrap();
    assert_eq!(story.order(Order::Restart), Err(Refusal::Online(OnlineRefusal::Offline)));
}
