//! The options of one object, as the catalogs hold them, read by name.

use super::error::OptionError;
use super::kind::{self, OptionKind};
use super::spec::OptionLevel;
use std::time::Duration;

/// Names and values at one level.
#[derive(Clone)]
pub struct OptionValues {
    level: OptionLevel,
    pairs: Vec<(String, String)>,
}

impl OptionValues {
    /// The options of an object of this level.
    pub fn new(level: OptionLevel, pairs: Vec<(String, String)>) -> Self {
        OptionValues { level, pairs }
    }

    /// Refuses unknown names, repetitions and values that are not allowed.
    ///
    /// # Errors
    /// The first mistake, with what would be right.
    pub fn check(&self) -> Result<(), OptionError> {
        for (index, (name, value)) in self.pairs.iter().enumerate() {
            let spec = self
                .level
                .spec(name)
                .ok_or_else(|| OptionError::unknown(self.level, name))?;
            if self.pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(OptionError::repeated(name));
            }
            spec.kind
                .check(value)
                .map_err(|why| OptionError::value(spec, value, why))?;
        }
        Ok(())
    }

    /// Refuses two options that answer the same question.
    ///
    /// # Errors
    /// When both are there.
    pub fn exclude(&self, one: &str, other: &str) -> Result<(), OptionError> {
        match (self.get(one), self.get(other)) {
            (Some(_), Some(_)) => Err(OptionError::exclusive(one, other)),
            _ => Ok(()),
        }
    }

    /// An option that only a role which may read files of the server may set.
    pub fn needs_file_right(&self) -> Option<&str> {
        let mut names = self.pairs.iter().map(|(name, _)| name.as_str());
        names.find(|name| {
            self.level
                .spec(name)
                .is_some_and(|spec| spec.kind.needs_file_right())
        })
    }

    /// The value as it stands, if the option is given.
    pub fn get(&self, name: &str) -> Option<&str> {
        let pair = self.pairs.iter().find(|(given, _)| given == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// The text, if the option is given.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// The text of an option that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn required(&self, name: &'static str) -> Result<String, OptionError> {
        self.text(name)
            .ok_or_else(|| OptionError::missing(self.level, name))
    }

    /// What `read` makes of the value given, else of the default; `None` where there is neither.
    fn read<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, OptionError> {
        let spec = self
            .level
            .spec(name)
            .ok_or_else(|| OptionError::unknown(self.level, name))?;
        let value = match self.get(name) {
            Some(value) => value,
            None if spec.default.is_empty() => return Ok(None),
            None => spec.default,
        };
        spec.kind
            .check(value)
            .map_err(|why| OptionError::value(spec, value, why))?;
        read(value)
            .map(Some)
            .ok_or_else(|| OptionError::value(spec, value, None))
    }

    /// What `read` makes of an option that has a default.
    fn defaulted<T>(&self, name: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T, OptionError> {
        self.read(name, read)?
            .ok_or_else(|| OptionError::missing(self.level, name))
    }

    /// A truth value with a default.
    ///
    /// # Errors
    /// When the value is not one; the validator refuses those, so only a hand-edited catalog has them.
    pub fn boolean(&self, name: &'static str) -> Result<bool, OptionError> {
        self.defaulted(name, kind::boolean)
    }

    /// A truth value without a default.
    ///
    /// # Errors
    /// As [`OptionValues::boolean`].
    pub fn optional_boolean(&self, name: &str) -> Result<Option<bool>, OptionError> {
        self.read(name, kind::boolean)
    }

    /// A whole number with a default.
    ///
    /// # Errors
    /// As [`OptionValues::boolean`].
    pub fn integer(&self, name: &'static str) -> Result<u32, OptionError> {
        self.defaulted(name, kind::integer)
    }

    /// A whole number without a default.
    ///
    /// # Errors
    /// As [`OptionValues::boolean`].
    pub fn optional_integer(&self, name: &str) -> Result<Option<u32>, OptionError> {
        self.read(name, kind::integer)
    }

    /// A number with a default.
    ///
    /// # Errors
    /// As [`OptionValues::boolean`].
    pub fn number(&self, name: &'static str) -> Result<f64, OptionError> {
        self.defaulted(name, kind::number)
    }

    /// A span of time with a default.
    ///
    /// # Errors
    /// As [`OptionValues::boolean`].
    pub fn seconds(&self, name: &'static str) -> Result<Duration, OptionError> {
        self.defaulted(name, |value| {
            kind::number(value).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        })
    }

    /// A text with a default.
    ///
    /// # Errors
    /// As [`OptionValues::boolean`].
    pub fn defaulted_text(&self, name: &'static str) -> Result<String, OptionError> {
        self.defaulted(name, |value| Some(value.to_owned()))
    }

    /// One of the option's words, if it is given or has a default.
    ///
    /// # Errors
    /// As [`OptionValues::boolean`].
    pub fn word(&self, name: &str) -> Result<Option<&'static str>, OptionError> {
        let words = match self.level.spec(name).map(|spec| spec.kind) {
            Some(OptionKind::Choice(words)) => words,
            _ => return Err(OptionError::unknown(self.level, name)),
        };
        self.read(name, |value| kind::choice(words, value))
    }
}
