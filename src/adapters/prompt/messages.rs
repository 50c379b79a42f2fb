//! What a prompt's model is told in one turn.

use super::inputs::Bound;
use crate::adapters::template::{Escape, Place, Template, TemplateError};
use crate::definitions::{Prompt, PromptRole};
use crate::execution::types::{ChatMessage, ChatRole};

/// A prompt's texts, read.
pub(super) struct PromptTemplates {
    system: Template,
    own: Vec<(ChatRole, Template)>,
}

impl PromptTemplates {
    /// Reads the prompt's texts.
    pub(super) fn compile(prompt: &Prompt) -> Result<Self, TemplateError> {
        let own = prompt.messages.iter().enumerate().map(|(index, message)| {
            let place = Place::PromptMessage(index);
            Ok((chat_role(message.role), Template::compile(place, &message.content, Escape::Prose)?))
        });
        Ok(Self {
            system: Template::compile(Place::SystemPrompt, &prompt.system_prompt, Escape::Prose)?,
            own: own.collect::<Result<_, _>>()?,
        })
    }

    /// The instructions, then the prompt's own messages.
    pub(super) fn messages(&self, bound: &Bound) -> Result<Vec<ChatMessage>, TemplateError> {
        let mut messages = Vec::new();
        let system = self.system.render(&bound.variables)?;
        if !system.trim().is_empty() {
            messages.push(ChatMessage::new(ChatRole::System, system));
        }
        for (role, template) in &self.own {
            messages.push(ChatMessage::new(*role, template.render(&bound.variables)?));
        }
        Ok(messages)
    }

    /// Whether a template tells what was said, so that nobody else has to.
    pub(super) fn tell_conversation(&self, bound: &Bound) -> bool {
        self.tells(&bound.conversation)
    }

    /// Whether a template reads one of `names`.
    fn tells(&self, names: &[String]) -> bool {
        let mut templates = self.own.iter().map(|(_, template)| template).chain([&self.system]);
        templates.any(|template| names.iter().any(|name| template.reads(name)))
    }
}

fn chat_role(role: PromptRole) -> ChatRole {
    match role {
        PromptRole::System => ChatRole::System,
        PromptRole::User => ChatRole::User,
        PromptRole::Assistant => ChatRole::Assistant,
    }
}
