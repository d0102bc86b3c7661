//! The `GREENROOM_*` variables as data: what each is named, what holds without it, what is allowed
//! and what it means.
//!
//! The node reads its variables by this table and checks their ranges with it, the command
//! `greenroom config` prints it, and the README's table is held equal to it. It reads no environment
//! itself and depends on nothing of Greenroom, so that both sides can have it.

mod table;

use std::fmt;
use std::time::Duration;

pub use table::ALL;

/// What every name begins with.
pub const PREFIX: &str = "GREENROOM_";
/// What the name of a file that holds a secret ends with.
pub const FILE_SUFFIX: &str = "_FILE";
/// Names that are less alike than this, of 1, are not taken for misspellings.
const LIKENESS_MIN: f64 = 0.8;

/// A variable.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its whole name, such as `GREENROOM_SHARDS`.
    pub name: &'static str,
    /// What holds while it is not set.
    pub default: Default,
    /// Which values are allowed.
    pub allowed: Allowed,
    /// What it decides, as the end of a sentence.
    pub meaning: &'static str,
    /// It must never be shown, and can come from a file that a second variable names
    /// ([`Setting::file_name`]).
    pub secret: bool,
    /// Who reads it.
    pub reader: Reader,
}

/// What holds while a variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This value, written as the variable would be.
    Value(&'static str),
    /// Something that is no value of the variable, in words.
    Words(&'static str),
}

/// Which values are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A span of time, written as `500ms`, `5s`, `2m`, from the first to the second.
    Span(Duration, Duration),
    /// A number of bytes, written as `1048576`, `1MiB` or `4GB`, from the first to the second.
    Size(u64, u64),
    /// As [`Allowed::Size`], or `off`.
    SizeOrOff(u64, u64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// `off`, or calls in a span of time: `1000/s`, `30/m`, `1000/h`.
    Rate,
    /// What these words say.
    Words(&'static str),
}

/// Who reads a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A node.
    Node,
    /// The command `greenroom`.
    Command,
    /// Both.
    Both,
}

/// A value whose range is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Number(u64),
    /// A span of time.
    Span(Duration),
    /// A number of bytes.
    Size(u64),
}

impl Setting {
    /// The name without the prefix and in small letters, as the fields of a struct are named.
    pub fn field(&self) -> String {
        self.name.trim_start_matches(PREFIX).to_ascii_lowercase()
    }

    /// The variable that names a file with the value; only secrets have one.
    pub fn file_name(&self) -> Option<String> {
        self.secret.then(|| format!("{}{FILE_SUFFIX}", self.name))
    }

    /// The sentence of the refusal if `value` is out of range.
    ///
    /// # Errors
    /// That sentence, with the name, what is allowed, and what it got.
    pub fn check(&self, value: Value) -> Result<(), String> {
        let within = match (self.allowed, value) {
            (Allowed::Number(low, high), Value::Number(value))
            | (Allowed::Size(low, high) | Allowed::SizeOrOff(low, high), Value::Size(value)) => {
                (low..=high).contains(&value)
            }
            (Allowed::Span(low, high), Value::Span(value)) => (low..=high).contains(&value),
            _ => false,
        };
        if within {
            return Ok(());
        }
        Err(format!("{} must be {}, got {value}", self.name, self.allowed))
    }
}

impl fmt::Display for Default {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(text) | Self::Words(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(low, high) => write!(f, "{low} to {high}"),
            Self::Span(low, high) => write!(f, "{} to {}", Value::Span(*low), Value::Span(*high)),
            Self::Size(low, high) => write!(f, "{} to {}", Value::Size(*low), Value::Size(*high)),
            Self::SizeOrOff(low, high) => {
                write!(f, "{} to {}, or off", Value::Size(*low), Value::Size(*high))
            }
            Self::OneOf(words) => f.write_str(&words.join(" or ")),
            Self::Rate => f.write_str("off, or calls in a span of time: 1000/s, 30/m, 1000/h"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Span(span) => write!(f, "{}", humantime::format_duration(span)),
            Self::Size(bytes) => {
                let units = [(50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
                let whole = |bits: &u32| bytes != 0 && bytes.trailing_zeros() >= *bits;
                match units.iter().find(|(bits, _)| whole(bits)) {
                    Some((bits, unit)) => write!(f, "{}{unit}", bytes >> bits),
                    None => write!(f, "{bytes}"),
                }
            }
        }
    }
}

/// The setting of this name; also that of the file of a secret.
pub fn find(name: &str) -> Option<&'static Setting> {
    let is_named = |setting: &&Setting| {
        setting.name == name || setting.file_name().is_some_and(|file| file == name)
    };
    ALL.iter().find(is_named)
}

/// The name that is most like this one, if any is so much like it that it may be meant.
pub fn nearest(name: &str) -> Option<String> {
    let names = ALL
        .iter()
        .flat_map(|setting| std::iter::once(setting.name.to_owned()).chain(setting.file_name()));
    // The prefix, which all have, must not make them alike.
    let short = name.trim_start_matches(PREFIX);
    let likeness = |known: &str| {
        strsim::normalized_damerau_levenshtein(short, known.trim_start_matches(PREFIX))
    };
    // Names of very different lengths can't be alike, and comparing takes long for long ones.
    let len = short.chars().count();
    let comparable = |known: &String| {
        let known = known.trim_start_matches(PREFIX).len();
        known.min(len) as f64 >= LIKENESS_MIN * known.max(len) as f64
    };
    let alike = names.filter(comparable).map(|known| (likeness(&known), known));
    let best = alike.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 >= LIKENESS_MIN).then_some(best.1)
}

/// Whether Kubernetes sets a variable of this name in every container when there is a service named
/// `greenroom`, or one whose name begins so: it is nobody's misspelling.
pub fn is_of_kubernetes(name: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    let is_port = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let of_service = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
    of_service.iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
        || parts.windows(3).any(|part| {
            part[0] == "PORT" && is_port(part[1]) && ["TCP", "UDP", "SCTP"].contains(&part[2])
        })
}

/// The rows of the README's table, without its head: name, default, what is allowed, meaning.
pub fn markdown() -> Vec<String> {
    let row = |setting: &Setting| {
        let names = match setting.file_name() {
            Some(file) => format!("`{}`, or `{file}`", setting.name),
            None => format!("`{}`", setting.name),
        };
        let default = match setting.default {
            Default::Value(value) => format!("`{value}`"),
            Default::Words(words) => words.to_owned(),
        };
        let allowed = setting.allowed;
        format!("| {names} | {default} | {allowed} | {} |", setting.meaning)
    };
    ALL.iter().map(row).collect()
}

#[cfg(test)]
mod tests;
