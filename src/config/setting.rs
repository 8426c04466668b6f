//! One setting: a row of the table of `settings`, of which reading, printing, the report of
//! changes, the schema and the reference page are made.

use serde_json::{Map, Value as Json};

use super::field::Field;
use super::form::Form;

/// A condition on the settings in force and those that are wanted.
pub(super) type Condition<S> = fn(running: &S, wanted: &S) -> bool;

/// When a new value holds.
pub(super) enum When<S> {
    /// At once.
    Live,
    /// At once, unless it wouldn't fit to what waits for a restart.
    LiveUnless(Condition<S>),
    /// After a restart.
    Restart,
    /// After a restart where this holds; else it has no effect, and nothing is told of it.
    RestartIf(Condition<S>),
}

/// What becomes of a new value.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    Applies,
    Waits,
    Untold,
}

impl<S> When<S> {
    pub(super) fn fate(&self, running: &S, wanted: &S) -> Fate {
        match self {
            When::Live => Fate::Applies,
            When::LiveUnless(unfit) if unfit(running, wanted) => Fate::Waits,
            When::LiveUnless(_) => Fate::Applies,
            When::Restart => Fate::Waits,
            When::RestartIf(matters) if matters(running, wanted) => Fate::Waits,
            When::RestartIf(_) => Fate::Untold,
        }
    }

    /// For the reference page.
    pub(super) fn word(&self) -> &'static str {
        match self {
            When::Live | When::LiveUnless(_) => "live",
            When::Restart | When::RestartIf(_) => "restart",
        }
    }
}

/// A setting, whatever the type of its values.
pub(super) struct Setting<S> {
    /// Its path under `forebay:`, with dots.
    pub key: &'static str,
    /// In a few words, for the reference page.
    pub meaning: &'static str,
    pub when: When<S>,
    pub value: Box<dyn SettingValue<S>>,
}

impl<S> Setting<S> {
    /// Its key as changes are told of it: by its group and its name; what stands below is told with it.
    pub(super) fn told_key(&self) -> String {
        let parts: Vec<_> = self.key.split('.').take(2).collect();
        format!("forebay.{}", parts.join("."))
    }
}

/// What can be done with the value of a setting.
pub(super) trait SettingValue<S> {
    /// Reads the value; what is left out or wrong stays as it is in `settings`.
    fn read(&self, field: &Field<'_>, settings: &mut S);
    /// As it would be written; `None` where its group is left out.
    fn shown(&self, settings: &S) -> Option<Json>;
    fn differs(&self, running: &S, wanted: &S) -> bool;
    /// Puts the value that is in force back.
    fn keep(&self, running: &S, settings: &mut S);
}

/// A value, by its form and its place.
pub(super) struct Place<S, T> {
    pub form: Form<S, T>,
    /// `None` where its group is left out.
    pub get: fn(&S) -> Option<&T>,
    pub get_mut: fn(&mut S) -> Option<&mut T>,
}

impl<S: 'static, T: Clone + PartialEq + 'static> SettingValue<S> for Place<S, T> {
    fn read(&self, field: &Field<'_>, settings: &mut S) {
        let read = self.form.read(field, settings);
        if let (Some(value), Some(place)) = (read, (self.get_mut)(settings)) {
            *place = value;
        }
    }

    fn shown(&self, settings: &S) -> Option<Json> {
        (self.get)(settings).map(|value| self.form.show(value))
    }

    fn differs(&self, running: &S, wanted: &S) -> bool {
        let values = (self.get)(running).zip((self.get)(wanted));
        values.is_some_and(|(before, after)| before != after)
    }

    fn keep(&self, running: &S, settings: &mut S) {
        if let (Some(value), Some(place)) = ((self.get)(running), (self.get_mut)(settings)) {
            place.clone_from(value);
        }
    }
}

/// Whether a group that may be left out stands there.
pub(super) struct Presence<S, T> {
    pub get: fn(&S) -> &Option<T>,
    pub get_mut: fn(&mut S) -> &mut Option<T>,
}

impl<S, T: Clone> SettingValue<S> for Presence<S, T> {
    /// The reader of the whole file knows when it counts as written.
    fn read(&self, _: &Field<'_>, _: &mut S) {}

    fn shown(&self, settings: &S) -> Option<Json> {
        (self.get)(settings).is_none().then_some(Json::Null)
    }

    fn differs(&self, running: &S, wanted: &S) -> bool {
        (self.get)(running).is_some() != (self.get)(wanted).is_some()
    }

    fn keep(&self, running: &S, settings: &mut S) {
        (self.get_mut)(settings).clone_from((self.get)(running));
    }
}

/// A group of free keys that is read, printed and compared apart from the table.
pub(super) struct Apart;

impl<S> SettingValue<S> for Apart {
    fn read(&self, field: &Field<'_>, _: &mut S) {
        if field.is_noted() {
            field.texts();
        }
    }

    fn shown(&self, _: &S) -> Option<Json> {
        Some(Json::Object(Map::new()))
    }

    fn differs(&self, _: &S, _: &S) -> bool {
        false
    }

    fn keep(&self, _: &S, _: &mut S) {}
}

/// A group of settings, which may be one that can be left out.
pub(super) trait Slot<T> {
    fn group(&self) -> Option<&T>;
    fn group_mut(&mut self) -> Option<&mut T>;
}

impl<T> Slot<T> for T {
    fn group(&self) -> Option<&T> {
        Some(self)
    }

    fn group_mut(&mut self) -> Option<&mut T> {
        Some(self)
    }
}

impl<T> Slot<T> for Option<T> {
    fn group(&self) -> Option<&T> {
        self.as_ref()
    }

    fn group_mut(&mut self) -> Option<&mut T> {
        self.as_mut()
    }
}

/// A group as a struct with its defaults and its rows of the table. Each row: the meaning, the field (with
/// the key, where that is another), type, default, form and range, and when a new value holds.
macro_rules! settings_group {
    ($(#[$about:meta])* $name:ident at $at:ident {
        $($(#[doc = $meaning:literal])+ $field:ident $(($key:literal))?: $type:ty = $default:expr, $form:expr, $when:expr;)+
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $meaning])+ pub $field: $type,)+
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)+ }
            }
        }

        impl $name {
            fn table() -> Vec<Setting<Settings>> {
                vec![$(Setting {
                    key: concat!(stringify!($at), ".", key!($field $($key)?)),
                    meaning: concat!($($meaning),+),
                    when: $when,
                    value: Box::new(Place::<Settings, $type> {
                        form: $form,
                        get: |all| Slot::<$name>::group(&all.$at).map(|group| &group.$field),
                        get_mut: |all| Slot::<$name>::group_mut(&mut all.$at).map(|group| &mut group.$field),
                    }),
                },)+]
            }
        }
    };
}

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

pub(super) use {key, settings_group};
