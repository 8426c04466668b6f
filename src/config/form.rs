//! Forms of values: how one is read and checked, and how it is printed. The readers note their forms and
//! ranges, and the schema is made of that.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;

use super::field::Field;
use super::quantity::{duration_text, size_text};

type Read<S, T> = Box<dyn Fn(&Field<'_>, &S) -> Option<T>>;

/// How values of one setting stand in the file. `S` is all settings.
pub(super) struct Form<S, T> {
    read: Read<S, T>,
    show: Box<dyn Fn(&T) -> Json>,
}

impl<S: 'static, T: 'static> Form<S, T> {
    /// `read` gives `None` for what is left out or wrong: the setting keeps its default then.
    pub(super) fn new(
        read: impl Fn(&Field<'_>) -> Option<T> + 'static,
        show: impl Fn(&T) -> Json + 'static,
    ) -> Form<S, T> {
        Form::beside(move |field, _| read(field), show)
    }

    /// As `new`, for what depends on settings that were read before.
    pub(super) fn beside(
        read: impl Fn(&Field<'_>, &S) -> Option<T> + 'static,
        show: impl Fn(&T) -> Json + 'static,
    ) -> Form<S, T> {
        let (read, show) = (Box::new(read), Box::new(show));
        Form { read, show }
    }

    /// What is left out or wrong follows from the settings that were read before.
    pub(super) fn or(self, default: impl Fn(&S) -> T + 'static) -> Form<S, T> {
        let read = self.read;
        let read = move |field: &Field<'_>, settings: &S| {
            read(field, settings).or_else(|| Some(default(settings)))
        };
        Form {
            read: Box::new(read),
            show: self.show,
        }
    }

    pub(super) fn read(&self, field: &Field<'_>, before: &S) -> Option<T> {
        (self.read)(field, before)
    }

    pub(super) fn show(&self, value: &T) -> Json {
        (self.show)(value)
    }
}

pub(super) fn duration<S: 'static>(range: RangeInclusive<Duration>) -> Form<S, Duration> {
    Form::new(
        move |field| field.duration(range.clone()),
        |duration| Json::from(duration_text(*duration)),
    )
}

/// Bytes.
pub(super) fn size<S, T>(range: RangeInclusive<u64>) -> Form<S, T>
where
    S: 'static,
    T: TryFrom<u64> + TryInto<u64> + Copy + 'static,
{
    Form::new(
        move |field| T::try_from(field.size(range.clone())?).ok(),
        |bytes| Json::from(size_text(unsigned(*bytes))),
    )
}

/// A whole number.
pub(super) fn number<S, T>(range: RangeInclusive<u64>) -> Form<S, T>
where
    S: 'static,
    T: TryFrom<u64> + TryInto<u64> + Copy + 'static,
{
    Form::new(
        move |field| field.number(range.clone()),
        |number| Json::from(unsigned(*number)),
    )
}

fn unsigned(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}

pub(super) fn decimal<S: 'static>(range: RangeInclusive<f64>) -> Form<S, f64> {
    Form::new(
        move |field| field.decimal(range.clone()),
        |number| Json::from(*number),
    )
}

pub(super) fn boolean<S: 'static>() -> Form<S, bool> {
    Form::new(|field| field.boolean(), |value| Json::from(*value))
}

/// Words with their meanings; the first word of a meaning is the one that is printed.
pub(super) fn choice<S: 'static, T: Copy + PartialEq + 'static>(
    choices: &'static [(&str, T)],
) -> Form<S, T> {
    let show = move |value: &T| {
        let word = choices.iter().find(|(_, meaning)| meaning == value);
        Json::from(word.map(|(word, _)| *word))
    };
    Form::new(move |field| field.choice(choices), show)
}

pub(super) fn text<S: 'static>(read: fn(&Field<'_>) -> Option<String>) -> Form<S, String> {
    Form::new(read, |text| Json::from(text.as_str()))
}

/// What may be left out.
pub(super) fn optional<S: 'static, T: 'static>(form: Form<S, T>) -> Form<S, Option<T>> {
    let (read, show) = (form.read, form.show);
    Form::beside(
        move |field, settings| read(field, settings).map(Some),
        move |value| value.as_ref().map_or(Json::Null, &show),
    )
}

/// A list, by the reader of its items.
pub(super) fn list<S: 'static, T: Display + 'static>(
    read: fn(&Field<'_>) -> Option<T>,
) -> Form<S, Vec<T>> {
    let show = |items: &Vec<T>| items.iter().map(ToString::to_string).collect();
    Form::new(move |field| field.list(read), show)
}

/// A file's path; [`crate::config::folders`] says where it leads.
pub(super) fn path<S: 'static>() -> Form<S, PathBuf> {
    Form::new(read_path, |path| shown_path(path))
}

pub(super) fn read_path(field: &Field<'_>) -> Option<PathBuf> {
    field.parsed("the path of a file", |text| {
        let usable = !text.trim().is_empty() && !text.contains('\0');
        usable.then(|| PathBuf::from(text))
    })
}

/// A folder's name may be no text.
pub(super) fn shown_path(path: &Path) -> Json {
    Json::from(path.display().to_string())
}
