//! The log of a process: what is written to standard error, how, and how much of it.
//!
//! ```
//! # fn main() -> Result<(), greenroom::logging::LogError> {
//! // By `GREENROOM_LOG` and `GREENROOM_LOG_FORMAT`; from now on the process has a log.
//! let log = greenroom::logging::init()?;
//! log.set("info,greenroom::actors=debug").expect("a good directive");
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here happens by itself: a program that has a subscriber of its own keeps it, and may put the
//! [`layer`] of this module into it. `runtime/LOGS.md` says which fields and targets there are.

mod directive;
mod json;

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt as layers, reload};

use crate::config::ConfigError;
pub use directive::BadDirective;
pub(crate) use directive::{LEVEL_DEFAULT, check, parse};

/// How the log of a node is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// `GREENROOM_LOG`: a level, levels of targets, or both, separated by commas, such as
    /// `info,greenroom::turns=debug`; `info` unless set. [`init_with`] goes by it.
    pub directive: String,
    /// `GREENROOM_LOG_FORMAT`: `text` or `json`; `text` unless set. [`init_with`] goes by it.
    pub format: LogFormat,
    /// `GREENROOM_LOG_KEYS`: whether what is logged of an actor says its key, `on` or `off`; `off`
    /// unless set. A node goes by it, whatever the subscriber.
    pub keys: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        let directive = LEVEL_DEFAULT.to_owned();
        Self { directive, format: LogFormat::default(), keys: false }
    }
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line, with the fields of the event and of its spans side by side.
    Json,
}

impl LogFormat {
    /// What `GREENROOM_LOG_FORMAT` says.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("GREENROOM_LOG_FORMAT must be text or json, got {other:?}")),
        }
    }
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A variable is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The process has a subscriber of `tracing` already.
    #[error("the process has a log already; put greenroom::logging::layer() into its subscriber")]
    Taken,
}

/// Why a log's level could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The directive is none; the log is as it was.
    #[error(transparent)]
    Directive(#[from] BadDirective),
    /// The subscriber that had the log is gone.
    #[error("the subscriber that this log belonged to is gone")]
    Gone,
}

/// The log that nodes of this process tell operators of. A subscriber is the process's, so this hangs
/// off no node.
static LOG: OnceLock<LogHandle> = OnceLock::new();

/// The log of the process, if this module made it.
pub(crate) fn current() -> Option<&'static LogHandle> {
    LOG.get()
}

/// Gives the process a log on standard error, by the variables `GREENROOM_LOG` and
/// `GREENROOM_LOG_FORMAT`. To be called before anything that is worth a line, such as
/// [`Node::from_env`](crate::Node::from_env).
///
/// # Errors
/// When a variable is wrong, or the process has a subscriber already.
pub fn init() -> Result<LogHandle, LogError> {
    let variable = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let mut complaints = Vec::new();
    let options = read(
        variable("GREENROOM_LOG").as_deref(),
        variable("GREENROOM_LOG_FORMAT").as_deref(),
        &mut complaints,
    );
    if complaints.is_empty() { init_with(&options) } else { Err(ConfigError { complaints }.into()) }
}

/// As [`init`], by options that are given: `init_with(&config.log)`.
///
/// # Errors
/// When the directive is none, or the process has a subscriber already.
pub fn init_with(options: &LogOptions) -> Result<LogHandle, LogError> {
    let (layer, log) = layer::<Registry>(options)?;
    tracing_subscriber::registry().with(layer).try_init().map_err(|_| LogError::Taken)?;
    Ok(log.serve())
}

/// The log as a layer, for a program that puts its subscriber together itself, as with
/// `tracing-opentelemetry`. Only this layer goes by the directive. [`LogHandle::serve`] lets operators
/// change it.
///
/// # Errors
/// When the directive is none.
pub fn layer<S>(
    options: &LogOptions,
) -> Result<(impl Layer<S> + Send + Sync + use<S>, LogHandle), LogError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let directive = options.directive.trim();
    let filter =
        parse(directive).map_err(|error| ConfigError { complaints: vec![error.of_variable()] })?;
    let (filter, reload) = reload::Layer::<EnvFilter, S>::new(filter);
    let lines = layers::layer().with_writer(io::stderr);
    let lines: Box<dyn Layer<S> + Send + Sync> = match options.format {
        LogFormat::Text => Box::new(lines.with_ansi(io::stderr().is_terminal())),
        LogFormat::Json => Box::new(lines.fmt_fields(JsonFields::new()).event_format(json::Lines)),
    };
    let log = LogHandle(Arc::new(Log {
        directive: Mutex::new(directive.to_owned()),
        reload: Box::new(move |filter| reload.reload(filter).is_ok()),
    }));
    Ok((lines.with_filter(filter), log))
}

/// What the variables say; what is wrong with them goes to `complaints`.
pub(crate) fn read(
    directive: Option<&str>,
    format: Option<&str>,
    complaints: &mut Vec<String>,
) -> LogOptions {
    let mut options = LogOptions::default();
    if let Some(directive) = directive {
        options.directive = directive.trim().to_owned();
        complaints.extend(check(&options.directive).err());
    }
    match format.map(LogFormat::parse) {
        Some(Ok(format)) => options.format = format,
        Some(Err(complaint)) => complaints.push(complaint),
        None => {}
    }
    options
}

/// A log that runs; clones are handles to the same one.
#[derive(Clone)]
pub struct LogHandle(Arc<Log>);

struct Log {
    directive: Mutex<String>,
    /// Whether the subscriber is still there to take the filter.
    reload: Box<dyn Fn(EnvFilter) -> bool + Send + Sync>,
}

impl LogHandle {
    /// The directive that holds now.
    pub fn directive(&self) -> String {
        self.0.directive.lock().clone()
    }

    /// Changes what is logged from now on, and answers with the directive that held before.
    ///
    /// # Errors
    /// When the directive is none; then nothing changes.
    pub fn set(&self, directive: &str) -> Result<String, SetError> {
        let directive = directive.trim();
        let filter = parse(directive)?;
        // The lock is held, so that what holds and what is told of it are the same.
        let mut current = self.0.directive.lock();
        if !(self.0.reload)(filter) {
            return Err(SetError::Gone);
        }
        Ok(std::mem::replace(&mut current, directive.to_owned()))
    }

    /// Lets operators read and change it, with `greenroom log-level`, at every node of this process; the
    /// first log that is served stays. [`init`] does so by itself.
    #[must_use]
    pub fn serve(self) -> Self {
        let _ = LOG.set(self.clone());
        self
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("directive", &self.directive()).finish_non_exhaustive()
    }
}
