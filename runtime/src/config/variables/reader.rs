//! Reads single values, and gathers what is wrong with them.

use std::time::Duration;

use bytesize::ByteSize;
use greenroom_core::Labels;
use greenroom_core::planner::Strategy;

use crate::config::{ConfigError, Token};
use crate::gateway::Rate;

/// Reads values and gathers all complaints, so that an operator mends them in one go.
#[derive(Default)]
pub(super) struct Reader {
    complaints: Vec<String>,
}

impl Reader {
    pub(super) fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    pub(super) fn number<N: std::str::FromStr>(
        &mut self,
        name: &str,
        text: Option<String>,
        default: N,
    ) -> N {
        let Some(text) = text else { return default };
        text.trim().parse().unwrap_or_else(|_| {
            self.complain(format!(
                "GREENROOM_{name} must be a whole number above zero, got {text:?}"
            ));
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
    pub(super) fn size(&mut self, name: &str, text: Option<&str>) -> Option<u64> {
        let text = text?.trim();
        if text.eq_ignore_ascii_case("off") {
            return None;
        }
        match text.parse::<ByteSize>() {
            Ok(size) => Some(size.as_u64()),
            Err(_) => {
                let allowed = "must be a number of bytes such as 512MiB or 4GB, or off";
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

    pub(super) fn token(&mut self, secret: Option<String>, file: Option<String>) -> Option<Token> {
        let (name, secret) = match (secret, file) {
            (None, None) => return None,
            (Some(secret), None) => ("GREENROOM_OPERATOR_TOKEN", secret),
            (None, Some(file)) => {
                let name = "GREENROOM_OPERATOR_TOKEN_FILE";
                match std::fs::read_to_string(&file) {
                    Ok(secret) => (name, secret),
                    Err(error) => {
                        self.complain(format!("{name}: can't read {file:?}: {error}"));
                        return None;
                    }
                }
            }
            (Some(_), Some(_)) => {
                self.complain(
                    "GREENROOM_OPERATOR_TOKEN and GREENROOM_OPERATOR_TOKEN_FILE are both set: one \
                     must do"
                        .to_owned(),
                );
                return None;
            }
        };
        match Token::new(secret.trim()) {
            Ok(token) => Some(token),
            Err(error) => {
                self.complain(format!("{name} {error}"));
                None
            }
        }
    }

    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.complaints.is_empty() {
            return Ok(());
        }
        Err(ConfigError { complaints: self.complaints })
    }
}
