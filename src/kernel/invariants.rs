//! What must always hold, by id. One function each where it can be computed; tests, simulation and the production
//! counter `castellan_invariant_violations_total{id}` use the same ids.

/// An invariant's id and what it says. ARCHITECTURE.md lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Invariant {
    pub id: &'static str,
    pub says: &'static str,
}

macro_rules! invariants {
    ($($name:ident = $id:literal, $says:literal;)*) => {
        $(pub const $name: Invariant = Invariant { id: $id, says: $says };)*
        pub const ALL: &[Invariant] = &[$($name),*];
    };
}

invariants! {
    REVISIONS_DENSE = "ENG-1", "an entity's records follow each other without gap or overlap";
    ANSWER_DURABLE = "ENG-2", "no answer, read or refusal leaves before what it shows is durable";
    ONE_ACTOR = "ENG-3", "at most one actor of an entity is awake, and only its newest generation writes";
    CLAIM_UNIQUE = "ENG-4", "a claimed value has one owner";
    REFUSAL_FIRST = "ENG-5", "a command refuses in its first step or not at all";
    ENTRY_ONCE = "BOX-1", "every journal entry is judged exactly once";
    RECEIPTS_DENSE = "BOX-2", "receipted journal sequence numbers grow without gap";
    KEY_ONE_PLACE = "BOX-3", "a key is in one place, and a bin holds at most one key";
    DELTA_COMPLETE = "BOX-4", "snapshot, or cursor state plus delta, equals the server's state";
    REMOVALS_BOUNDED = "BOX-5", "the ring of removals stays within its bound";
    PENDING_HONEST = "BOX-6", "a box is pending exactly while a change it did not make itself is unconfirmed";
    ALERT_ONCE = "BOX-13", "an alert is in force at most once, and only while what it tells of goes on";
    WRONG_CODES_BOUNDED = "BOX-10", "at most ten codes in a row are judged wrong at a box, and one more each ten minutes";
    EXCHANGE_ONCE = "BOX-11", "what the server decided at a box changes its bins and keys at most once";
    ORDER_IN_TIME = "BOX-12", "an order reaches its box within a minute or not at all";
    THREE_GUESSES = "DEV-1", "at most three guesses at a device's PAP are judged wrong in one round";
    LOCKED_IS_LOCKED = "DEV-2", "while a device is locked no PAP is accepted, not even the right one";
    BLOCKED_STAYS = "DEV-3", "a blocked device is left only by a reset";
    COUNTS_STAY = "DEV-4", "what a device is made of anew from its events has the same counts and times";
    PAP_WHILE_NEEDED = "DEV-5", "a device has a PAP exactly until it is completely provisioned";
    REDEEMED_ONCE = "IUV-1", "an IUV session is redeemed at most once, and within its time";
    ONE_SINGLE_SIGN_ON = "IUV-2", "a store has at most one single sign-on that is active, and at most one in test";
    ONE_PER_KIND = "IUV-3", "a store has each verification type other than single sign-on at most once";
    KEYS_DIFFER = "IUV-4", "no two verification types of a store accept the same key";
    SESSION_ENDS = "IUV-5", "a session that has ended lets nobody in";
    CODE_ONCE = "IUV-10", "each code of a product is given out at most once, in the order in which the codes came";
    CODES_NOT_HELD_BACK = "IUV-11", "nobody waits for a code of a product that has one left";
    TEST_NO_CODE = "IUV-12", "a test order never holds a product code";
    LINE_ONE_CODE = "IUV-13", "a line of an order gets at most one code, and keeps it";
    GUESSES_BOUNDED = "IUV-14", "a locked account judges no password, and five wrong ones in a row lock it";
    FIVE_CODES = "REC-1", "at most five codes of one mail are judged wrong";
    DEAD_LINKS = "REC-2", "a link that has died never lives again";
    ALONE = "REC-3", "what needs an installation for oneself happens only while no other terminal is open";
    PROVEN = "REC-4", "a contact is validated by its mail alone, and by its code too where it has a telephone";
    BLOCKED_OUT = "REC-5", "nobody who is blocked is let in, not even with the right password";
    WAITED = "REC-6", "what an operator starts leads to a reset only after its wait, and never after it has ended";
}
