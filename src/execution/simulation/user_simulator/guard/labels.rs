//! Names of speakers in front of what they say.

use super::words::{weight, words};

/// Who a label names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Speaker {
    /// The customer.
    Customer,
    /// The agent.
    Agent,
    /// Nobody known: a name, a word in another language, or no speaker at all.
    Other,
}

/// The longest label, in characters: longer ones are sentences.
const MAX_LABEL_CHARS: usize = 32;
/// The most that a label says: four words.
const MAX_LABEL_WEIGHT: usize = 8;

/// What transcripts call the customer, as words without accents.
const CUSTOMERS: &[&str] = &[
    "customer",
    "user",
    "client",
    "human",
    "caller",
    "kunde",
    "kundin",
    "nutzer",
    "benutzer",
    "anrufer",
    "cliente",
    "utilisateur",
    "usuario",
    "utente",
    "klant",
    "gebruiker",
    "顧客",
    "お客様",
    "客",
    "ユーザー",
    "客户",
    "顾客",
    "用户",
    "買い手",
    "买家",
    "me",
];
/// What transcripts call the agent, as words without accents.
const AGENTS: &[&str] = &[
    "agent",
    "support agent",
    "customer service agent",
    "service agent",
    "assistant",
    "ai assistant",
    "ai",
    "virtual assistant",
    "bot",
    "chatbot",
    "support",
    "customer support",
    "customer service",
    "representative",
    "support representative",
    "customer service representative",
    "rep",
    "operator",
    "advisor",
    "adviser",
    "assistent",
    "mitarbeiter",
    "mitarbeiterin",
    "kundenservice",
    "kundendienst",
    "kundenberater",
    "berater",
    "beraterin",
    "kundenbetreuer",
    "conseiller",
    "conseillere",
    "service client",
    "agente",
    "asistente",
    "soporte",
    "atencion al cliente",
    "asesor",
    "operador",
    "operatore",
    "operatrice",
    "assistente",
    "assistenza",
    "servizio clienti",
    "supporto",
    "atendente",
    "suporte",
    "medewerker",
    "klantenservice",
    "エージェント",
    "担当者",
    "オペレーター",
    "アシスタント",
    "サポート",
    "スタッフ",
    "店員",
    "客服",
    "助手",
    "客服人员",
    "坐席",
    "客服代表",
    "人工客服",
];

/// Words that end a longer name of an agent, such as that of a company's.
const KINDS_OF_AGENTS: &[&str] = &["agent", "assistant", "bot", "representative", "support", "assistent"];

/// The speaker that `line` names in front, and what follows.
pub(in super::super) fn labelled(line: &str) -> Option<(Speaker, &str)> {
    let bare = without_position(line.trim_start());
    let (colon, _) = bare.char_indices().take(MAX_LABEL_CHARS).find(|(_, c)| matches!(c, ':' | '：'))?;
    let (label, rest) = bare.split_at(colon);
    // What a label has in brackets is a name or a mood.
    let label = label.split(['(', '（']).next().unwrap_or_default();
    let weight = weight(&words(label));
    if weight == 0 || weight > MAX_LABEL_WEIGHT || label.contains(['.', '!', '?', ',', '。', '，', '、']) {
        return None;
    }
    Some((speaker(label), rest.trim_start_matches([':', '：', '*', '_', ']']).trim()))
}

/// Without the position in front that the transcript has.
fn without_position(line: &str) -> &str {
    let position = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match position {
        Some((number, rest)) if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) => {
            rest.trim_start()
        }
        _ => line,
    }
}

fn speaker(label: &str) -> Speaker {
    let named = words(label);
    let is_in = |names: &[&str]| names.iter().any(|name| words(name) == named);
    if is_in(AGENTS) || is_kind_of_agent(label, &named) {
        return Speaker::Agent;
    }
    if is_in(CUSTOMERS) { Speaker::Customer } else { Speaker::Other }
}

/// A name is written with capitals, a sentence that mentions an agent is not.
fn is_kind_of_agent(label: &str, named: &[String]) -> bool {
    let is_name = label.split_whitespace().all(|word| !word.starts_with(char::is_lowercase));
    is_name && named.last().is_some_and(|last| KINDS_OF_AGENTS.contains(&last.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_known_in_whatever_dress() {
        for (line, speaker) in [
            ("Agent: hi", Speaker::Agent),
            ("**Support Agent:** hi", Speaker::Agent),
            ("[2] customer: hi", Speaker::Customer),
            ("[Customer]: hi", Speaker::Customer),
            ("Conseillère : hi", Speaker::Agent),
            ("Agent (Sarah): hi", Speaker::Agent),
            ("担当者：hi", Speaker::Agent),
            ("**Airline Agent:** hi", Speaker::Agent),
            ("Klient: hi", Speaker::Other),
            ("I asked the agent: hi", Speaker::Other),
        ] {
            assert_eq!(labelled(line), Some((speaker, "hi")), "{line}");
        }
        assert_eq!(labelled("I told the agent yesterday that he should call: no"), None);
        assert_eq!(labelled("no label here"), None);
    }
}
