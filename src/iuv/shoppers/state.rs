//! A shopper: what happens to it and what it then is. Pure.

use super::words::{Line, StoreRole};
use crate::{
    iuv::{
        products::Description,
        words::{Attributes, Group, VerificationKind},
    },
    kernel::{Address, Codec, ProductId, ShopperId, StoreId, UnixMillis},
    orgs::Mark,
};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Shopper {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Standing {
    #[n(0)]
    Unknown,
    #[n(1)]
    Known(#[n(0)] Box<Known>),
    /// The same name may come again; its orders are counted on.
    #[n(2)]
    Erased {
        #[n(0)]
        orders_made: u32,
        /// `None` in what was written before this was kept.
        #[n(1)]
        at: Option<UnixMillis>,
    },
}

/// What the last sign-in, or the list of users, said; replaced, not merged.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Membership {
    #[n(0)]
    pub store: StoreId,
    #[n(1)]
    pub kind: VerificationKind,
    #[n(2)]
    pub groups: Vec<Group>,
    #[n(3)]
    pub member: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Known {
    #[n(0)]
    pub membership: Membership,
    #[n(1)]
    pub created: UnixMillis,
    #[n(2)]
    pub signed_in: Option<UnixMillis>,
    /// Stands on the list of users.
    #[n(3)]
    pub allowed: bool,
    #[n(4)]
    pub roles: Vec<StoreRole>,
    #[n(5)]
    pub cart: Vec<ProductId>,
    #[n(6)]
    pub orders: Vec<Order>,
    #[n(7)]
    pub orders_made: u32,
    /// The revision that set the password.
    #[n(8)]
    pub password: Option<u64>,
    /// Guesses since the last right one.
    #[n(9)]
    pub guesses: u32,
    #[n(10)]
    pub guessed: UnixMillis,
    #[n(11)]
    pub link: Option<Link>,
    /// When links were asked for lately.
    #[n(12)]
    pub links: Vec<UnixMillis>,
    #[n(13)]
    pub transfer: Option<Transfer>,
    /// The revision of the last change that an administrator sees.
    #[n(14)]
    pub changed: u64,
    /// When the sign-in was whose attributes stand here.
    #[n(15)]
    pub registered: UnixMillis,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Order {
    /// From 1, for each shopper.
    #[n(0)]
    pub number: u32,
    #[n(1)]
    pub at: UnixMillis,
    #[n(2)]
    pub test: bool,
    #[n(3)]
    pub member: Option<Box<str>>,
    #[n(4)]
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Link {
    #[n(0)]
    pub purpose: Purpose,
    #[n(1)]
    pub mark: Mark,
    #[n(2)]
    pub until: UnixMillis,
    /// It leads into the test store.
    #[n(3)]
    pub test: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Purpose {
    #[n(0)]
    SignIn,
    /// Sets a password.
    #[n(1)]
    Password,
}

/// A role that is to move, once the primary administrator says so.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Transfer {
    #[n(0)]
    pub to: ShopperId,
    #[n(1)]
    pub role: StoreRole,
    #[n(2)]
    pub mark: Mark,
    #[n(3)]
    pub until: UnixMillis,
}

/// Names and addresses to seal: the bytes of `Attributes`.
#[derive(Clone, PartialEq)]
pub struct Profile(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Profile")
    }
}

/// A password's hash, to seal.
#[derive(Clone, PartialEq)]
pub struct Verifier(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

/// A link that was just drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct FreshLink {
    pub mark: Mark,
    pub salt: [u8; 16],
    /// Where the link begins, if it is to be mailed.
    pub mail: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    pub membership: Membership,
    /// When it was: older attributes change nothing.
    pub registered: UnixMillis,
    pub profile: Profile,
}

impl SignIn {
    pub fn of(store: StoreId, kind: VerificationKind, registered: UnixMillis, attributes: Attributes) -> Self {
        let membership =
            Membership { store, kind, groups: attributes.groups.clone(), member: attributes.member.clone() };
        Self { membership, registered, profile: Profile(Zeroizing::new(attributes.to_bytes())) }
    }
}

/// A product as it stands in the catalogue when it is ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub product: ProductId,
    pub description: Description,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewRole {
    pub role: StoreRole,
    pub from: ShopperId,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    SignIn(SignIn),
    /// Stands on the list of users, with these attributes.
    Allow(SignIn),
    /// Stands there no longer.
    Bar,
    PutInCart(Box<Offer>),
    TakeFromCart(ProductId),
    /// `offers`: the products of the cart, as far as they are there.
    PlaceOrder {
        test: bool,
        offers: Vec<Offer>,
    },
    /// By message from a product.
    CodeGiven {
        product: ProductId,
        order: u32,
        line: u8,
        number: u64,
    },
    NoCode {
        product: ProductId,
        order: u32,
        line: u8,
    },
    /// Somebody wants a link in a mail. `newcomer`: who it is if there is no such account yet.
    AskForLink {
        purpose: Purpose,
        test: bool,
        link: FreshLink,
        newcomer: Option<SignIn>,
    },
    /// An administrator wants a link to hand over.
    Invite {
        link: FreshLink,
    },
    FollowLink {
        mark: Mark,
        test: bool,
    },
    SetPassword {
        mark: Mark,
        verifier: Verifier,
    },
    BeginGuess,
    /// What came of it. `password`: the revision whose verifier was asked.
    EndGuess {
        password: u64,
        right: bool,
    },
    Grant(StoreRole),
    Revoke(StoreRole),
    AskTransfer {
        to: ShopperId,
        role: StoreRole,
        link: FreshLink,
    },
    /// `None`: by somebody who has shown that he is the primary administrator.
    EndTransfer {
        mark: Option<Mark>,
        confirmed: bool,
    },
    /// By message from the account that had the role.
    ReceiveRole(NewRole),
    Erase,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Described(#[n(0)] Membership),
    #[n(1)]
    SignedIn {
        #[n(0)]
        registered: UnixMillis,
    },
    #[n(2)]
    Allowed,
    #[n(3)]
    Barred,
    #[n(4)]
    PutInCart(#[n(0)] ProductId),
    #[n(5)]
    TakenFromCart(#[n(0)] ProductId),
    #[n(6)]
    Ordered(#[n(0)] Order),
    #[n(7)]
    CodeReceived {
        #[n(0)]
        order: u32,
        #[n(1)]
        line: u8,
        #[n(2)]
        number: u64,
    },
    #[n(8)]
    CodeDenied {
        #[n(0)]
        order: u32,
        #[n(1)]
        line: u8,
    },
    #[n(9)]
    LinkMade(#[n(0)] Link),
    #[n(10)]
    LinkUsed,
    #[n(11)]
    PasswordSet,
    #[n(12)]
    GuessCharged,
    #[n(13)]
    GuessedRight,
    #[n(14)]
    RoleGranted(#[n(0)] StoreRole),
    #[n(15)]
    RoleRevoked(#[n(0)] StoreRole),
    #[n(16)]
    TransferAsked(#[n(0)] Transfer),
    #[n(17)]
    TransferConfirmed {
        #[n(0)]
        to: ShopperId,
        #[n(1)]
        role: StoreRole,
    },
    #[n(18)]
    TransferRefused,
    #[n(19)]
    RoleReceived {
        #[n(0)]
        role: StoreRole,
        #[n(1)]
        from: ShopperId,
    },
    #[n(20)]
    Erased,
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    /// Too many wrong passwords.
    Locked,
    NoPassword,
    /// Not on the list of users.
    NotAllowed,
    /// Used, too old, replaced, or never made.
    LinkInvalid,
    NotListed,
    NotEligible,
    LimitReached,
    CartFull,
    CartEmpty,
    TooManyOrders,
    RoleMissing,
    TransferPending,
    NoTransfer,
}

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Nothing,
    /// The number of the order.
    Ordered(u32),
    /// A guess is charged: this revision's verifier decides.
    Guess(u64),
    /// Whether whoever asked may come in.
    Entered(bool),
}

impl Shopper {
    pub fn known(&self) -> Option<&Known> {
        match &self.standing {
            Standing::Known(known) => Some(known),
            Standing::Unknown | Standing::Erased { .. } => None,
        }
    }

    pub fn id(&self) -> ShopperId {
        ShopperId(self.address.entity.raw)
    }
}

impl Known {
    pub fn order(&self, number: u32) -> Option<&Order> {
        self.orders.iter().find(|order| order.number == number)
    }

    /// How often a product was really ordered.
    pub fn ordered(&self, product: ProductId) -> usize {
        let real = self.orders.iter().filter(|order| !order.test);
        real.flat_map(|order| &order.lines).filter(|line| line.product == product).count()
    }

    pub fn has_role(&self, role: StoreRole) -> bool {
        self.roles.contains(&role)
    }
}
