//! Templates of definitions: values are escaped for the place that they land in, secrets are never template source.

mod error;
mod escape;
mod json_slots;
mod json_template;
mod limits;
mod literals;
mod scenario_texts;
mod secret_references;
mod transcript;
mod variables;

use minijinja::machinery::Tokenizer;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, State, UndefinedBehavior, Value};

use limits::CodeReader;

pub(crate) use error::{Place, TemplateError, UnknownSecret};
pub(crate) use escape::{Escape, url_component};
pub(crate) use json_template::{JsonTemplate, no_secrets};
pub use scenario_texts::ScenarioTexts;
pub(crate) use secret_references::{SecretText, secrets_named_in};
pub(crate) use variables::{BASE_NAMES, Variables, last_line, trace_context};

use crate::definitions::Secrets;

/// The one template of an environment.
const NAME: &str = "template";
/// The variable that templates may not read: secrets are put in behind the template's back.
const SECRETS: &str = "secrets";

/// A template that is known to be well-formed.
pub(crate) struct Template {
    place: Place,
    escape: Escape,
    secrets: SecretText,
    environment: Environment<'static>,
}

impl Template {
    /// Reads `source`. Its `{{ secrets.NAME }}` stay as they are until [`Template::resolve_secrets`].
    pub(crate) fn compile(place: Place, source: &str, escape: Escape) -> Result<Self, TemplateError> {
        let secrets = SecretText::new(source);
        let environment = read(secrets.fenced(), escape, UndefinedBehavior::Chainable)
            .map_err(|error| TemplateError::engine(&place, &error))?;
        let template = Self { place, escape, secrets, environment };
        if template.reads(SECRETS) {
            return Err(TemplateError::new(
                &template.place,
                "a secret can only be written as {{ secrets.NAME }}, without filters or conditions",
            ));
        }
        Ok(template)
    }

    /// Whether an expression or a tag reads `variable`; words around them do not count.
    pub(crate) fn reads(&self, variable: &str) -> bool {
        self.environment
            .get_template(NAME)
            .is_ok_and(|template| template.undeclared_variables(false).contains(variable))
    }

    /// Whether it renders to the same text whatever the run.
    pub(crate) fn is_constant(&self) -> bool {
        !self.names_secrets() && self.reads_nothing()
    }

    /// Whether it renders to the same text once its secrets have their values.
    pub(crate) fn reads_nothing(&self) -> bool {
        self.environment
            .get_template(NAME)
            .is_ok_and(|template| template.undeclared_variables(false).is_empty())
    }

    /// Whether secrets are put into it.
    pub(crate) fn names_secrets(&self) -> bool {
        !self.secrets.is_plain()
    }

    /// Makes `{{ secrets.NAME }}` stand for the secret's value.
    pub(crate) fn resolve_secrets(&mut self, secrets: &Secrets) -> Result<(), UnknownSecret> {
        self.secrets.resolve(secrets).map_err(|name| UnknownSecret { place: self.place.clone(), name })
    }

    /// Renders it.
    pub(crate) fn render(&self, variables: &Variables) -> Result<String, TemplateError> {
        let rendered = self
            .environment
            .get_template(NAME)
            .and_then(|template| template.render(variables.to_value()))
            .map_err(|error| TemplateError::engine(&self.place, &error))?;
        let marked = self.secrets.resolved_placeholders().fold(rendered, |text, placeholder| {
            text.replace(placeholder, &self.escape.stand_in(placeholder))
        });
        let settled = self.escape.settle(marked);
        if self.place.is_url() {
            return Ok(self.secrets.restore_url(&settled));
        }
        Ok(self.secrets.restore_as(settled, |value| self.escape.secret(value)))
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

/// An environment whose one template is `source`.
fn read(
    source: &str,
    escape: Escape,
    undefined: UndefinedBehavior,
) -> Result<Environment<'static>, minijinja::Error> {
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build()?;
    check_code(source, &syntax)?;
    let mut environment = environment(escape);
    environment.set_undefined_behavior(undefined);
    let source = if escape == Escape::Json { literals::marked(source, &syntax)? } else { source.to_owned() };
    environment.set_syntax(syntax);
    environment.add_template_owned(NAME, source)?;
    Ok(environment)
}

fn check_code(source: &str, syntax: &SyntaxConfig) -> Result<(), minijinja::Error> {
    let mut reader = CodeReader::default();
    let mut tokenizer = Tokenizer::new(source, NAME, false, syntax.clone());
    while let Some((token, _)) = tokenizer.next_token()? {
        reader.take(&token).map_err(|reason| minijinja::Error::new(ErrorKind::InvalidOperation, reason))?;
    }
    Ok(())
}

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::new();
    limits::apply(&mut environment);
    // A custom mode marks text that a block captured as escaped, so that it is not escaped once more.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom(NAME.into()));
    environment.set_formatter(move |out, _, value| Ok(out.write_str(&escape.write(value)?)?));
    for unescaped in ["raw", "safe"] {
        environment.add_filter(unescaped, move |state: &State<'_, '_>, value: Value| {
            escape.plain(&known(state, value)?).map(Value::from_safe_string)
        });
    }
    // Everything is escaped for its place already; the built-in ones would escape for HTML.
    for nothing_to_do in ["escape", "e"] {
        environment.add_filter(nothing_to_do, |state: &State<'_, '_>, value: Value| known(state, value));
    }
    environment.add_filter(literals::FILTER, move |value: Value| escape.literal(&value));
    environment.add_filter("tojson", move |state: &State<'_, '_>, value: Value| {
        escape.as_json(&known(state, value)?)
    });
    environment
}

/// The value, unless there is none where there must be one.
fn known(state: &State<'_, '_>, value: Value) -> Result<Value, minijinja::Error> {
    let strict = matches!(state.undefined_behavior(), UndefinedBehavior::Strict);
    if strict && value.is_undefined() { Err(ErrorKind::UndefinedError.into()) } else { Ok(value) }
}

#[cfg(test)]
mod shapes;
#[cfg(test)]
mod tests;
