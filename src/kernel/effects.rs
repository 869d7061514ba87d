//! What may follow from a change, as data. The shell makes rows, claims and messages of it in the same record.

use super::{
    ids::{Address, EntityKind, InstallationId, OrgId, PersonId, ShopperId, StoreId},
    machine::Codec,
    time::UnixMillis,
};
use minicbor::{Decode, Encode};
use std::borrow::Cow;

/// Row spaces of lists and indexes. Stored in keys: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RowSpace {
    /// org → organisation list row.
    Organisations = 1,
    /// org, person → person list row.
    People = 2,
    /// org, token → token list row.
    Tokens = 3,
    /// org, box → box list row.
    Boxes = 4,
    /// org, key → its home box and name.
    Keys = 5,
    /// org, person, box → nothing: this box needs that person's credentials.
    PersonBoxes = 6,
    /// org, box, journal sequence → the whole conflict.
    Conflicts = 7,
    /// org, hash of an enrolment code → box.
    EnrolmentCodes = 8,
    /// org, key → its long texts.
    KeyTexts = 9,
    /// org, webhook → webhook list row.
    Webhooks = 10,
    /// org, webhook → how far it has come; org, webhook, number from the end → one delivery.
    WebhookDeliveries = 11,
    /// org, dead mail → what it was and why it could not be brought.
    DeadLetters = 12,
    /// System organisation, organisation → since when it is being erased.
    Erasures = 13,
    /// org, device → device list row, which also says whom it trusts.
    Devices = 15,
    /// org, MAC → device.
    DeviceMacs = 16,
    /// org, store → store list row.
    Stores = 17,
    /// org, store, shopper → shopper list row.
    Shoppers = 23,
    /// org, store, shopper, number → the whole order.
    Orders = 24,
    /// org, store, product → product list row.
    Products = 25,
    /// org, product, number of a code → who got it.
    GivenCodes = 26,
    /// org, installation → installation list row.
    Installations = 30,
    /// org, box, number → an alert in force.
    Alerts = 47,
    /// org, group, box, access → whose access it is, and when it holds.
    GroupAccesses = 52,
    /// org, box, number from the end → an order and what became of it.
    BoxOrders = 42,
}

impl RowSpace {
    pub const ALL: [Self; 24] = [
        Self::Organisations,
        Self::People,
        Self::Tokens,
        Self::Boxes,
        Self::Keys,
        Self::PersonBoxes,
        Self::Conflicts,
        Self::EnrolmentCodes,
        Self::KeyTexts,
        Self::Webhooks,
        Self::WebhookDeliveries,
        Self::DeadLetters,
        Self::Erasures,
        Self::Devices,
        Self::DeviceMacs,
        Self::Stores,
        Self::Shoppers,
        Self::Orders,
        Self::Products,
        Self::GivenCodes,
        Self::Installations,
        Self::Alerts,
        Self::BoxOrders,
        Self::GroupAccesses,
    ];

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|space| *space as u8 == number)
    }
}

/// One row written or removed together with the change. `key` is what follows the organisation in the stored key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOp {
    pub space: RowSpace,
    pub org: OrgId,
    pub key: Vec<u8>,
    /// `None` removes the row.
    pub value: Option<Vec<u8>>,
}

/// Name spaces of values that are unique within an organisation. Stored in keys: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ClaimSpace {
    /// A key's fob serial.
    Fob = 1,
    /// A person's e-mail, lower case.
    Email = 2,
    /// Digits that are typed at keypads, of whatever kind: of people, bookings, keys, or on a box's sheet.
    AccessCode = 3,
    /// A person's badge id.
    Badge = 4,
    /// An idempotency key that is being worked on (never a durable row).
    Replay = 5,
    /// A device's MAC.
    DeviceMac = 6,
    /// The PAP of a device that has one, as a mark.
    Pap = 7,
    /// A store's system name, lower case.
    StoreName = 8,
    /// A store's IUV key, as a mark.
    IuvKey = 9,
    /// A product code: taken for ever.
    Code = 12,
    Pass = 18,
}

impl ClaimSpace {
    /// Those that have durable rows.
    pub const STORED: [Self; 10] = [
        Self::Fob,
        Self::Email,
        Self::AccessCode,
        Self::Badge,
        Self::DeviceMac,
        Self::Pap,
        Self::StoreName,
        Self::IuvKey,
        Self::Code,
        Self::Pass,
    ];

    pub fn from_number(number: u8) -> Option<Self> {
        Self::STORED.into_iter().find(|space| *space as u8 == number)
    }
}

/// Taking or giving back a unique value. The value is stored only as a keyed hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOp {
    /// Refused as `taken` if another entity holds it; taking it again is a replay.
    Take {
        space: ClaimSpace,
        value: Vec<u8>,
    },
    /// Refused as `taken` if anybody holds it, the deciding entity too: what belongs to it is on its way to another.
    TakeFree {
        space: ClaimSpace,
        value: Vec<u8>,
    },
    /// Takes over a value from the entity that gives it away (a key that moves between boxes).
    Inherit {
        space: ClaimSpace,
        value: Vec<u8>,
        from: Address,
    },
    Release {
        space: ClaimSpace,
        value: Vec<u8>,
    },
}

/// A durable message to another actor: at least once, in order per sender, receivers deduplicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub to: MessageTarget,
    pub body: Vec<u8>,
    /// A vault row (subject, field) that is opened when the message is sent, so that no secret lies in the outbox.
    pub secret: Option<(Address, VaultField)>,
}

/// Who gets a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageTarget {
    Entity(Address),
    /// Whoever holds this claim when the message is sent; if nobody does, it comes back to the sender as unclaimed.
    ClaimHolder {
        space: ClaimSpace,
        value: Vec<u8>,
    },
    /// Everyone whose id stands at the end of an index row under this prefix: one stored item, however many recipients.
    Index {
        space: RowSpace,
        prefix: Vec<u8>,
        kind: EntityKind,
    },
}

/// Fields of sealed rows. Stored in keys: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum VaultField {
    /// A person's name, e-mail, mobile.
    Profile = 1,
    /// A person's access code and badges.
    Credentials = 2,
    /// A webhook's address and its signing secrets.
    WebhookSecret = 3,
    /// A device's PAP.
    Pap = 4,
    /// A device's SIP accounts.
    SipSecret = 6,
    /// A store's IUV keys, and to whom its IUV mails go.
    StoreSecrets = 7,
    /// What a customer told of a shopper when he registered him.
    IuvAttributes = 8,
    /// A shopper's names and addresses.
    ShopperProfile = 10,
    /// What a shopper's password is checked with.
    ShopperPassword = 11,
    /// The codes of a product, by number.
    ProductCode = 12,
    /// An installation's users: names, and hashes of passwords.
    InstallationUsers = 14,
    /// Who may recover an installation: address and telephone.
    RecoveryContact = 15,
    /// Who could before.
    FormerContacts = 16,
    DirectoryAccount = 17,
    BreakGlassAddress = 18,
    KeyCodes = 19,
}

impl VaultField {
    pub const ALL: [Self; 16] = [
        Self::Profile,
        Self::Credentials,
        Self::WebhookSecret,
        Self::Pap,
        Self::SipSecret,
        Self::StoreSecrets,
        Self::IuvAttributes,
        Self::ShopperProfile,
        Self::ShopperPassword,
        Self::ProductCode,
        Self::InstallationUsers,
        Self::RecoveryContact,
        Self::FormerContacts,
        Self::KeyCodes,
        Self::DirectoryAccount,
        Self::BreakGlassAddress,
    ];

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|field| *field as u8 == number)
    }
}

/// Who gets a mail: a reference, resolved when it is sent. Stored: numbers are append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Recipient {
    /// Of the organisation that the deciding entity belongs to.
    #[n(0)]
    Owner,
    #[n(1)]
    Person(#[n(0)] PersonId),
    /// One of those whom a store's verification type names as its IUV administrators.
    #[n(2)]
    IuvAdministrator {
        #[n(0)]
        store: StoreId,
        #[n(1)]
        verification: u32,
        #[n(2)]
        place: u8,
    },
    #[n(4)]
    Shopper(#[n(0)] ShopperId),
    /// The recovery contact of an installation, by mail.
    #[n(6)]
    Contact(#[n(0)] InstallationId),
    /// One that it had before, or one that the operator has named.
    #[n(7)]
    FormerContact(#[n(0)] InstallationId),
    /// The recovery contact, by text.
    #[n(8)]
    Telephone(#[n(0)] InstallationId),
    #[n(9)]
    FormerTelephone(#[n(0)] InstallationId),
    /// A person's mobile telephone.
    #[n(10)]
    Mobile(#[n(0)] PersonId),
}

impl Recipient {
    /// Whether it is reached by texts, not by mails.
    pub fn is_telephone(self) -> bool {
        matches!(self, Self::Telephone(_) | Self::FormerTelephone(_) | Self::Mobile(_))
    }
}

/// A mail to be rendered when it is sent. Nothing personal stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRequest {
    /// Names the template and who can read `about`.
    pub template: Cow<'static, str>,
    pub to: Recipient,
    /// Ids and numbers to render with, in the asking context's own bytes.
    pub about: Vec<u8>,
    /// After this nobody wants it any more: it becomes a dead letter.
    pub deadline: UnixMillis,
    /// Of a mail that is sent again after it died.
    pub name: Option<MailName>,
}

/// A mail as the outbox and a dead letter keep it. Stored in rows: numbers are append-only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MailCopy {
    #[n(0)]
    pub name: MailName,
    #[n(1)]
    pub template: Box<str>,
    #[n(2)]
    pub to: Recipient,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub about: Vec<u8>,
}

/// What names a mail for ever, however often it is sent: who asked, in which revision, as which of its mails, when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct MailName {
    #[n(0)]
    pub from: Address,
    #[n(1)]
    pub revision: u64,
    #[n(2)]
    pub n: u32,
    /// A restore from backup may use a revision again, but not at the same moment.
    #[n(3)]
    pub at: UnixMillis,
}

/// A change to the sealed rows of the deciding entity, which is their subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultOp {
    Seal {
        field: VaultField,
        plaintext: zeroize::Zeroizing<Vec<u8>>,
    },
    /// The first and only secret of an entity that never seals another: one row instead of two, and gone with it.
    SealAlone {
        field: VaultField,
        plaintext: zeroize::Zeroizing<Vec<u8>>,
    },
    /// One of many of a kind, by number.
    SealNumbered {
        field: VaultField,
        number: u64,
        plaintext: zeroize::Zeroizing<Vec<u8>>,
    },
    /// Deletes the subject's wrapped key: whatever was sealed for it can never be read again.
    Erase,
}

/// Everything that follows from one decided command, besides its events and its answer.
#[derive(Debug, Default)]
pub struct Effects {
    pub rows: Vec<RowOp>,
    pub messages: Vec<Message>,
    pub vault: Vec<VaultOp>,
    pub mails: Vec<MailRequest>,
    /// Whoever holds a line to this entity looks at it, once this is durable.
    pub rings: bool,
}

impl Effects {
    pub fn put(&mut self, space: RowSpace, org: OrgId, key: &[u8], value: Vec<u8>) {
        self.rows.push(RowOp { space, org, key: key.to_vec(), value: Some(value) });
    }

    pub fn delete(&mut self, space: RowSpace, org: OrgId, key: &[u8]) {
        self.rows.push(RowOp { space, org, key: key.to_vec(), value: None });
    }

    pub fn send(&mut self, to: MessageTarget, body: &impl Codec) {
        self.messages.push(Message { to, body: body.to_bytes(), secret: None });
    }

    pub fn send_with_secret(&mut self, to: MessageTarget, body: &impl Codec, subject: Address, field: VaultField) {
        self.messages.push(Message { to, body: body.to_bytes(), secret: Some((subject, field)) });
    }

    pub fn mail(&mut self, template: &'static str, to: Recipient, about: &impl Codec, deadline: UnixMillis) {
        self.mails.push(MailRequest { template: template.into(), to, about: about.to_bytes(), deadline, name: None });
    }

    /// Sends a mail that had died once more, under its old name.
    pub fn mail_again(&mut self, mail: &MailCopy, deadline: UnixMillis) {
        let MailCopy { name, template, to, about } = mail.clone();
        self.mails.push(MailRequest { template: template.into_string().into(), to, about, deadline, name: Some(name) });
    }

    pub fn seal(&mut self, field: VaultField, plaintext: Vec<u8>) {
        self.vault.push(VaultOp::Seal { field, plaintext: plaintext.into() });
    }

    pub fn seal_alone(&mut self, field: VaultField, plaintext: Vec<u8>) {
        self.vault.push(VaultOp::SealAlone { field, plaintext: plaintext.into() });
    }

    pub fn seal_numbered(&mut self, field: VaultField, number: u64, plaintext: Vec<u8>) {
        self.vault.push(VaultOp::SealNumbered { field, number, plaintext: plaintext.into() });
    }

    pub fn erase(&mut self) {
        self.vault.push(VaultOp::Erase);
    }

    /// Whether what is sealed or erased touches a key that later records need: a secret that stands alone has none.
    pub fn touches_a_key(&self) -> bool {
        !matches!(self.vault[..], [] | [VaultOp::SealAlone { .. }])
    }
}
