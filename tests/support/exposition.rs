//! Prometheus' text format (0.0.4), read as strictly as its documentation has it, with the rules of `promtool check metrics`.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of a sample, in the order of their names.
pub(crate) type Labels = BTreeMap<String, String>;

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// Everything under one `# TYPE`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

/// Families by name.
pub(crate) type Exposition = BTreeMap<String, Family>;

/// Reads `text`.
pub(crate) fn parse(text: &str) -> Result<Exposition, String> {
    let mut reader = Reader::default();
    let body = text.strip_suffix('\n').ok_or("the last line does not end")?;
    for line in body.split('\n') {
        reader.line(line).map_err(|why| format!("{why}: {line:?}"))?;
    }
    reader.families.iter().try_for_each(|(name, family)| check(name, family))?;
    Ok(reader.families)
}

#[derive(Default)]
struct Reader {
    families: Exposition,
    /// The family that samples belong to at this line.
    current: Option<String>,
    seen: BTreeSet<(String, Labels)>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(help) = line.strip_prefix("# HELP ") {
            return self.help(help);
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            return self.kind(kind);
        }
        if line.starts_with('#') || line.trim() != line || line.is_empty() {
            return Err("neither a comment that is known nor a sample".into());
        }
        self.sample(line)
    }

    fn help(&mut self, rest: &str) -> Result<(), String> {
        let (name, help) = rest.split_once(' ').ok_or("no help")?;
        if help.is_empty() || unescaped(help, "\\n").is_none() {
            return Err("the help is empty or badly escaped".into());
        }
        let family = Family { help: help.to_owned(), ..Family::default() };
        let before = self.families.insert(name.to_owned(), family);
        self.current = Some(name.to_owned());
        if before.is_some() { Err("a second help, or a family in two places".into()) } else { Ok(()) }
    }

    fn kind(&mut self, rest: &str) -> Result<(), String> {
        let (name, kind) = rest.split_once(' ').ok_or("no type")?;
        let family = self.families.get_mut(name).filter(|_| self.current.as_deref() == Some(name));
        let family = family.ok_or("a type without the help of its family before it")?;
        if !family.kind.is_empty() || !["counter", "gauge", "histogram"].contains(&kind) {
            return Err("a second or unknown type".into());
        }
        kind.clone_into(&mut family.kind);
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let sample = sample(line)?;
        let current = self.current.clone().ok_or("a sample before every family")?;
        let family = self.families.get_mut(&current).ok_or("a sample of no family")?;
        if family.kind.is_empty() || !belongs(&sample.name, &current, &family.kind) {
            return Err(format!("a sample that is none of {current}'s"));
        }
        if !self.seen.insert((sample.name.clone(), sample.labels.clone())) {
            return Err("the same sample twice".into());
        }
        family.samples.push(sample);
        Ok(())
    }
}

fn belongs(sample: &str, family: &str, kind: &str) -> bool {
    match kind {
        "histogram" => {
            ["_bucket", "_sum", "_count"].iter().any(|end| sample.strip_suffix(end) == Some(family))
        }
        _ => sample == family,
    }
}

/// `name{label="value",…} value`, without a timestamp: values are of now.
fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    let value = value.strip_prefix(' ').ok_or("no single space before the value")?;
    let value: f64 = match value {
        "+Inf" => f64::INFINITY,
        _ => value.parse().map_err(|_| "no number")?,
    };
    if !is_name(name, true) || value.is_nan() {
        return Err("a bad name or no number".into());
    }
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// The labels, and what comes behind their brace.
fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    loop {
        let (name, behind) = rest.split_once("=\"").ok_or("a label without a value")?;
        let end = closing_quote(behind).ok_or("a label's value does not end")?;
        let value = unescaped(&behind[..end], "\\n\"").ok_or("a label's value is badly escaped")?;
        if !is_name(name, false) || name.starts_with("__") || labels.insert(name.to_owned(), value).is_some()
        {
            return Err(format!("the label {name} is badly named or there twice"));
        }
        rest = &behind[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok((labels, rest.strip_prefix('}').ok_or("labels do not end")?)),
        }
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let closes = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        closes.then_some(at)
    })
}

/// What is meant by `text`, in which only `known` letters stand behind a backslash.
fn unescaped(text: &str, known: &str) -> Option<String> {
    let mut letters = text.chars();
    let mut meant = String::new();
    while let Some(letter) = letters.next() {
        meant.push(match letter {
            '\\' => match letters.next().filter(|next| known.contains(*next))? {
                'n' => '\n',
                same => same,
            },
            plain => plain,
        });
    }
    Some(meant)
}

fn is_name(name: &str, colons: bool) -> bool {
    let first = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || (colons && letter == ':');
    name.starts_with(first) && name.chars().all(|letter| first(letter) || letter.is_ascii_digit())
}

/// What `promtool check metrics` complains about, and what a family of its type has to have.
fn check(name: &str, family: &Family) -> Result<(), String> {
    let Family { kind, samples, .. } = family;
    let parts: Vec<&str> = name.split('_').collect();
    let kinds = ["counter", "gauge", "histogram", "summary", "metric"];
    let abbreviations = ["s", "ms", "us", "ns", "sec", "secs", "b", "kb", "mb", "min", "h"];
    let other_units =
        ["milliseconds", "microseconds", "minutes", "hours", "kilobytes", "megabytes", "percent"];
    let is_bad = |part: &&str| {
        kinds.contains(part) || abbreviations.contains(part) || other_units.contains(part) || part.is_empty()
    };
    if name != name.to_ascii_lowercase() || parts.iter().any(is_bad) {
        return Err(format!(
            "{name} names its type, an abbreviated or another than a base unit, or is no snake case"
        ));
    }
    let reserved = ["total", "sum", "count", "bucket"];
    let ends = parts.last().copied().filter(|end| reserved.contains(end));
    if ends != (kind == "counter").then_some("total") {
        return Err(format!("{name} is a {kind} and ends in {ends:?}"));
    }
    match kind.as_str() {
        "counter" if samples.iter().any(|sample| sample.value < 0.0) => Err(format!("{name} is negative")),
        "histogram" => check_histogram(name, samples),
        _ => Ok(()),
    }
}

/// The buckets, the sum and the count of one set of labels.
#[derive(Default)]
struct Series {
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

fn check_histogram(name: &str, samples: &[Sample]) -> Result<(), String> {
    let mut all = BTreeMap::<Labels, Series>::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        let series = all.entry(labels).or_default();
        match (sample.name.strip_prefix(name), bound) {
            (Some("_bucket"), Some(bound)) => series.buckets.push((upper(&bound)?, sample.value)),
            (Some("_sum"), None) => series.sum = Some(sample.value),
            (Some("_count"), None) => series.count = Some(sample.value),
            _ => return Err(format!("{} has a bound or lacks one", sample.name)),
        }
    }
    all.values().try_for_each(|series| check_series(name, series))
}

fn check_series(name: &str, Series { buckets, sum, count }: &Series) -> Result<(), String> {
    let grows = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
    if !buckets.windows(2).all(grows) {
        return Err(format!("bounds or counts of {name} do not grow: {buckets:?}"));
    }
    let last = buckets.last().filter(|(bound, _)| bound.is_infinite()).map(|(_, count)| *count);
    if last.is_none() || last != *count || sum.is_none() {
        return Err(format!("{name} lacks +Inf, its sum or its count, or they differ"));
    }
    Ok(())
}

fn upper(bound: &str) -> Result<f64, String> {
    if bound == "+Inf" { Ok(f64::INFINITY) } else { bound.parse().map_err(|_| format!("the bound {bound}")) }
}
