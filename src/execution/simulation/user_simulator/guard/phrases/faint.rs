//! What agents say often and customers at times, by kind. One kind tells nothing, however much of it there is; two kinds in one
//! line are an agent's.

/// What customers have little reason to say. In the notation of [`super::Pattern`].
pub(super) const TELLING: [&[&str]; 5] = [THEIRS, RESULTS, HOUSE, STEPS, FOR_THEM];
/// What customers say every day. Only all kinds of it together are more than one.
pub(super) const EVERYDAY: [&[&str]; 3] = [POLITE, DEEDS, QUESTIONS];

/// What is polite in everybody's mouth.
const POLITE: &[&str] = &[
    "^of course|certainly|absolutely|perfect|wonderful|excellent|gladly|sure|alright|okay|ok",
    "^great news",
    "^no worries|problem",
    "^you're|you are very|most|so welcome",
    "have a wonderful|great|nice|lovely|fantastic day|weekend|evening|trip",
    "thank|thanks .. for contacting|calling|getting|providing|confirming|sharing|bearing|holding|waiting|flagging",
    "thank|thanks .. for reaching out",
    "thank|thanks .. for your patience|understanding|message|inquiry|loyalty|business|feedback|interest|call",
    "glad i|we could help",
    "glad to hear",
    "i'm|be happy|glad to help|assist",
    "don't hesitate to",
    "feel free to",
    "rest assured",
    "apologies|apologize|apologise|sorry .. for|about any|the|this|your wait|delay|mix|inconvenience|confusion|trouble|experience|late",
    "understand .. concern|concerns|frustration|situation|worry",
    "understand how",
    "get that this|it is",
    "unfortunately",
    "dank|danke für ihre|deine nachricht|anruf|geduld",
    "merci pour|de votre message|appel|patience",
    "gracias por su|tu paciencia|mensaje|respuesta",
    "bedankt voor uw|je bericht",
    "^alles klar",
    "^claro|certo|certamente|perfetto",
];

/// What is the customer's, said to the customer.
const THEIRS: &[&str] = &[
    "your order|account|claim|refund|reservation|booking|flight|plan|policy|file|payment|prescription|luggage|appointment|table|seat|balance|subscription|membership|coverage|pin|password|replacement|statement|delivery|request|purchase|complaint",
    "the .. case|ticket|claim|reference|booking number is|for",
    "your last|full|first|account|confirmation|policy|tracking|claim|case|ticket|reference|customer|order name|number|code",
    "on file",
    "ihr|ihre|ihren|ihrem|ihrer vertrag|bestellung|termin|buchung|reservierung|konto|antrag",
    "votre|vos rendez|commande|réservation|compte|dossier|colis|contrat",
    "su cita|pedido|reserva|cuenta|reembolso|solicitud",
    "suo|sua ordine|prenotazione|appuntamento|conto|pacco",
    "seu|sua endereço|pedido|reserva|conta|consulta",
    "uw afspraak|bestelling|reservering|rekening|pakket",
    "您的",
];

/// What agents do.
const DEEDS: &[&str] = &[
    "i've|i|we've|we .. issued|processed|refunded|credited|rescheduled|reset|verified|opened|escalated|forwarded|applied|noted|located|updated|removed|submitted|arranged|scheduled|reserved|registered|cancelled|canceled|booked|found|changed|added",
    "i'm|we're|am|are processing|cancelling|canceling|issuing|arranging|forwarding|transferring|escalating|dispatching|checking",
    "i'll|i|we'll|we will|can|could|then|now|would refund|check|look|dispatch|arrange|process|verify|update|cancel|issue|order|waive|offer|transfer|connect|recommend|suggest",
    "i'll|we'll|i'd|we'd refund|check|look|dispatch|arrange|process|verify|update|cancel|issue|order|waive|offer|transfer|connect|recommend|suggest",
    "i'll|i|will .. make sure",
    "we recommend|suggest",
    "walk|guide you through",
    "noted|forwarded|pass|passed your|it|this .. to the|our|a",
    "i've|we've let .. know",
    "ich|wir habe|haben|werde|werden .. gekündigt|geändert|storniert|verschoben|gebucht|reserviert|veranlasst",
    "j'ai|nous avons .. annulé|modifié|déplacé|réservé|effectué",
    "he|hemos cambiado|cancelado|reservado|actualizado",
    "ho|abbiamo aggiornato|annullato|spostato|prenotato|emesso",
    "já atualizei|cancelei|alterei|reservei",
    "ik|we heb|hebben .. verzet|geannuleerd|gewijzigd|geboekt|gereserveerd",
];

/// What comes of it.
const RESULTS: &[&str] = &[
    "you|you'll will|should|can|'ll see|receive|get|hear|find",
    "you'll see|receive|get|hear|find",
    "it|this|that should|will appear|reflect|show|arrive|reach",
    "will|should reach|contact|call|bring|follow you|it|up",
    "who|they|they'll will|follow contact|follow|up .. you|up",
    "business|working days",
    "within .. hours|days|minutes",
    "in 3|5|1|2|few .. days",
    "to|on|in your card|statement|inbox|mailbox|account|balance",
    "check your inbox|email|spam|mailbox",
    "is|are on its|their way",
    "has|have been changed|moved|approved|declined|booked|rebooked|upgraded",
    "is booked|ready|confirmed for",
    "was declined",
    "won't be charged",
    "renews|ends on",
    "will end|expire|renew|ship on",
    "ships|arrives today|tomorrow",
    "discount|voucher|credit .. to|for|on your|you",
    "as an|a apology|gesture|compensation|courtesy|thank",
    "right away",
    "sie erhalten .. bestätigung|mail|email",
    "ha sido cambiada|cambiado|enviado|procesado",
    "est déplacé|confirmé|expédié|annulé",
];

/// What agents ask.
const QUESTIONS: &[&str] = &[
    "may|could|can i .. have|get|ask|place .. your|you|the",
    "i|i'll|we|just|will need .. your|the",
    "^to locate|access|verify|proceed|process|confirm|help .. your|you|i'll",
    "for verification",
    "what|which name|email|address|number .. under|on",
    "would you like|prefer",
    "how would you like",
    "does|would that time|date|work",
    "did you check",
    "do you see",
    "could|can|please you .. provide|share|confirm|verify .. your",
    "tell me .. last|first|full|what you're",
    "shall i sign|book|proceed|process|send|arrange",
    "is there something .. you'd like",
    "benötigen|möchten sie",
    "avez vous .. questions|essayé",
];

/// The company and its rules.
const HOUSE: &[&str] = &[
    "our .. team|department|specialist|specialists|partner|technician|technicians|warehouse|records|policy|terms|system|engineers|adjusters|plans|mattresses|guests",
    "the|a .. specialist|technician|colleague|manager|representative|courier will|on",
    "according to our|the records|terms|policy|system",
    "we're|are experiencing",
    "higher|high call|volumes",
    "we regret|offer|apologize|apologise",
    "we appreciate your",
    "we don't have .. in stock",
    "matters|important to us",
    "we're|are .. sorry",
    "we|i'd|we'd|would like|can to|offer offer|you you|a",
    "my supervisor|manager",
    "^please have|allow|bring|note",
];

/// Instructions.
const STEPS: &[&str] = &[
    "^please try|check|make|go|click|enter|restart|turn|keep|bring|tell",
    "try turning|restarting|unplugging|resetting|clearing|reinstalling",
    "go to settings",
    "open the app",
    "^first .. go|open|tap|unplug|press",
    "tap|choose|select|click security|forgot|settings|accounts|on",
    "let me know if|once|when|whether you|you've|the|that|this|it",
    "here are .. steps|tips",
    "ready so i can",
];

/// For whom it is done.
const FOR_THEM: &[&str] = &[
    "i|i'll|i've|we|we'll|let|can|could .. for you",
    "for your records|reference|convenience",
    "keep .. for reference",
    "for you and|right|now|today|tonight",
];
