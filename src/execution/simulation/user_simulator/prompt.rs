//! What the model that plays the customer is told.

use super::{Refusal, conversation};
use crate::definitions::CustomerForm;
use crate::events::MessageRole;
use crate::execution::simulation::transcript;
use crate::execution::types::{ChatMessage, ChatRole, Message};

/// The field that holds the customer's line in the model's answer.
pub(super) const LINE_FIELD: &str = "message";

/// The messages that ask for the customer's next line, in `form`; `refusal` is what became of the last answer.
pub(super) fn messages(
    form: CustomerForm,
    situation: &str,
    said: &[Message],
    refusal: Option<&Refusal>,
) -> Vec<ChatMessage> {
    let part = part(situation, said);
    let correction = refusal.map(correction).unwrap_or_default();
    match form {
        CustomerForm::Transcript => vec![
            ChatMessage::new(ChatRole::System, format!("{part}{}", json_answer())),
            ChatMessage::new(ChatRole::User, format!("{}{correction}", assignment(said))),
        ],
        CustomerForm::RoleReversal => {
            let system = ChatMessage::new(ChatRole::System, format!("{part}{PLAIN_ANSWER}{correction}"));
            let mut messages = vec![system];
            messages.extend(conversation::reversed(said));
            messages
        }
    }
}

/// How the answer is to look where the model speaks as the customer.
const PLAIN_ANSWER: &str = "Each message that you get is the agent's. Answer with the customer's next message and nothing \
                            else: no name in front, no quotation marks, no notes.";

fn json_answer() -> String {
    format!(
        "Answer with one JSON object and nothing else: {{\"{LINE_FIELD}\": \"<the customer's next message>\"}}"
    )
}

fn part(situation: &str, said: &[Message]) -> String {
    let opening = if agent_opened(said) {
        "The agent has written first: react to that, and keep to what the situation says you want.\n"
    } else {
        ""
    };
    format!(
        "You play one customer who writes with an agent. You are never the agent: you do not offer help, do not \
         answer your own question and do not describe what happens.\n\
         Stay with this situation, and reveal it the way a person would, bit by bit:\n\
         <situation>\n{situation}\n</situation>\n{opening}\
         Write in the language of the situation, briefly and plainly, as people type. React to what the agent said \
         last, without repeating it or yourself. When you have what you came for, say so.\n"
    )
}

/// Whether the customer is the one who was written to.
fn agent_opened(said: &[Message]) -> bool {
    said.first().is_some_and(|message| message.role == MessageRole::Assistant)
}

fn assignment(said: &[Message]) -> String {
    if said.is_empty() {
        return "The conversation has not begun. Write the customer's first message.".to_owned();
    }
    let is_first = said.iter().all(|message| message.role != MessageRole::User);
    format!(
        "The conversation so far:\n<transcript>\n{}</transcript>\nWrite the customer's {} message.",
        transcript::render(said),
        if is_first { "first" } else { "next" }
    )
}

/// Stands behind the instructions instead of being a message of its own: providers want roles to take turns.
fn correction(refusal: &Refusal) -> String {
    format!(
        "\n\nYou were asked before, and your answer was refused: {refusal}\n\
         Write only what the customer says next, in the customer's own words."
    )
}

#[cfg(test)]
mod tests {
    use super::super::conversation::tests::said;
    use super::super::guard::Fault;
    use super::*;

    fn contents(messages: &[ChatMessage]) -> Vec<(ChatRole, &str)> {
        messages.iter().map(|message| (message.role, message.content.as_str())).collect()
    }

    #[test]
    fn the_transcript_form_is_the_instructions_and_the_transcript() {
        let said = [said(MessageRole::User, "my mug broke"), said(MessageRole::Assistant, "I am sorry")];
        let messages = messages(CustomerForm::Transcript, "A mug broke.", &said, None);
        let system = "You play one customer who writes with an agent. You are never the agent: you do not offer help, do \
            not answer your own question and do not describe what happens.\n\
            Stay with this situation, and reveal it the way a person would, bit by bit:\n\
            <situation>\nA mug broke.\n</situation>\n\
            Write in the language of the situation, briefly and plainly, as people type. React to what the agent said \
            last, without repeating it or yourself. When you have what you came for, say so.\n\
            Answer with one JSON object and nothing else: {\"message\": \"<the customer's next message>\"}";
        let user = "The conversation so far:\n<transcript>\n\
            [0] customer: \"my mug broke\"\n[1] agent: \"I am sorry\"\n\
            </transcript>\nWrite the customer's next message.";
        assert_eq!(contents(&messages), [(ChatRole::System, system), (ChatRole::User, user)]);
    }

    #[test]
    fn the_transcript_form_says_so_when_nothing_was_said_yet() {
        let messages = messages(CustomerForm::Transcript, "A mug broke.", &[], None);
        assert_eq!(
            messages[1].content,
            "The conversation has not begun. Write the customer's first message."
        );
    }

    #[test]
    fn role_reversal_is_a_conversation_in_which_the_model_is_the_customer() {
        let said = [said(MessageRole::User, "my mug broke"), said(MessageRole::Assistant, "I am sorry")];
        let messages = messages(CustomerForm::RoleReversal, "A mug broke.", &said, None);
        assert_eq!(
            contents(&messages)[1..],
            [
                (ChatRole::User, "Hello."),
                (ChatRole::Assistant, "my mug broke"),
                (ChatRole::User, "I am sorry")
            ]
        );
        let system = &messages[0].content;
        assert!(system.contains("<situation>\nA mug broke.\n</situation>"), "{system}");
        assert!(system.ends_with(PLAIN_ANSWER), "{system}");
        assert!(!system.contains("JSON"), "{system}");
    }

    #[test]
    fn a_customer_who_was_written_to_is_told_so_in_both_forms() {
        let said = [said(MessageRole::Assistant, "Hello, this is your energy supplier.")];
        for form in [CustomerForm::Transcript, CustomerForm::RoleReversal] {
            let messages = messages(form, "A contract ends.", &said, None);
            let system = &messages[0].content;
            assert!(system.contains("</situation>\nThe agent has written first: react to that"), "{system}");
            assert!(messages.last().unwrap().content.contains("Hello, this is your energy supplier."));
        }
        let asked = messages(CustomerForm::Transcript, "A contract ends.", &said, None);
        assert!(asked[1].content.ends_with("Write the customer's first message."), "{}", asked[1].content);
    }

    #[test]
    fn whoever_is_asked_again_is_told_what_was_wrong_and_roles_still_take_turns() {
        let said = [said(MessageRole::User, "my mug broke"), said(MessageRole::Assistant, "I am sorry")];
        let refusal = Refusal { fault: Fault::RoleInversion, quoted: "How can I help you?".into() };
        for (form, told) in [(CustomerForm::Transcript, 1), (CustomerForm::RoleReversal, 0)] {
            let first = messages(form, "A mug broke.", &said, None);
            let again = messages(form, "A mug broke.", &said, Some(&refusal));
            let roles = |messages: &[ChatMessage]| messages.iter().map(|m| m.role).collect::<Vec<_>>();
            assert_eq!(roles(&first), roles(&again));
            let more = again[told].content.strip_prefix(&first[told].content).unwrap();
            assert_eq!(
                more.trim_start().lines().next().unwrap(),
                "You were asked before, and your answer was refused: an answer that speaks as the agent: “How can I help you?”"
            );
        }
    }
}
