//! What people do at boxes that hold a link.

use super::{Field, LinkArgs};
use crate::{
    api::Api,
    chance::Chance,
    client::Connection,
    clock::now_ms,
    fleet::{self, FleetBox},
    link::{Synced, sync_once},
    report::LoadError,
    site::Site,
    vbox::{
        Shown,
        online::{Online, Road},
    },
    wire::{Kind, Outcome},
};

#[derive(Default)]
pub(super) struct Exchanged {
    pub told: u64,
    pub journalled: u64,
    pub otherwise: Vec<String>,
    pub misplaced: u64,
}

/// People take keys and bring them back, as the server decides; of some the connection is cut before it hears the end.
pub(super) async fn run(
    args: &LinkArgs,
    site: &Site,
    field: &Field,
    tokens: &[String],
    chance: &Chance,
) -> Result<Exchanged, LoadError> {
    let mut chance = chance.fork(15_000);
    let mut apis: Vec<_> = tokens.iter().map(|token| Api::new(site.target.clone(), &**token, chance.fork(5))).collect();
    let (mut kept, mut done) = (None, Exchanged::default());
    for _ in 0..args.exchanges {
        let linked = &field[chance.index(field.len())];
        let mut smart_box = linked.smart_box.lock().await;
        let FleetBox { organisation, vbox, keys, people, .. } = &mut *smart_box;
        let (Some(key), Some(person)) = (keys.first(), people.first()) else { continue };
        // Its first bin may be protected this moment: then the key stays where it is.
        let at = vbox.physical().find(|(_, fob)| *fob == Some(&*key.fob)).map(|(bin, _)| bin.to_owned());
        if at.is_none_or(|bin| bin == fleet::bin_name(0) && linked.wanted.get() != "enabled") {
            continue;
        }
        for (kind, shown) in [(Kind::PickUp, Some(Shown::Digits(&person.code))), (Kind::DropOff, None)] {
            let cut = chance.happens(0.25);
            let mut road = Road { kept: &mut kept, target: &site.target, cut };
            match vbox.exchange(&mut road, kind, (shown, None), &key.fob, now_ms()).await {
                Ok(Online::Done { told: true, .. }) if !cut => done.told += 1,
                Ok(Online::Done { told: false, .. }) if cut => {
                    done.journalled += 1;
                    let connection = Connection::kept(&mut kept, &site.target).await?;
                    match sync_once(connection, &site.target, vbox).await? {
                        Synced::Applied(applied)
                            if applied.receipts.iter().all(|(_, receipt)| receipt.outcome == Outcome::Applied) => {}
                        other => done.otherwise.push(format!("a journal came to {other:?}")),
                    }
                }
                other => done.otherwise.push(format!("{kind:?}: {other:?}")),
            }
        }
        let inventory = apis[*organisation].get(&format!("/boxes/{}/inventory", vbox.id())).await?;
        let believed =
            |bin: &str| inventory["bins"].as_array()?.iter().find(|item| item["bin"] == bin)?["fob"].as_str();
        done.misplaced += vbox.physical().filter(|(bin, fob)| believed(bin) != *fob).count() as u64;
    }
    Ok(done)
}
