//! What serde does not tell of this context's wire: words that stand as texts, and what is written by hand.

use crate::{
    boxes::{By, MAX_REMINDER_MINUTES, SEQ_MAX},
    kernel::{
        GroupId, KeyId, PersonId,
        schema::{Zone, closed, pattern, shapes, words},
    },
};
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type},
};

const REASONS: [&str; 16] = [
    "not_permitted",
    "other_holder",
    "may_not_be_dropped_here",
    "unknown_fob",
    "pass_reused",
    "code_reused",
    "bin_occupied",
    "key_elsewhere",
    "key_not_in_bin",
    "late_pick_up_missing",
    "fob_in_two_boxes",
    "journal_gap",
    "unreadable",
    "unknown_bin",
    "sequence_reused",
    "behind_receipts",
];

fn number(least: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(SEQ_MAX as usize))
}

shapes! {
    OutcomeName, "What became of an entry", words(&["applied", "flagged", "ignored", "rejected", "duplicate"]);
    ReasonName, "Why it was flagged, ignored or rejected", words(&REASONS);
    JournalKind, "What a box says that happened", words(&["pick_up", "drop_off", "opened", "opened_all"]);
    ByName, "By what somebody was let in", words(&By::NAMES);
    HistoryKind, "What happened", words(&[
        "pick_up", "drop_off", "opened", "opened_all", "corrected", "moved_in", "moved_out", "unknown_fob", "fob_set",
        "unreadable",
    ]);
    Hash16, "16 bytes in hexadecimal", pattern("^[0-9a-f]{32}$").examples(["00112233445566778899aabbccddeeff"]);
    Hash32, "32 bytes in hexadecimal", pattern("^[0-9a-f]{64}$").examples(["00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"]);
    JournalHead, "The last number of a box's journal; none: 0", number(0);
    JournalSeq, "A number of a box's journal, from 1", number(1);
    FirmwareName, "At most 40 bytes without control characters",
        pattern(r"^[^\u0000-\u001F\u007F-\u009F]*$").max_length(Some(40)).examples(["5.1.2"]);
    Ticket, "To be sent with the next sync, as `Castellan-Ticket`", pattern("^[A-Za-z0-9_-]+$").examples(["AAECAwQ"]);
    RemovedId, "The id of a key, an access or a person",
        pattern("^(key|acc|per)_[0-7][0-9a-hjkmnp-tv-z]{25}$").examples(["key_0123456789abcdefghjkmnpqrs"]);
}

/// A grant: exactly one of `key`, `group`, `box: true`.
pub(super) struct Grant;

/// The same with a new box, whose keys have no ids yet: `key_index` is a row of `keys`.
pub(super) struct FirstGrant;

fn grants(of: &[(&'static str, RefOr<Schema>)]) -> RefOr<Schema> {
    let arm = |(field, schema): &(&'static str, RefOr<Schema>)| {
        closed()
            .property("person", Ref::from_schema_name(PersonId::name()))
            .required("person")
            .property(*field, schema.clone())
            .required(*field)
            .property("from", or_null(Ref::from_schema_name("AccessTime")))
            .property("until", or_null(Ref::from_schema_name("AccessTime")))
            .property("zone", or_null(Ref::from_schema_name(Zone::name())))
            .property("remind_before_end_minutes", or_null_minutes())
            .property("remind_after_minutes", or_null_minutes())
    };
    let about = "`from` and `until` are moments, or local times in `zone`, else in the box's zone. Whoever took a key \
        by it is reminded to bring it back so many minutes before its end, or after the pick-up; one of both.";
    of.iter().fold(OneOfBuilder::new().description(Some(about)), |all, one| all.item(arm(one))).into()
}

fn or_null_minutes() -> OneOfBuilder {
    let minutes = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(MAX_REMINDER_MINUTES));
    OneOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::Null)).item(minutes)
}

fn or_null(schema: Ref) -> OneOfBuilder {
    OneOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::Null)).item(schema)
}

fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

fn just_true() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).into()
}

impl utoipa::PartialSchema for Grant {
    fn schema() -> RefOr<Schema> {
        grants(&[("key", reference::<KeyId>()), ("group", reference::<GroupId>()), ("box", just_true())])
    }
}

impl utoipa::PartialSchema for FirstGrant {
    fn schema() -> RefOr<Schema> {
        let row = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(199));
        grants(&[("key_index", row.into()), ("group", reference::<GroupId>()), ("box", just_true())])
    }
}

/// The name of a type, to refer to it, and the type itself.
pub(super) fn met<T: ToSchema>() -> (String, RefOr<Schema>) {
    (T::name().into(), T::schema())
}

/// The types that grants refer to.
fn of_grants(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.extend([met::<PersonId>(), met::<KeyId>(), met::<GroupId>(), met::<Zone>(), met::<AccessTime>()]);
}

impl ToSchema for Grant {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        of_grants(schemas);
    }
}

impl ToSchema for FirstGrant {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        of_grants(schemas);
    }
}

shapes! {
    AccessTime, "RFC 3339 with an offset, or a local time such as 2026-11-01T08:00",
        pattern(concat!(
            r"^(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d",
            r"(:[0-5]\d(\.\d{1,9})?)?(Z|[+-](0\d|1[0-4]):[0-5]\d)?$",
        ))
        .examples(["2026-11-01T08:00"]);
}
