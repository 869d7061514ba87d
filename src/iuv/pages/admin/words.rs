//! What the administration's pages say, in three languages.

use crate::iuv::{VerificationKind, VerificationState, shoppers::StoreRole, wire::Step};

texts! {
    words: Words;
    overview: "Panoramica", "Übersicht", "Overview";
    verification: "Verifica", "Verifizierung", "Verification";
    groups: "Gruppi utenti", "Benutzergruppen", "User groups";
    members: "Organizzazioni membro", "Mitgliedsorganisationen", "Member organisations";
    products: "Prodotti e codici", "Produkte und Codes", "Products and codes";
    roles: "Amministratori", "Administratoren", "Administrators";
    tester: "Prova di una richiesta", "Anfrage ausprobieren", "Try a request";
    report: "Rapporto", "Bericht", "Report";
    saved: "Salvato: vale da subito.", "Gespeichert: Es gilt ab sofort.", "Saved: it holds at once.";
    check_fields: "Non salvato. Controllare questi campi:", "Nicht gespeichert. Prüfen Sie diese Felder:", "Not saved. Check these fields:";
    not_saved: "Non salvato.", "Nicht gespeichert.", "Not saved.";
    changed_meanwhile: "Non salvato: qualcun altro ha cambiato il negozio nello stesso momento. Riprovare.", "Nicht gespeichert: Jemand anders hat den Shop im selben Moment geändert. Versuchen Sie es noch einmal.", "Not saved: somebody else changed the store at the same moment. Try again.";
    kind_taken: "Questo tipo di verifica c'è già: può essere aggiunto una volta sola.", "Diese Verifizierungsart gibt es schon: Sie kann nur einmal hinzugefügt werden.", "This verification type is there already: it can be added only once.";
    not_ready: "Manca ancora qualcosa: URL di accesso esterno, chiave salvata e amministratore IUV (IUV), indirizzi dei proxy (Shibboleth) o un dominio (posta elettronica).", "Es fehlt noch etwas: externe Anmelde-URL, gespeicherter Schlüssel und IUV-Administrator (IUV), Adressen der Proxys (Shibboleth) oder eine Domain (E-Mail).", "Something is missing yet: external sign-in URL, a saved key and an IUV administrator (IUV), addresses of the proxies (Shibboleth), or a domain (e-mail).";
    key_taken: "Un altro tipo di verifica dell'account ha già questa chiave.", "Eine andere Verifizierungsart des Kontos hat diesen Schlüssel schon.", "Another verification type of the account has this key.";
    key_short: "Una chiave corta vale soltanto insieme a un elenco di indirizzi del server chiamante.", "Ein kurzer Schlüssel gilt nur zusammen mit einer Liste aufrufender Adressen.", "A short key holds only together with a list of callers.";
    no_key: "Non c'è nessuna chiave salvata.", "Es ist kein Schlüssel gespeichert.", "No key is saved.";
    full: "Numero massimo raggiunto.", "Die Höchstzahl ist erreicht.", "There are as many of these as there may be.";
    code_taken: "Uno di questi codici è già stato aggiunto in passato: nessuno è stato aggiunto.", "Einer dieser Codes wurde schon einmal hinzugefügt: Es wurde keiner hinzugefügt.", "One of these codes was added before: none was added.";
    role_missing: "L'account non ha questo ruolo.", "Das Konto hat diese Rolle nicht.", "The account does not have this role.";
    transfer_pending: "Un altro trasferimento attende la conferma.", "Eine andere Übertragung wartet auf ihre Bestätigung.", "Another transfer waits for its confirmation.";
    transfer_sent: "L'amministratore principale riceve un'e-mail: il ruolo passa quando conferma.", "Der Hauptadministrator erhält eine E-Mail: Die Rolle geht über, wenn er bestätigt.", "The primary administrator gets a mail: the role moves when he confirms.";
    not_allowed: "Il suo ruolo non lo consente.", "Ihre Rolle erlaubt das nicht.", "Your role does not allow this.";
    nobody_so: "Non c'è nessun account con questo nome utente.", "Es gibt kein Konto mit diesem Benutzernamen.", "There is no account with this user name.";
    add: "Aggiungi", "Hinzufügen", "Add";
    apply: "Applica", "Übernehmen", "Apply";
    delete: "Elimina", "Löschen", "Delete";
    sure: "Sì, eliminare", "Ja, löschen", "Yes, delete";
    types: "Tipi di verifica", "Verifizierungsarten", "Verification types";
    add_type: "Aggiungere un tipo di verifica", "Verifizierungsart hinzufügen", "Add a verification type";
    add_about: "Comincia in stato di prova.", "Sie beginnt im Test.", "It begins in test.";
    activate: "Attiva", "Aktivieren", "Activate";
    to_test: "Cambia lo stato in Prova", "In den Test versetzen", "Put in test";
    deactivate: "Disattiva", "Deaktivieren", "Deactivate";
    active: "Attivo", "Aktiv", "Active";
    test: "Prova", "Test", "Test";
    inactive: "Inattivo", "Inaktiv", "Inactive";
    iuv: "Verifica utente integrata standard", "Integrierte Benutzerverifizierung (IUV)", "Integrated user verification (IUV)";
    shibboleth: "Shibboleth", "Shibboleth", "Shibboleth";
    user_import: "Importazione utenti", "Benutzerimport", "User import";
    email_domain: "Dominio di posta elettronica", "E-Mail-Domain", "E-mail domain";
    test_options: "Opzioni di prova", "Testoptionen", "Test options";
    test_about: "Gli ordini effettuati da questo indirizzo sono ordini di prova, senza codice prodotto. Aprirlo in un altro browser.", "Bestellungen über diese Adresse sind Testbestellungen ohne Produktcode. Öffnen Sie sie in einem anderen Browser.", "Orders made from this address are test orders, without a product code. Open it in another browser.";
    settings: "Impostazioni", "Einstellungen", "Settings";
    details: "Dettagli", "Details", "Details";
    details_about: "Non cambiare questi valori: sono conservati e non hanno effetto.", "Ändern Sie diese Werte nicht: Sie werden aufbewahrt und bewirken nichts.", "Do not change these values: they are kept and change nothing.";
    sector: "Settore", "Sektor", "Sector";
    expires: "Le verifiche scadono tra (giorni)", "Verifizierungen laufen ab in (Tagen)", "Verifications expire in (days)";
    external_url: "URL di accesso esterno", "Externe Anmelde-URL", "External sign-in URL";
    callers: "Elenco indirizzi IP del server chiamante (uno per riga; anche reti, come 192.0.2.0/24)", "IP-Adressen der aufrufenden Server (je Zeile eine; auch Netze, wie 192.0.2.0/24)", "IP addresses of the calling servers (one a line; networks too, such as 192.0.2.0/24)";
    proxies: "Indirizzi dei proxy di cui valgono le intestazioni (uno per riga)", "Adressen der Proxys, deren Header gelten (je Zeile eine)", "Addresses of the proxies whose headers count (one a line)";
    administrators: "Indirizzi di posta elettronica degli amministratori IUV (uno per riga)", "E-Mail-Adressen der IUV-Administratoren (je Zeile eine)", "E-mail addresses of the IUV administrators (one a line)";
    check_ip: "Verifica indirizzo IP acquirente", "IP-Adresse des Käufers prüfen", "Check the shopper's IP address";
    italian_action: "Parametro «azione» con «accedi» ed «esci» invece di «action»", "Parameter „azione“ mit „accedi“ und „esci“ statt „action“", "Parameter “azione” with “accedi” and “esci” instead of “action”";
    domains: "Domini ammessi (uno per riga)", "Zugelassene Domains (je Zeile eine)", "Domains that are let in (one a line)";
    default_groups: "Gruppi di chi accede (uno per riga, classe:gruppo)", "Gruppen, die jeder erhält (je Zeile eine, Klasse:Gruppe)", "Groups of whoever signs in (one a line, class:group)";
    headers: "Intestazioni", "Header", "Headers";
    header_user_name: "Nome utente", "Benutzername", "User name";
    header_email: "Indirizzo e-mail", "E-Mail-Adresse", "E-mail address";
    header_last_name: "Cognome", "Nachname", "Last name";
    header_first_name: "Nome", "Vorname", "First name";
    header_groups: "Gruppi", "Gruppen", "Groups";
    key: "Chiave", "Schlüssel", "Key";
    key_saved: "È salvata una chiave.", "Ein Schlüssel ist gespeichert.", "A key is saved.";
    key_exposed: "La chiave è arrivata senza SSL: generarne una nuova.", "Der Schlüssel kam ohne SSL: Erzeugen Sie einen neuen.", "The key has come over plain HTTP: generate a new one.";
    key_is_short: "La chiave è corta: generarne una nuova.", "Der Schlüssel ist kurz: Erzeugen Sie einen neuen.", "The key is short: generate a new one.";
    generate: "Genera", "Erzeugen", "Generate";
    generated: "La chiave vale soltanto dopo averla salvata con «Applica».", "Der Schlüssel gilt erst, wenn Sie ihn mit „Übernehmen“ speichern.", "The key holds only once you save it with “Apply”.";
    show_key: "Mostra la chiave", "Schlüssel anzeigen", "Show the key";
    shown_noted: "Che la chiave è stata mostrata viene annotato.", "Dass der Schlüssel angezeigt wurde, ist vermerkt.", "That the key was shown is noted.";
    overlap: "La chiave precedente vale ancora per (ore)", "Der vorige Schlüssel gilt noch für (Stunden)", "The key before is still accepted for (hours)";
    refused_callers: "Ultimi indirizzi respinti", "Zuletzt abgewiesene Adressen", "Callers refused last";
    none_refused: "Nessuno.", "Keine.", "None.";
    last: "Ultima volta", "Zuletzt", "Last";
    times: "Volte", "Male", "Times";
    delete_type: "Eliminare questo tipo di verifica", "Diese Verifizierungsart löschen", "Delete this verification type";
    class_about: "Il codice è un parametro che i clienti possono inviare.", "Der Code ist ein Parameter, den Kunden senden dürfen.", "The code is a parameter that customers may send.";
    new_class: "Nuova classe", "Neue Klasse", "New class";
    groups_lines: "Gruppi (uno per riga: codice, nome)", "Gruppen (je Zeile eine: Code, Name)", "Groups (one a line: code, name)";
    code: "Codice", "Code", "Code";
    name: "Nome", "Name", "Name";
    members_about: "Non appena sono più di una, i clienti devono inviare member_org.", "Sobald es mehrere gibt, müssen Kunden member_org senden.", "As soon as there are several, customers must send member_org.";
    new_member: "Nuova organizzazione membro", "Neue Mitgliedsorganisation", "New member organisation";
    new_product: "Nuovo prodotto", "Neues Produkt", "New product";
    about: "Descrizione", "Beschreibung", "Description";
    eligible: "Chi può averlo (uno per riga, classe:gruppo; vuoto: tutti)", "Wer es haben darf (je Zeile, Klasse:Gruppe; leer: alle)", "Who may have it (one a line, class:group; empty: everybody)";
    per_shopper: "Quante volte per acquirente", "Wie oft je Käufer", "How often for each shopper";
    alert_below: "Avviso quando restano al massimo (codici)", "Warnung, wenn höchstens noch so viele Codes da sind", "Warn when so many codes are left, or fewer";
    listed: "Nel catalogo", "Im Katalog", "In the catalogue";
    add_codes: "Aggiungere codici prodotto", "Produktcodes hinzufügen", "Add product codes";
    codes_lines: "Codici (uno per riga, al massimo 500)", "Codes (je Zeile einer, höchstens 500)", "Codes (one a line, 500 at most)";
    store_admin: "Amministratore del negozio", "Shop-Administrator", "Store administrator";
    iuv_admin: "Amministratore IUV", "IUV-Administrator", "IUV administrator";
    who_has_roles: "Account con un ruolo", "Konten mit einer Rolle", "Accounts with a role";
    find_account: "Cercare un account", "Konto suchen", "Find an account";
    find: "Cerca", "Suchen", "Find";
    grant_iuv: "Dai il ruolo di amministratore IUV", "Rolle IUV-Administrator geben", "Make an IUV administrator";
    revoke: "Togli il ruolo", "Rolle entziehen", "Take the role away";
    own_role: "Il proprio ruolo si può soltanto trasferire.", "Die eigene Rolle lässt sich nur übertragen.", "One's own role can only be transferred.";
    transfer_to: "Nome utente del nuovo account", "Benutzername des neuen Kontos", "User name of the new account";
    ask_transfer: "Chiedi il trasferimento", "Übertragung beantragen", "Ask for the transfer";
    pending: "In attesa di conferma", "Wartet auf Bestätigung", "Waits for confirmation";
    invite: "Crea un collegamento per la password", "Link für das Passwort erzeugen", "Make a link for a password";
    invited: "Consegnare questo collegamento: vale una volta, per 24 ore.", "Geben Sie diesen Link weiter: Er gilt einmal, 24 Stunden lang.", "Hand this link over: it works once, for 24 hours.";
    query: "Stringa query, come la invia il server del cliente", "Query, wie der Server des Kunden sie sendet", "Query, as the customer's server sends it";
    caller: "Indirizzo IP del server chiamante", "IP-Adresse des aufrufenden Servers", "IP address of the calling server";
    try_it: "Prova", "Ausprobieren", "Try it";
    tester_about: "Nessuno viene registrato e niente viene conservato.", "Niemand wird registriert, nichts wird aufbewahrt.", "Nobody is registered, and nothing is kept.";
    answer: "Risposta", "Antwort", "Answer";
    checks: "Controlli", "Prüfungen", "Checks";
    passed: "Superato", "Bestanden", "Passed";
    failed: "Non superato", "Nicht bestanden", "Failed";
    not_reached: "Non raggiunto", "Nicht erreicht", "Not reached";
    step_parameters: "Ogni parametro obbligatorio c'è una volta sola; niente è vuoto o troppo lungo", "Jeder nötige Parameter steht einmal da, nichts ist leer oder zu lang", "Each required parameter is there once; nothing is empty or too long";
    step_store: "Il numero account o l'indirizzo del chiamante portano a un negozio", "Kontonummer oder Adresse des Aufrufers führen zu einem Shop", "Account number or caller's address lead to a store";
    step_key: "La chiave è quella salvata", "Der Schlüssel ist der gespeicherte", "The key is the saved one";
    step_store_parameters: "Ci sono i parametri che questo negozio richiede", "Die Parameter sind da, die dieser Shop verlangt", "The parameters are there that this store requires";
    step_member: "L'organizzazione membro esiste", "Die Mitgliedsorganisation gibt es", "The member organisation exists";
    step_groups: "Classi e gruppi esistono", "Klassen und Gruppen gibt es", "Classes and groups exist";
    would_register: "Verrebbe registrato", "Registriert würde", "Would be registered";
    test_orders: "Ordini di prova", "Testbestellungen", "Test orders";
    truncated: "Ci sono più ordini di quanti se ne contano in una volta.", "Es gibt mehr Bestellungen, als auf einmal gezählt werden.", "There are more orders than are counted at once.";
}

impl Words {
    pub fn kind(&self, kind: VerificationKind) -> &'static str {
        match kind {
            VerificationKind::Iuv => self.iuv,
            VerificationKind::Shibboleth => self.shibboleth,
            VerificationKind::UserImport => self.user_import,
            VerificationKind::EmailDomain => self.email_domain,
        }
    }

    pub fn state(&self, state: VerificationState) -> &'static str {
        match state {
            VerificationState::Test => self.test,
            VerificationState::Active => self.active,
            VerificationState::Inactive => self.inactive,
        }
    }

    pub fn role(&self, role: StoreRole) -> &'static str {
        match role {
            StoreRole::StoreAdmin => self.store_admin,
            StoreRole::IuvAdmin => self.iuv_admin,
        }
    }

    pub fn step(&self, step: Step) -> &'static str {
        match step {
            Step::Parameters => self.step_parameters,
            Step::Store => self.step_store,
            Step::Key => self.step_key,
            Step::StoreParameters => self.step_store_parameters,
            Step::MemberOrganisation => self.step_member,
            Step::Groups => self.step_groups,
        }
    }

    /// The field of a form that a pointer of the API is about.
    pub fn field(&self, pointer: &str) -> Option<&'static str> {
        let mut parts = pointer.split('/').skip(1);
        Some(match (parts.next()?, parts.next()) {
            ("external_url", _) => self.external_url,
            ("callers" | "network", _) => self.callers,
            ("administrators", _) => self.administrators,
            ("domains", _) => self.domains,
            ("headers", Some("user_name")) => self.header_user_name,
            ("headers", Some("email")) => self.header_email,
            ("headers", Some("last_name")) => self.header_last_name,
            ("headers", Some("first_name")) => self.header_first_name,
            ("headers", _) => self.header_groups,
            ("groups", _) => self.groups,
            ("sector", _) => self.sector,
            ("expires_in_days", _) => self.expires,
            ("key", _) => self.key,
            ("overlap_s", _) => self.overlap,
            ("name", _) => self.name,
            ("about", _) => self.about,
            ("per_shopper", _) => self.per_shopper,
            ("alert_below", _) => self.alert_below,
            ("codes", _) => self.codes_lines,
            ("query", _) => self.query,
            ("caller", _) => self.caller,
            _ => return None,
        })
    }
}
