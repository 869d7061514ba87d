//! Every problem code: stable, dotted, with its status, its title and whether a repeat is safe. Each has a page in
//! `docs/problems/`, which the server itself serves under `/problems/<code>`.

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again in the same way.
    Pointless,
    /// Nothing happened; later it may succeed.
    Safe,
    /// It may have happened: repeat it with the same `Idempotency-Key` (a box: the same journal entries).
    WithSameKey,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $status:literal, $retry:ident, $title:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($name,)*
        }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            pub fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                }
            }

            pub fn retry(self) -> Retry {
                match self {
                    $(Self::$name => Retry::$retry,)*
                }
            }

            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }

            /// What to do about it, in Markdown.
            pub fn page(self) -> &'static str {
                match self {
                    $(Self::$name => include_str!(concat!("../../docs/problems/", $code, ".md")),)*
                }
            }
        }
    };
}

codes! {
    Malformed = "request.malformed", 400, Pointless, "The request cannot be read";
    Invalid = "request.invalid", 400, Pointless, "A value is not allowed";
    Timeout = "request.timeout", 408, Safe, "The request came too slowly";
    TooLarge = "request.too_large", 413, Pointless, "The request is too large";
    UnsupportedType = "request.unsupported_type", 415, Pointless, "The body is not JSON";
    UnsupportedEncoding = "request.unsupported_encoding", 415, Pointless, "The content encoding is not known";
    NotAcceptable = "request.not_acceptable", 406, Pointless, "There is no such form of the answer";
    RouteUnknown = "route.unknown", 404, Pointless, "There is nothing under this path";
    MethodNotAllowed = "route.method_not_allowed", 405, Pointless, "This path does not know the method";
    NotFound = "object.not_found", 404, Pointless, "There is no such object";
    AlreadyExists = "object.already_exists", 409, Pointless, "The id is in use with other content";
    PreconditionFailed = "precondition.failed", 412, Pointless, "The object is not as the request expects it";
    AuthMissing = "auth.missing", 401, Pointless, "No token was sent";
    AuthInvalid = "auth.invalid", 401, Pointless, "The token is not valid";
    Forbidden = "auth.forbidden", 403, Pointless, "The token does not allow this";
    TooManyFailures = "auth.too_many_failures", 429, Safe, "Too many failed attempts";
    TooManyRequests = "limits.too_many_requests", 429, Safe, "Too many requests";
    OtherBody = "idempotency.other_body", 422, Pointless, "The idempotency key was used with another request";
    InProgress = "idempotency.in_progress", 409, Safe, "The same request is being worked on";
    EmailTaken = "people.email_taken", 409, Pointless, "Another person has this e-mail address";
    AccessCodeTaken = "people.access_code_taken", 409, Pointless, "The access code is taken";
    BadgeTaken = "people.badge_taken", 409, Pointless, "Another person has this badge";
    ChangedMeanwhile = "people.changed_meanwhile", 409, Safe, "The person was changed at the same moment";
    IsOwner = "people.is_owner", 409, Pointless, "The owner of an organisation stays, and stays its owner";
    BoxTokenInvalid = "boxes.token_invalid", 401, Pointless, "The box's token is not the one of its last enrolment";
    BoxSuspended = "boxes.suspended", 403, Pointless, "The box is suspended until it is enrolled anew";
    EnrolmentCodeInvalid = "boxes.enrolment_code_invalid", 401, Pointless, "The enrolment code is not valid";
    CannotAccept = "boxes.cannot_accept", 409, Pointless, "There is no box's version that could be taken over";
    BinOccupied = "boxes.bin_occupied", 409, Pointless, "The bin holds another fob";
    FobInOtherBin = "boxes.fob_in_other_bin", 409, Pointless, "The fob is in another bin than the one named";
    TypedCodeTaken = "codes.taken", 409, Pointless, "These digits are in use";
    TooManyCodes = "codes.limit_reached", 409, Pointless, "There are as many of these as there may be";
    BoxNotEnrolled = "boxes.not_enrolled", 409, Pointless, "The box has never been enrolled";
    AccessOver = "passes.access_over", 409, Pointless, "The access is over";
    PassUsed = "passes.used", 409, Pointless, "The pass has been used";
    BoxChangedMeanwhile = "boxes.changed_meanwhile", 409, Safe, "The box was changed at the same moment";
    LimitReached = "boxes.limit_reached", 409, Pointless, "The box has as many of these as it may have";
    BoxReconciling = "boxes.reconciling", 409, Safe, "The box has something to tell first";
    BoxOffline = "boxes.offline", 409, Safe, "The box is not in contact";
    BinNotOpened = "boxes.bin_not_opened", 409, Pointless, "This order has not opened this bin";
    CredentialUnknown = "exchanges.code_unknown", 403, Pointless, "Nobody has this code or badge";
    TooManyWrongCodes = "exchanges.throttled", 429, Safe, "Too many wrong codes";
    PersonNeeded = "exchanges.person_needed", 403, Pointless, "Somebody has to say who he is";
    ExchangeNotPermitted = "exchanges.not_permitted", 403, Pointless, "The person may not take this key now";
    SecondFactorNeeded = "exchanges.second_factor_needed", 403, Pointless, "The box wants a second factor";
    KeyNotHere = "exchanges.key_not_here", 409, Pointless, "The key is in no bin of this box";
    KeyInBin = "exchanges.key_in_bin", 409, Pointless, "The key lies in a bin of this box";
    BinClosed = "exchanges.bin_closed", 409, Pointless, "The key's bin is protected or disabled";
    OnlyProtectedLeft = "exchanges.only_protected_left", 409, Pointless, "Only protected or disabled bins are empty";
    NoFreeBin = "exchanges.no_free_bin", 409, Pointless, "Every bin is taken";
    BinsTooSmall = "exchanges.bins_too_small", 409, Pointless, "Every bin that is free is too small";
    ExchangeUnderWay = "exchanges.under_way", 409, Safe, "Another exchange is under way";
    ExchangeEnded = "exchanges.ended", 409, Pointless, "The exchange is not under way";
    OrderEnded = "orders.ended", 409, Pointless, "The order is not open";
    TooManyOrders = "orders.too_many", 409, Safe, "The box has as many orders open as it may have";
    CursorTrimmed = "feed.cursor_trimmed", 410, Pointless, "What follows the cursor is not kept any more";
    TooManyStreams = "feed.too_many_streams", 429, Safe, "The organisation has as many streams open as it may have";
    FobTaken = "keys.fob_taken", 409, Pointless, "Another key has this fob";
    GroupNameTaken = "groups.name_taken", 409, Pointless, "Another group has this name";
    GroupInUse = "groups.in_use", 409, Pointless, "Keys or accesses still name the group";
    TooManyGroups = "groups.limit_reached", 409, Pointless, "The organisation has as many groups as it may have";
    WebhookChangedMeanwhile = "webhooks.changed_meanwhile", 409, Safe, "The webhook was changed at the same moment";
    WebhookLimitReached = "webhooks.limit_reached", 409, Pointless, "The organisation has as many webhooks as it may have";
    WebhookFeedTrimmed = "webhooks.feed_trimmed", 409, Pointless, "What the webhook would go on with is not kept any more";
    WebhookEventGone = "webhooks.event_gone", 409, Pointless, "The event of this delivery is not kept any more";
    MacTaken = "devices.mac_taken", 409, Pointless, "Another device has this MAC address";
    NoFreePap = "devices.no_free_pap", 409, Safe, "No PAP was free";
    NoPap = "devices.no_pap", 404, Pointless, "The device has no PAP any more";
    MacContradicted = "devices.mac_contradicted", 403, Pointless, "A phone asked for another one's configuration";
    TooManyWrongPaps = "devices.too_many_wrong_paps", 429, Safe, "Too many wrong PAPs";
    WhitelistFull = "phones.whitelist_full", 409, Pointless, "The whitelist has as many entries as it may have";
    ProductCodeTaken = "products.code_taken", 409, Pointless, "One of these codes was added before";
    ShopperNotAllowed = "shoppers.not_allowed", 403, Pointless, "The shopper may not do this";
    ShopperRoleMissing = "shoppers.role_missing", 409, Pointless, "The account does not have this role";
    TransferPending = "shoppers.transfer_pending", 409, Pointless, "Another transfer waits for its confirmation";
    StoreNameTaken = "stores.system_name_taken", 409, Pointless, "Another store has this system name";
    AccountTaken = "stores.account_taken", 409, Pointless, "The account number cannot be had";
    VerificationTaken = "stores.verification_taken", 409, Pointless, "The store has this verification type already";
    VerificationNotReady = "stores.verification_not_ready", 409, Pointless, "The verification type lacks what it needs";
    IuvKeyTaken = "stores.key_taken", 409, Pointless, "Another verification type has this key";
    IuvKeyTooShort = "stores.key_too_short", 409, Pointless, "A short key needs a list of callers";
    NoIuvKey = "stores.no_key", 404, Pointless, "The verification type has no key";
    StoreChangedMeanwhile = "stores.changed_meanwhile", 409, Safe, "The store was changed at the same moment";
    StoreLimitReached = "stores.limit_reached", 409, Pointless, "The store has as many of these as it may have";
    TerminalClosed = "recovery.terminal_closed", 410, Pointless, "The terminal is closed";
    ExclusiveUse = "recovery.exclusive_use", 409, Safe, "Administrator 1 has the installation for himself";
    TooManyTerminals = "recovery.too_many_terminals", 409, Safe, "The installation has as many terminals open as it may have";
    NameRests = "recovery.name_rests", 429, Safe, "This name rests after wrong passwords";
    NotOffered = "recovery.not_offered", 409, Pointless, "Forgotten password is not offered at this terminal";
    OtherTerminals = "recovery.other_terminals", 409, Safe, "Other terminals are open";
    AlreadyValidated = "recovery.already_validated", 409, Pointless, "The recovery contact is validated";
    NoContact = "recovery.no_contact", 409, Pointless, "There is no recovery contact";
    AlreadyLoggedIn = "recovery.logged_in", 409, Pointless, "Somebody is logged in at this terminal";
    TextsUnavailable = "recovery.texts_unavailable", 409, Pointless, "This server sends no texts";
    DirectoryRefused = "recovery.directory_refused", 409, Pointless, "The directory does not accept the installation's account";
    DirectoryUnavailable = "recovery.directory_unavailable", 503, Safe, "The directory cannot be asked";
    BreakGlassPending = "recovery.break_glass_pending", 409, Pointless, "A reset to a new address is under way";
    InstallationChangedMeanwhile = "installations.changed_meanwhile", 409, Safe, "The installation was changed at the same moment";
    UserNameTaken = "installations.name_taken", 409, Pointless, "Another user of the installation has this name";
    TooManyUsers = "installations.too_many_users", 409, Pointless, "The installation has as many users as it may have";
    IsAdministrator1 = "installations.is_administrator_1", 409, Pointless, "An installation has exactly one administrator 1";
    OperationRunning = "operator.running", 409, Safe, "Another one is under way";
    MasterKeyNotOurs = "operator.master_key_not_ours", 409, Pointless, "The server cannot change this master key";
    Busy = "server.busy", 503, Safe, "The server has more to do than it can finish in time";
    ReadOnly = "server.read_only", 503, Safe, "The server takes no changes at the moment";
    Stopping = "server.stopping", 503, Safe, "The server is being stopped";
    Quarantined = "server.quarantined", 503, Safe, "This object is out of service";
    OutcomeUnknown = "server.outcome_unknown", 503, WithSameKey, "It is not known whether the change was made";
    Internal = "server.internal", 500, WithSameKey, "The server failed";
}
