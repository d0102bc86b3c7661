//! What says how much is logged, checked more strictly than the filter does itself: there, `warm` is no
//! misspelt level but a target whose every line is wanted.

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// What holds without a directive.
pub(crate) const LEVEL_DEFAULT: &str = "info";
/// Longest directive in bytes; each part of it costs every place that logs.
const LEN_MAX: usize = 1024;
/// Where operators' orders are written to. They are wanted whatever the level is, unless a directive says
/// otherwise by name.
const AUDIT: &str = "greenroom::audit";
/// What is allowed, for whoever got it wrong.
const ALLOWED: &str = "a level (off, error, warn, info, debug or trace) or target=level, several \
                       separated by commas, at most 1024 bytes";

/// A directive that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log's directive must be {ALLOWED}, got {got:?}: {problem}")]
pub struct BadDirective {
    got: String,
    problem: String,
}

impl BadDirective {
    fn new(got: &str, problem: String) -> Self {
        // Whoever sends a book gets its beginning back.
        Self { got: got.chars().take(LEN_MAX).collect(), problem }
    }

    /// The sentence that names the variable.
    pub(super) fn of_variable(&self) -> String {
        let Self { got, problem } = self;
        format!("GREENROOM_LOG must be {ALLOWED}, got {got:?}: {problem}")
    }
}

/// The sentence of the refusal, if this is no directive.
pub(crate) fn check(text: &str) -> Result<(), String> {
    parse(text).map(|_| ()).map_err(|error| error.of_variable())
}

/// The filter that a directive asks for.
pub(crate) fn parse(text: &str) -> Result<EnvFilter, BadDirective> {
    let bad = |problem: String| BadDirective::new(text, problem);
    if text.len() > LEN_MAX {
        return Err(bad(format!("it has {} bytes", text.len())));
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    for part in &parts {
        check_part(part).map_err(&bad)?;
    }
    let mut directive = parts.join(",");
    if !parts.iter().any(|part| part.starts_with(AUDIT)) {
        directive.push_str(&format!(",{AUDIT}=info"));
    }
    EnvFilter::builder().parse(directive).map_err(|error| bad(error.to_string()))
}

fn check_part(part: &str) -> Result<(), String> {
    match part.rsplit_once('=') {
        None if is_level(part) => Ok(()),
        None if part.is_empty() => Err("a part of it is empty".to_owned()),
        None => Err(format!("{part:?} is no level, and a target needs one: {part}=debug")),
        Some(("", _)) => Err(format!("{part:?} names no target")),
        Some((_, level)) if is_level(level) => Ok(()),
        Some((_, level)) => Err(format!("{level:?} is no level")),
    }
}

fn is_level(text: &str) -> bool {
    // Nothing at all would be the level `error`.
    !text.is_empty() && text.parse::<LevelFilter>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_levels_of_targets_are_directives() {
        for good in [
            "off",
            "INFO",
            "warn,greenroom=debug",
            "info, greenroom::turns=debug",
            "error,greenroom_cluster::driver=trace,[turn]=off",
            "info,[turn{actor=bank.account}]=debug",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_is_no_level_is_refused_and_not_taken_for_a_target() {
        for (bad, problem) in [
            ("", "a part of it is empty"),
            ("info,", "a part of it is empty"),
            ("warm", "\"warm\" is no level, and a target needs one: warm=debug"),
            ("greenroom", "a target needs one"),
            ("greenroom=", "\"\" is no level"),
            ("greenroom=loud", "\"loud\" is no level"),
            ("=info", "names no target"),
            ("[turn{actor=bank}]", "is no level"),
        ] {
            let complaint = check(bad).unwrap_err();
            let start = format!("GREENROOM_LOG must be {ALLOWED}, got {bad:?}: ");
            assert!(complaint.starts_with(&start), "{complaint}");
            assert!(complaint.contains(problem), "{complaint}");
        }
        assert!(parse(&"info,".repeat(1000)).unwrap_err().to_string().contains("has 5000 bytes"));
    }

    #[test]
    fn orders_are_logged_unless_the_directive_names_them() {
        assert!(parse("off").unwrap().to_string().contains("greenroom::audit=info"));
        let named = parse("info,greenroom::audit=off").unwrap().to_string();
        assert!(!named.contains("greenroom::audit=info"), "{named}");
    }
}
