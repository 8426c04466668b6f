//! `--name value`, and nothing else.

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::{Context as _, bail};

pub(crate) struct Arguments(HashMap<String, String>);

impl Arguments {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Arguments> {
        let mut read = HashMap::new();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                bail!("what is `{word}`?");
            };
            let value = words
                .next()
                .with_context(|| format!("{word} lacks its value"))?;
            read.insert(name.to_owned(), value);
        }
        Ok(Arguments(read))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn get<T: FromStr>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => bail!("--{name} can't be `{value}`"),
        }
    }

    pub(crate) fn need<T: FromStr>(&self, name: &str) -> anyhow::Result<T> {
        self.get(name)?
            .with_context(|| format!("--{name} is missing"))
    }
}
