//! What an administrator asks to be sent: a test, or an event once more. One attempt, beside the lanes.

use super::{
    Dispatch, Now,
    send::{Attempt, Parcel},
};
use crate::{
    delivery::webhooks::rows::{DeliveryRow, DeliveryState, WebhookRow},
    store::StoreError,
};
use std::rc::Rc;

pub(super) async fn send(dispatch: Rc<Dispatch>, now: Now, row: WebhookRow) -> Result<Option<DeliveryRow>, StoreError> {
    let Some(sealed) = dispatch.sealed(now.webhook)? else { return Ok(None) };
    let Ok(_permit) = dispatch.sending.acquire().await else { return Ok(None) };
    let at = dispatch.now();
    let target = dispatch.sender.target(&sealed);
    let parcel = Parcel { id: &now.id, body: &now.body };
    let attempt = Rc::clone(&dispatch.sender).send(target, Rc::new(sealed), parcel, at).await;
    dispatch.metrics.count(&attempt);
    let Attempt { status, error, took_ms, excerpt, .. } = attempt;
    let book = dispatch.book(now.webhook, &row)?;
    let told = DeliveryRow {
        number: book.borrow_mut().number(),
        event: now.event,
        r#type: now.r#type,
        happened: now.happened,
        first_at: at,
        last_at: at,
        attempts: 1,
        state: if error.is_none() { DeliveryState::Delivered } else { DeliveryState::Failed },
        status,
        error,
        took_ms,
        next_at: None,
        excerpt,
        asked: Some(now.asked),
    };
    book.borrow_mut().log(told.clone());
    dispatch.keep(&book, true).await;
    Ok(Some(told))
}
