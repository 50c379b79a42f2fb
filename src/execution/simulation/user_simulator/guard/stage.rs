//! Stage directions: what the customer does instead of what the customer says, between asterisks or in brackets.

use super::words::words;

/// What people are said to do or to be in stage directions, and what they are about. A word that ends with `*` stands for all that
/// begin with it.
const STAGE_WORDS: &[&str] = &[
    "sigh*",
    "pause*",
    "pausing",
    "wait*",
    "laugh*",
    "chuckle*",
    "smile*",
    "smiling",
    "frown*",
    "nod*",
    "shrug*",
    "types",
    "typing",
    "hangs",
    "silence",
    "silent",
    "frustrated",
    "frustratedly",
    "angry",
    "angrily",
    "annoyed",
    "impatient",
    "impatiently",
    "confused",
    "relieved",
    "worried",
    "nervous*",
    "sarcastic*",
    "checks",
    "checking",
    "looks",
    "looking",
    "reads",
    "attaches",
    "sends",
    "uploads",
    "thinking",
    "thinks",
    "hesitates",
    "grumbles",
    "groans",
    "rolls",
    "scoffs",
    "exhales",
    "conversation",
    "customer",
    "agent",
    "chat",
    "seufz*",
    "wartet",
    "wartend",
    "lacht",
    "lachend",
    "schweig*",
    "tippt",
    "nickt",
    "verargert",
    "genervt",
    "wutend",
    "frustriert",
    "erleichtert",
    "zogert",
    "gesprach",
    "kunde",
    "soupir*",
    "attend",
    "attendant",
    "rit",
    "silencieux",
    "enerve",
    "enervee",
    "agace",
    "agacee",
    "frustre",
    "soulage",
    "hesite",
    "conversation",
    "client",
    "suspir*",
    "espera",
    "esperando",
    "rie",
    "silencio",
    "enfadado",
    "enfadada",
    "enojado",
    "molesto",
    "frustrado",
    "frustrada",
    "aliviado",
    "cliente",
    "conversacion",
    "sospir*",
    "aspetta",
    "attende",
    "ride",
    "silenzio",
    "arrabbiato",
    "arrabbiata",
    "infastidito",
    "seccato",
    "frustrato",
    "sollevato",
    "conversazione",
    "aguarda",
    "aguardando",
    "rindo",
    "ri",
    "irritado",
    "irritada",
    "bravo",
    "conversa",
    "zucht*",
    "wacht",
    "wachtend",
    "lacht",
    "boos",
    "geirriteerd",
    "gefrustreerd",
    "opgelucht",
    "gesprek",
    "klant",
];
/// The same in scripts without spaces, wherever it stands between the brackets.
const STAGE_CHARACTERS: &[&str] = &[
    "ため息",
    "溜息",
    "待",
    "沈黙",
    "無言",
    "怒",
    "困惑",
    "笑",
    "苛立",
    "イライラ",
    "うなず",
    "頷",
    "考え",
    "会話",
    "叹气",
    "叹了",
    "沉默",
    "等",
    "愤怒",
    "生气",
    "无奈",
    "点头",
    "皱眉",
    "思考",
    "对话",
    "結束",
    "结束",
];
/// Words that end like what people do in English, and are something else.
const NO_DEEDS: &[&str] = &[
    "this",
    "always",
    "yours",
    "ours",
    "hers",
    "theirs",
    "besides",
    "perhaps",
    "sometimes",
    "thanks",
    "yes",
];
/// What people type themselves beside what they say, as they would "lol"; in stage directions these end with an `s`.
const TYPED: &[&str] = &["sigh", "cough", "gulp", "gasp", "shrug", "facepalm", "grumble", "groan"];
/// The fewest letters of an English word for what somebody does.
const MIN_DEED_LETTERS: usize = 4;

/// Words between marks, and where they stand.
struct Aside<'a> {
    open: char,
    words: Vec<String>,
    text: &'a str,
    /// Nothing is in front of it.
    leads: bool,
    /// Nothing is behind it.
    ends: bool,
}

/// Whether some part of `text` describes instead of speaking.
pub(super) fn has_direction(text: &str) -> bool {
    text.lines().any(|line| asides(line.trim()).iter().any(Aside::is_direction))
}

impl Aside<'_> {
    fn is_direction(&self) -> bool {
        if self.words.is_empty() || (self.is_typed() && !self.alone()) {
            return false;
        }
        let has_digits = self.text.contains(|c: char| c.is_ascii_digit());
        let at_edge = self.leads || self.ends;
        match self.open {
            '*' => self.alone() || self.is_told() || (at_edge && self.has_stage_word()),
            '(' | '（' => (self.alone() && !has_digits) || (at_edge && self.has_stage_word()),
            _ => self.alone() || (at_edge && self.has_stage_word()),
        }
    }

    fn is_typed(&self) -> bool {
        matches!(self.words.as_slice(), [word] if TYPED.contains(&word.as_str()))
    }

    fn alone(&self) -> bool {
        self.leads && self.ends
    }

    /// Emphasis is a word or two; several words that say what somebody does are not.
    fn is_told(&self) -> bool {
        let [first, _, ..] = self.words.as_slice() else { return false };
        let is_deed = first.ends_with('s') && !first.ends_with("ss") && first.len() >= MIN_DEED_LETTERS;
        let is_lower = self.text.starts_with(char::is_lowercase);
        is_lower
            && ((is_deed && !NO_DEEDS.contains(&first.as_str())) || (self.leads && self.has_stage_word()))
    }

    fn has_stage_word(&self) -> bool {
        let is = |word: &str, stage: &str| match stage.strip_suffix('*') {
            Some(stem) => word.starts_with(stem),
            None => word == stage,
        };
        self.words.iter().any(|word| STAGE_WORDS.iter().any(|stage| is(word, stage)))
            || STAGE_CHARACTERS.iter().any(|stage| self.text.contains(stage))
    }
}

fn asides(line: &str) -> Vec<Aside<'_>> {
    let (mut asides, mut at) = (Vec::new(), 0);
    while let Some((start, open, close)) = next_open(line, at) {
        let inside = start + open.len_utf8();
        let Some(length) = line[inside..].find(close) else {
            at = inside;
            continue;
        };
        let (text, behind) = (&line[inside..inside + length], inside + length + close.len_utf8());
        at = behind;
        let is_bold = open == '*' && (text.is_empty() || line[behind..].starts_with('*'));
        if !is_bold {
            let silent = |rest: &str| words(rest).is_empty();
            let (leads, ends) = (silent(&line[..start]), silent(&line[behind..]));
            asides.push(Aside { open, words: words(text), text, leads, ends });
        } else if text.is_empty() {
            at = line[behind..].find("**").map_or(line.len(), |end| behind + end + 2);
        }
    }
    asides
}

fn next_open(line: &str, from: usize) -> Option<(usize, char, char)> {
    line[from..].char_indices().find_map(|(at, c)| {
        let close = match c {
            '*' => '*',
            '(' => ')',
            '（' => '）',
            '[' => ']',
            '【' => '】',
            _ => return None,
        };
        Some((from + at, c, close))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_does_is_a_stage_direction() {
        for line in [
            "*sighs* ok",
            "*Pauses for a moment* fine",
            "hang on *turns it over and reads* 55",
            "[angrily] no",
            "(waits)",
            "ok, bye [end of conversation]",
            "（沉默）",
            "(seufzt) Na gut",
        ] {
            assert!(has_direction(line), "{line}");
        }
    }

    #[test]
    fn emphasis_lists_and_remarks_are_speech() {
        for line in [
            "I *really* need it",
            "**two** tickets, *not* one",
            "* one\n* two",
            "that is *not my fault* at all",
            "it blinks (orange)",
            "(order 4711)",
            "two adults, one child (she's 4)",
            "2 * 3 * 4 is 24",
            "see photo.jpg [1] and [2]",
        ] {
            assert!(!has_direction(line), "{line}");
        }
    }
}
