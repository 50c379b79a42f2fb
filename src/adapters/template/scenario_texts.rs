//! Texts of a scenario with its parameters in them: strict, where templates of targets are lenient.

use std::collections::BTreeSet;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

use super::error::cause_of;
use super::secret_references::SecretText;
use super::{Escape, JsonTemplate, NAME, Place, SECRETS, Template, read};
use crate::execution::ports::{TextProblem, TextTemplates, TextValues};

/// The variable that holds all parameters.
const PARAMETERS: &str = "params";
/// What a text has in it that is a template.
const OPENINGS: [&str; 3] = ["{{", "{%", "{#"];
/// What is wrong with a text whatever its values are, though only who renders it finds it.
const UNKNOWN: [ErrorKind; 3] =
    [ErrorKind::UnknownFilter, ErrorKind::UnknownTest, ErrorKind::UnknownFunction];

/// Fills parameters into the texts of scenarios.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScenarioTexts;

impl TextTemplates for ScenarioTexts {
    fn fill_in(&self, text: &str, values: TextValues<'_>) -> Result<String, TextProblem> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        let (environment, _) = readable(text, values)?;
        render(&environment, values).map_err(|error| unusable(&error))
    }

    fn check(&self, text: &str, values: TextValues<'_>) -> Result<(), TextProblem> {
        if !is_template(text) {
            return Ok(());
        }
        let (environment, read) = readable(text, values)?;
        match render(&environment, values) {
            Err(error) if read.is_empty() || UNKNOWN.contains(&error.kind()) => Err(unusable(&error)),
            _ => Ok(()),
        }
    }

    fn check_prompt(&self, text: &str) -> Result<(), String> {
        Template::compile(Place::SystemPrompt, text, Escape::Prose).map(drop).map_err(|error| error.cause())
    }

    fn check_result(&self, result: &serde_json::Value) -> Result<(), String> {
        JsonTemplate::compile("result", result).map(drop)
    }
}

fn is_template(text: &str) -> bool {
    OPENINGS.iter().any(|opening| text.contains(opening))
}

/// The template, and the names that it reads.
fn readable(
    text: &str,
    values: TextValues<'_>,
) -> Result<(Environment<'static>, BTreeSet<String>), TextProblem> {
    let fenced = SecretText::new(text);
    unless_empty(fenced.names().map(str::to_owned).collect(), TextProblem::Secret)?;
    let environment =
        read(text, Escape::Text, UndefinedBehavior::Strict).map_err(|error| unusable(&error))?;
    let names = names_read(&environment);
    check_reads(&names, values)?;
    Ok((environment, names))
}

fn render(environment: &Environment<'_>, values: TextValues<'_>) -> Result<String, minijinja::Error> {
    environment.get_template(NAME)?.render(context(values))
}

fn unusable(error: &minijinja::Error) -> TextProblem {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    TextProblem::Invalid(format!("{line}{}", cause_of(error)))
}

/// Whatever is read anywhere must be there, so that no text depends on which of its branches is taken.
fn check_reads(read: &BTreeSet<String>, values: TextValues<'_>) -> Result<(), TextProblem> {
    let is_secret = |name: &String| name == SECRETS || values.secrets.contains(&name.as_str());
    unless_empty(read.iter().filter(|name| is_secret(name)).cloned().collect(), TextProblem::Secret)?;
    let missing = read.iter().filter(|name| !values.plain.contains_key(name.as_str()));
    unless_empty(missing.cloned().collect(), TextProblem::Missing)
}

fn unless_empty(names: Vec<String>, problem: fn(Vec<String>) -> TextProblem) -> Result<(), TextProblem> {
    if names.is_empty() { Ok(()) } else { Err(problem(names)) }
}

/// Names of the parameters that the template reads, as `name` or as `params.name`.
fn names_read(environment: &Environment<'_>) -> BTreeSet<String> {
    let Ok(template) = environment.get_template(NAME) else { return BTreeSet::new() };
    let is_global = |name: &str| environment.globals().any(|(global, _)| global == name);
    let variables = template.undeclared_variables(true);
    let names = variables.iter().filter_map(|path| {
        let mut parts = path.split('.');
        match parts.next()? {
            PARAMETERS => parts.next(),
            name if is_global(name) => None,
            name => Some(name),
        }
    });
    names.map(str::to_owned).collect()
}

fn context(values: TextValues<'_>) -> Value {
    let all = (PARAMETERS, Value::from(Serde(values.plain)));
    let each = values.plain.iter().map(|(name, value)| (name.as_str(), Value::from(Serde(value))));
    Value::from_pairs(each.chain([all]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn fill_in(text: &str, plain: &serde_json::Value) -> Result<String, TextProblem> {
        let plain: Map<_, _> = plain.as_object().unwrap().clone();
        ScenarioTexts.fill_in(text, TextValues { plain: &plain, secrets: &["token"] })
    }

    fn filled(text: &str) -> Result<String, TextProblem> {
        fill_in(text, &json!({ "region": "\"eu\" & {{ x }}", "days": 30, "vip": true, "half": 0.5 }))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_parameter_is_read_by_its_name_or_from_all_of_them() {
        let text = "{{ region }}|{{ params.region }}|{{ params['days'] }}|{{ vip }}|{{ half }}\n";
        let region = "\"eu\" & {{ x }}";
        assert_eq!(filled(text).unwrap(), format!("{region}|{region}|30|true|0.5\n"));
        let choice = "{% if vip %}in {{ days * 1 if false else days }} days{% endif %}";
        assert!(matches!(filled(choice), Err(TextProblem::Invalid(_))), "the limits of templates apply");
        assert_eq!(filled("{% if vip %}in {{ days }} days{% endif %}").unwrap(), "in 30 days");
    }

    #[test]
    fn a_text_that_is_no_template_stays_as_it_is() {
        for text in ["", "a { b } % # \r\n", "JSON: {\"a\": {\"b\": 1}}"] {
            assert_eq!(filled(text).unwrap(), text);
        }
    }

    #[test]
    fn whatever_is_read_must_have_a_value_in_every_branch_and_behind_every_filter() {
        for text in [
            "{{ colour }}",
            "{{ params.colour }}",
            "{{ colour | default('red') }}",
            "{{ colour | raw }}",
            "{% if false %}{{ colour }}{% endif %}",
            "{% for c in colour %}{% endfor %}",
            "{{ region }}{{ colour.x }}",
        ] {
            assert_eq!(filled(text).unwrap_err(), TextProblem::Missing(names(&["colour"])), "{text}");
        }
        assert_eq!(filled("{{ b }}{{ a }}").unwrap_err(), TextProblem::Missing(names(&["a", "b"])));
    }

    #[test]
    fn what_cannot_be_seen_before_is_an_error_when_it_is_filled_in() {
        for text in [
            "{{ params['colour'] }}",
            "{{ params['colour'] | raw }}",
            "{{ params['colour'] | e }}",
            "{{ region.x }}",
        ] {
            assert!(matches!(filled(text), Err(TextProblem::Invalid(_))), "{text}: {:?}", filled(text));
        }
    }

    #[test]
    fn what_no_value_can_mend_is_found_without_values() {
        let plain: Map<_, _> = json!({ "region": null, "days": 3 }).as_object().unwrap().clone();
        let check = |text: &str| ScenarioTexts.check(text, TextValues { plain: &plain, secrets: &["token"] });
        for text in
            ["a {", "{{ region }}", "{{ region | upper }}", "{{ params['region'] }}", "{{ region.x }}"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        assert_eq!(check("{{ colour }}"), Err(TextProblem::Missing(names(&["colour"]))));
        assert_eq!(check("{{ token }}"), Err(TextProblem::Secret(names(&["token"]))));
        for text in ["{{ region", "{{ region | nope }}", "{{ nope() }}", "{% if days is nope %}{% endif %}"] {
            assert!(check(text).is_err(), "{text}");
        }
        assert!(check("{% for i in range(100000000) %}x{% endfor %}").is_err());
    }

    #[test]
    fn no_text_reads_a_secret() {
        for text in ["{{ token }}", "{{ params.token }}", "{{ secrets.token }}", "{% if token %}{% endif %}"]
        {
            assert_eq!(filled(text).unwrap_err(), TextProblem::Secret(names(&["token"])), "{text}");
        }
        assert!(matches!(filled("{{ secrets['token'] }}"), Err(TextProblem::Secret(_))));
    }

    #[test]
    fn a_broken_or_hostile_text_says_why_and_where() {
        let problem = |text: &str| filled(text).unwrap_err().to_string();
        assert!(problem("a\n{{ region").starts_with("line 2: syntax error"), "{}", problem("a\n{{ region"));
        assert!(problem("{{ region | nope }}").contains("unknown filter"));
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
        assert!(problem(endless).contains("too much work"), "{}", problem(endless));
        assert!(problem("{{ [1] * 90000000 }}").contains("`*`"));
    }
}
