//! The variables.

use greenroom_settings::{Default, Reader, Setting};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Config {
    variables: Vec<Variable>,
}

#[derive(Serialize)]
struct Variable {
    name: &'static str,
    default: Option<&'static str>,
    unset: Option<&'static str>,
    allowed: String,
    meaning: &'static str,
    secret: bool,
    file: Option<String>,
    read_by: &'static str,
}

impl Config {
    pub(crate) fn of(settings: &[Setting]) -> Self {
        let variable = |setting: &Setting| {
            let (default, unset) = match setting.default {
                Default::Value(value) => (Some(value), None),
                Default::Words(words) => (None, Some(words)),
            };
            Variable {
                name: setting.name,
                default,
                unset,
                allowed: setting.allowed.to_string(),
                meaning: setting.meaning,
                secret: setting.secret,
                file: setting.file_name(),
                read_by: match setting.reader {
                    Reader::Node => "node",
                    Reader::Command => "command",
                    Reader::Both => "both",
                },
            }
        };
        Self { variables: settings.iter().map(variable).collect() }
    }
}
