//! What the pages say, in three languages.

use crate::orgs::Language;

macro_rules! texts {
    ($($name:ident: $it:literal, $de:literal, $en:literal;)*) => {
        pub struct Texts {
            $(pub $name: &'static str,)*
        }

        const IT: Texts = Texts { $($name: $it,)* };
        const DE: Texts = Texts { $($name: $de,)* };
        const EN: Texts = Texts { $($name: $en,)* };
    };
}

texts! {
    skip: "Vai al contenuto", "Zum Inhalt", "Skip to content";
    navigation: "Navigazione", "Navigation", "Navigation";
    home: "Pagina iniziale", "Startseite", "Home";
    catalogue: "Catalogo", "Katalog", "Catalogue";
    cart: "Carrello", "Warenkorb", "Cart";
    orders: "Ordini", "Bestellungen", "Orders";
    order: "Ordine", "Bestellung", "Order";
    administration: "Amministrazione", "Administration", "Administration";
    sign_in: "Accesso", "Anmelden", "Sign in";
    sign_out: "Esci", "Abmelden", "Sign out";
    signed_in_as: "Accesso effettuato come", "Angemeldet als", "Signed in as";
    test_store: "Negozio di prova", "Testshop", "Test store";
    test_order: "*Ordine di prova*", "*Testbestellung*", "*Test order*";
    welcome: "Benvenuti", "Willkommen", "Welcome";
    welcome_about: "Qui si ordina il software a cui si ha diritto.", "Hier bestellen Sie die Software, die Ihnen zusteht.", "Order the software that you are entitled to.";
    to_catalogue: "Vai al catalogo", "Zum Katalog", "Go to the catalogue";
    no_products: "Non ci sono prodotti.", "Es gibt keine Produkte.", "There are no products.";
    add: "Aggiungi al carrello", "In den Warenkorb", "Add to cart";
    not_for_you: "Non disponibile per i suoi gruppi utenti.", "Für Ihre Benutzergruppen nicht erhältlich.", "Not available to your user groups.";
    sold_out: "Al momento senza codici: il codice arriva appena possibile.", "Zurzeit ohne Codes: Ihr Code kommt, sobald es welche gibt.", "No codes at the moment: yours comes as soon as there are some.";
    had: "Già ordinato.", "Schon bestellt.", "Ordered already.";
    in_cart: "Nel carrello.", "Im Warenkorb.", "In your cart.";
    cart_empty: "Il carrello è vuoto.", "Der Warenkorb ist leer.", "Your cart is empty.";
    remove: "Rimuovi", "Entfernen", "Remove";
    place_order: "Ordina", "Bestellen", "Place order";
    no_orders: "Non ci sono ordini.", "Es gibt keine Bestellungen.", "There are no orders.";
    product: "Prodotto", "Produkt", "Product";
    products: "Prodotti", "Produkte", "Products";
    code: "Codice prodotto", "Produktcode", "Product code";
    code_waits: "In preparazione: ricaricare la pagina tra poco.", "In Vorbereitung: Laden Sie die Seite bald neu.", "Being prepared: reload this page in a moment.";
    code_denied: "Non ci sono più codici. Contattare l'amministratore.", "Es gibt keine Codes mehr. Wenden Sie sich an den Administrator.", "There are no codes left. Please contact the administrator.";
    date: "Data", "Datum", "Date";
    user_name: "Nome utente", "Benutzername", "User name";
    password: "Password", "Passwort", "Password";
    email: "Indirizzo e-mail", "E-Mail-Adresse", "E-mail address";
    with_password: "Accesso con password", "Anmelden mit Passwort", "Sign in with a password";
    with_email: "Accesso con un collegamento via e-mail", "Anmelden mit einem Link per E-Mail", "Sign in with a mailed link";
    with_sso: "Accesso tramite la propria organizzazione", "Anmelden über Ihre Organisation", "Sign in through your organisation";
    first_time: "Prima volta, o password dimenticata", "Erstes Mal, oder Passwort vergessen", "First time, or password forgotten";
    first_time_about: "Riceve un'e-mail con un collegamento per scegliere la password.", "Sie erhalten eine E-Mail mit einem Link, um das Passwort zu wählen.", "You get a mail with a link to choose your password.";
    send_link: "Invia il collegamento", "Link senden", "Send the link";
    link_sent: "Se l'indirizzo è ammesso, l'e-mail è in arrivo.", "Ist die Adresse zugelassen, ist die E-Mail unterwegs.", "If the address is allowed, the mail is on its way.";
    link_confirm: "Un clic e l'accesso è fatto.", "Noch ein Klick, dann sind Sie angemeldet.", "One more click signs you in.";
    link_invalid: "Questo collegamento non è valido: è già stato usato o è scaduto.", "Dieser Link gilt nicht: Er wurde schon benutzt oder ist abgelaufen.", "This link is not valid: it was used already, or its time is over.";
    no_way_in: "Al momento non è possibile accedere a questo negozio.", "Zurzeit kann man sich in diesem Shop nicht anmelden.", "At the moment nobody can sign in to this store.";
    wrong: "Nome utente o password non corretti, oppure account bloccato per 15 minuti dopo cinque tentativi.", "Benutzername oder Passwort falsch, oder das Konto ist nach fünf Versuchen 15 Minuten gesperrt.", "Wrong user name or password, or the account is locked for 15 minutes after five attempts.";
    too_many: "Troppi tentativi da qui. Riprovare più tardi.", "Zu viele Versuche von hier. Versuchen Sie es später.", "Too many attempts from here. Try later.";
    expired: "Questo modulo non è più valido. Lo compili di nuovo.", "Dieses Formular gilt nicht mehr. Bitte füllen Sie es noch einmal aus.", "This form is no longer valid. Please fill it in again.";
    refused: "Impossibile accedere al negozio. Riprovare.", "Der Shop ist nicht zugänglich. Bitte versuchen Sie es erneut.", "Unable to access the store. Please try again.";
    choose_password: "Scegliere la password", "Passwort wählen", "Choose a password";
    password_again: "Ripetere la password", "Passwort wiederholen", "Repeat the password";
    password_rule: "Almeno 10 caratteri, due volte gli stessi.", "Mindestens 10 Zeichen, zweimal dieselben.", "At least 10 characters, the same twice.";
    password_set: "La password è stata salvata.", "Das Passwort ist gespeichert.", "Your password is saved.";
    save: "Salva", "Speichern", "Save";
    missing: "Questa pagina non esiste.", "Diese Seite gibt es nicht.", "There is no such page.";
    busy: "Il negozio è occupato. Riprovare tra poco.", "Der Shop ist ausgelastet. Versuchen Sie es gleich noch einmal.", "The store is busy. Try again in a moment.";
    not_listed: "Un prodotto non è più in catalogo.", "Ein Produkt steht nicht mehr im Katalog.", "A product is no longer in the catalogue.";
    limit_reached: "Questo prodotto è già stato ordinato il numero di volte consentito.", "Dieses Produkt wurde schon so oft bestellt wie erlaubt.", "This product was ordered as often as allowed.";
    cart_full: "Il carrello è pieno.", "Der Warenkorb ist voll.", "Your cart is full.";
    too_many_orders: "Numero massimo di ordini raggiunto.", "Die Höchstzahl der Bestellungen ist erreicht.", "You have as many orders as you may have.";
    account_number: "Numero account", "Kontonummer", "Account number";
    admin_title: "Accesso all'amministrazione", "Anmeldung zur Administration", "Sign in to the administration";
    admin_about: "Con l'account di un amministratore, anche quando l'accesso al negozio non funziona.", "Mit dem Konto eines Administrators, auch wenn die Anmeldung im Shop nicht funktioniert.", "With an administrator's account, even when signing in to the store does not work.";
    leave: "Lascia l'amministrazione", "Administration verlassen", "Leave the administration";
    support: "Assistenza", "Support", "Support";
    support_about: "Nel messaggio all'assistenza servono queste sei informazioni.", "Die Nachricht an den Support braucht diese sechs Angaben.", "A message to support needs these six pieces of information.";
    customer_name: "Nome cliente", "Name des Kunden", "Customer name";
    contact_name: "Nome contatto", "Name der Kontaktperson", "Contact name";
    contact_email: "Indirizzo di posta elettronica contatto", "E-Mail-Adresse der Kontaktperson", "Contact e-mail address";
    contact_phone: "Telefono contatto", "Telefon der Kontaktperson", "Contact phone";
    support_account: "Numero di account", "Kontonummer", "Account number";
    description: "Descrizione dettagliata del problema o della richiesta di informazioni", "Genaue Beschreibung des Problems oder der Frage", "Detailed description of the problem or the request for information";
    verifications: "Verifica", "Verifizierung", "Verification";
    kind: "Tipo", "Art", "Kind";
    state: "Stato", "Status", "State";
    store_url: "URL del WebStore", "URL des WebStores", "WebStore URL";
    test_url: "URL del WebStore di prova", "URL des Test-WebStores", "Test WebStore URL";
    left: "Codici rimasti", "Übrige Codes", "Codes left";
    given: "Codici assegnati", "Vergebene Codes", "Codes given";
    waiting: "Ordini in attesa", "Wartende Bestellungen", "Orders waiting";
    by_member: "Ordini per organizzazione membro", "Bestellungen nach Mitgliedsorganisation", "Orders by member organisation";
    member: "Organizzazione membro", "Mitgliedsorganisation", "Member organisation";
    none: "Nessuno", "Keine", "None";
    transfer: "Trasferimento di un ruolo amministrativo", "Übertragung einer Administratorrolle", "Transfer of an administrative role";
    transfer_about: "Il ruolo passa all'altro account soltanto con questa conferma.", "Die Rolle geht nur mit dieser Bestätigung auf das andere Konto über.", "The role moves to the other account only with this confirmation.";
    role: "Ruolo", "Rolle", "Role";
    from_account: "Dall'account", "Vom Konto", "From the account";
    to_account: "All'account", "Auf das Konto", "To the account";
    confirm: "Conferma", "Bestätigen", "Confirm";
    refuse: "Rifiuta", "Ablehnen", "Refuse";
    transfer_done: "Il ruolo è stato trasferito.", "Die Rolle ist übertragen.", "The role has moved.";
    transfer_refused: "Il trasferimento è stato rifiutato: resta tutto com'è.", "Die Übertragung ist abgelehnt: Alles bleibt, wie es ist.", "The transfer is refused: everything stays as it is.";
}

pub fn texts(language: Language) -> &'static Texts {
    match language {
        Language::It => &IT,
        Language::De => &DE,
        Language::En => &EN,
    }
}
