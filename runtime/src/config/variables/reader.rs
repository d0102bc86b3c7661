//! Reads single values, and gathers what is wrong with them.

use std::collections::BTreeSet;
use std::time::Duration;

use bytesize::ByteSize;
use greenroom_core::Labels;
use greenroom_core::planner::Strategy;

use crate::config::{Config, ConfigError, Token};
use crate::gateway::Rate;
use crate::logging::{LEVEL_DEFAULT, LogFormat, LogOptions};

/// Reads values and gathers all complaints, so that an operator mends them in one go.
#[derive(Default)]
pub(super) struct Reader {
    /// Values that can't be used.
    complaints: Vec<String>,
    /// Values that don't go together.
    contradictions: Vec<String>,
    /// Secrets that came from files.
    from_files: Vec<&'static str>,
}

impl Reader {
    pub(super) fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    pub(super) fn contradiction(&mut self, complaint: &str) {
        self.contradictions.push(complaint.to_owned());
    }

    /// Leaves one of each variable: an environment may hold a name twice, and so may a list.
    pub(super) fn once_each(&mut self, variables: &mut Vec<(String, String)>) {
        let mut names = BTreeSet::new();
        variables.retain(|(name, _)| {
            let is_first = names.insert(name.clone());
            if !is_first {
                self.complain(format!("{name} is set twice"));
            }
            is_first
        });
    }

    /// Puts what the files of secrets hold in the place of their names, `GREENROOM_X_FILE` becoming
    /// `GREENROOM_X`. Blanks around a secret, such as the end of the line, don't belong to it.
    pub(super) fn secrets_of_files(&mut self, variables: &mut Vec<(String, String)>) {
        for setting in greenroom_settings::ALL {
            let Some(file_name) = setting.file_name() else { continue };
            let Some(index) = variables.iter().position(|(name, _)| *name == file_name) else {
                continue;
            };
            let (_, file) = variables.swap_remove(index);
            let name = setting.name;
            if variables.iter().any(|(other, _)| other == name) {
                self.contradiction(&format!("{name} and {file_name} are both set: one must do"));
                continue;
            }
            match std::fs::read_to_string(&file) {
                Ok(secret) => {
                    self.from_files.push(name);
                    variables.push((name.to_owned(), secret.trim().to_owned()));
                }
                Err(error) => self.complain(format!("{file_name}: can't read {file:?}: {error}")),
            }
        }
    }

    pub(super) fn number<N: std::str::FromStr>(
        &mut self,
        name: &str,
        text: Option<String>,
        default: N,
    ) -> N {
        let Some(text) = text else { return default };
        text.trim().parse().unwrap_or_else(|_| {
            self.complain(format!("GREENROOM_{name} must be a whole number, got {text:?}"));
            default
        })
    }

    pub(super) fn span(&mut self, name: &str, text: Option<String>, default: Duration) -> Duration {
        let Some(text) = text else { return default };
        humantime::parse_duration(text.trim()).unwrap_or_else(|_| {
            let allowed = "must be a time span such as 500ms, 5s or 2m";
            self.complain(format!("GREENROOM_{name} {allowed}, got {text:?}"));
            default
        })
    }

    /// A number of bytes, or `None` for `off`.
    pub(super) fn size_or_off(&mut self, name: &str, text: Option<&str>) -> Option<u64> {
        let text = text.filter(|text| !text.trim().eq_ignore_ascii_case("off"));
        self.bytes(name, text, "must be a number of bytes such as 512MiB or 4GB, or off")
    }

    /// A number of bytes; `None` if there is none.
    pub(super) fn size(&mut self, name: &str, text: Option<&str>) -> Option<u64> {
        self.bytes(name, text, "must be a number of bytes such as 65536, 64KiB or 4MB")
    }

    fn bytes(&mut self, name: &str, text: Option<&str>, allowed: &str) -> Option<u64> {
        let text = text?.trim();
        match text.parse::<ByteSize>() {
            Ok(size) => Some(size.as_u64()),
            Err(_) => {
                self.complain(format!("GREENROOM_{name} {allowed}, got {text:?}"));
                None
            }
        }
    }

    pub(super) fn switch(&mut self, name: &str, text: Option<&str>, default: bool) -> bool {
        match text.map(str::trim) {
            None => default,
            Some("on") => true,
            Some("off") => false,
            Some(other) => {
                self.complain(format!("GREENROOM_{name} must be on or off, got {other:?}"));
                default
            }
        }
    }

    pub(super) fn strategy(&mut self, name: &str, text: Option<&str>) -> Strategy {
        match text.map(str::trim) {
            None | Some("count") => Strategy::Count,
            Some("load") => Strategy::Load,
            Some(other) => {
                self.complain(format!("GREENROOM_{name} must be count or load, got {other:?}"));
                Strategy::Count
            }
        }
    }

    /// A rate such as `100/s`, with how many may come at a time; those of one second unless told.
    pub(super) fn rate(
        &mut self,
        name: &str,
        text: Option<String>,
        burst: Option<String>,
    ) -> Option<Rate> {
        let burst_name = name.replace("RATE", "BURST");
        let text = text.filter(|text| text.trim() != "off");
        let Some(text) = text else {
            if burst.is_some() {
                self.complain(format!(
                    "GREENROOM_{burst_name} says nothing while GREENROOM_{name} is off"
                ));
            }
            return None;
        };
        let Some(mut rate) = Rate::parse(text.trim()) else {
            self.complain(format!(
                "GREENROOM_{name} must be off or calls in a span of time, such as 100/s, 30/m or \
                 1000/h, got {text:?}"
            ));
            return None;
        };
        rate.burst = self.number(&burst_name, burst, rate.burst);
        Some(rate)
    }

    pub(super) fn labels(&mut self, name: &str, text: Option<String>) -> Labels {
        let mut labels = Labels::new();
        let text = text.unwrap_or_default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((label, value)) if !label.trim().is_empty() => {
                    labels.insert(label.trim().to_owned(), value.trim().to_owned());
                }
                _ => self.complain(format!(
                    "GREENROOM_{name} must be label=value, several separated by commas, got {pair:?}"
                )),
            }
        }
        labels
    }

    /// A directive that is none is complained about with the ranges.
    pub(super) fn log(&mut self, directive: Option<&str>, format: Option<&str>) -> LogOptions {
        let format = format.map(LogFormat::parse).unwrap_or(Ok(LogFormat::default()));
        let format = format.unwrap_or_else(|complaint| {
            self.complain(complaint);
            LogFormat::default()
        });
        let directive = directive.map_or(LEVEL_DEFAULT, str::trim).to_owned();
        LogOptions { directive, format, ..LogOptions::default() }
    }

    pub(super) fn token(&mut self, name: &str, secret: Option<&str>) -> Option<Token> {
        match Token::new(secret?.trim()) {
            Ok(token) => Some(token),
            Err(error) => {
                let file = if self.from_files.contains(&name) { "_FILE" } else { "" };
                self.complain(format!("{name}{file} {error}"));
                None
            }
        }
    }

    /// The configuration, or all that is wrong with it: values that can't be used, those out of range,
    /// and, if all could be used, those that don't go together.
    pub(super) fn finish(self, config: Config) -> Result<Config, ConfigError> {
        let Self { mut complaints, mut contradictions, .. } = self;
        let are_usable = complaints.is_empty();
        config.check_ranges(&mut complaints);
        if are_usable {
            config.check_together(&mut contradictions);
        }
        complaints.append(&mut contradictions);
        if complaints.is_empty() { Ok(config) } else { Err(ConfigError { complaints }) }
    }
}
