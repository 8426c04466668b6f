//! The files of a crate as modules: which of them each one names, and where they do so in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::architecture::text::{code, without_tests, words};

/// `["call", "retry"]`; the crate itself is `[]`.
pub type ModulePath = Vec<String>;

/// A crate's own code, without unit tests.
#[derive(Default)]
pub struct Modules {
    words: BTreeMap<ModulePath, Vec<String>>,
}

impl Modules {
    /// Adds a file, by its path below the crate's `src`.
    pub fn add(&mut self, path: &Path, text: &str) {
        let mut at: ModulePath = path
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if ["mod", "lib"].contains(&at.last().map_or("", String::as_str)) {
            at.pop();
        }
        self.words.insert(at, words(&code(&without_tests(text))));
    }

    /// Which module names which, each pair once.
    pub fn edges(&self) -> BTreeSet<(ModulePath, ModulePath)> {
        let mut edges = BTreeSet::new();
        for (from, words) in &self.words {
            for named in self.named(from, words) {
                if named != *from {
                    edges.insert((from.clone(), named));
                }
            }
        }
        edges
    }

    fn named(&self, from: &ModulePath, words: &[String]) -> BTreeSet<ModulePath> {
        // What a path may begin with beside `crate` and `super`: a child, or a module that is imported.
        let children = self.words.keys().filter(|path| {
            let parent = path.split_last().map(|(_, parent)| parent);
            parent == Some(from.as_slice())
        });
        let absolute = paths(words, |word| ["crate", "super", "self"].contains(&word));
        let absolute = absolute.iter().filter_map(|path| below_crate(from, path));
        let absolute: Vec<ModulePath> = absolute.collect();
        let imported = absolute
            .iter()
            .filter(|path| self.words.contains_key(*path));
        let heads: BTreeMap<&str, &ModulePath> = (imported.chain(children))
            .filter_map(|path| Some((path.last()?.as_str(), path)))
            .collect();
        let relative = paths(words, |word| heads.contains_key(word));
        let relative = relative
            .iter()
            .map(|path| [heads[path[0].as_str()], &path[1..]].concat());
        let named = absolute.iter().cloned().chain(relative);
        named.filter_map(|path| self.module_of(&path)).collect()
    }

    /// The module that has what `path` names.
    fn module_of(&self, path: &[String]) -> Option<ModulePath> {
        let known = (0..=path.len()).rev().map(|length| &path[..length]);
        let mut known = known.filter(|prefix| self.words.contains_key(*prefix));
        known.next().map(<[String]>::to_vec)
    }

    /// Declared without `pub`: of its parent's household.
    fn is_private(&self, child: &[String]) -> bool {
        let Some((name, parent)) = child.split_last() else {
            return false;
        };
        let Some(words) = self.words.get(parent) else {
            return false;
        };
        let declares = |at: usize| words[at] == "mod" && words.get(at + 1) == Some(name);
        let found = (0..words.len()).find(|at| declares(*at));
        found.is_some_and(|at| at == 0 || !["pub", ")"].contains(&words[at - 1].as_str()))
    }

    /// Where modules name each other in a circle: `call: exchange, patience`. Those of a module are looked at
    /// among themselves, each with all that it holds, and then with the module's own file. Only below a room
    /// may a private child name what its parent's file has.
    pub fn circles(&self) -> Vec<String> {
        let edges = self.edges();
        let parents: BTreeSet<&[String]> = (self.words.keys())
            .flat_map(|path| (0..path.len()).map(|length| &path[..length]))
            .collect();
        let mut circles = Vec::new();
        for parent in parents {
            for with_own_file in [false, true] {
                let graph = self.graph(&edges, parent, with_own_file);
                let found = knots(&graph).into_iter();
                let found = found.filter(|knot| !with_own_file || knot.contains(OWN_FILE));
                let at = match parent {
                    [] => "rooms".to_string(),
                    parent => parent.join("/"),
                };
                circles.extend(found.map(|knot| {
                    let names: Vec<_> = knot.into_iter().collect();
                    format!("{at}: {}", names.join(", "))
                }));
            }
        }
        circles
    }

    fn graph<'m>(
        &self,
        edges: &'m BTreeSet<(ModulePath, ModulePath)>,
        parent: &[String],
        with_own_file: bool,
    ) -> Graph<'m> {
        let node = |path: &'m ModulePath| match path.strip_prefix(parent)? {
            [] => with_own_file.then_some(OWN_FILE),
            [child, ..] => Some(child.as_str()),
        };
        let mut graph = Graph::new();
        for (from, to) in edges {
            let (Some(a), Some(b)) = (node(from), node(to)) else {
                continue;
            };
            let of_household = || parent.len() > 1 && self.is_private(&from[..=parent.len()]);
            if a != b && !(b == OWN_FILE && of_household()) {
                graph.entry(a).or_default().insert(b);
            }
        }
        graph
    }
}

const OWN_FILE: &str = "its own file";

type Graph<'m> = BTreeMap<&'m str, BTreeSet<&'m str>>;

/// The sets of nodes that reach each other.
fn knots<'m>(graph: &Graph<'m>) -> Vec<BTreeSet<&'m str>> {
    let reached: BTreeMap<_, _> = graph
        .keys()
        .map(|node| (*node, reach(graph, node)))
        .collect();
    let mut knots: Vec<BTreeSet<&str>> = Vec::new();
    for (node, reaches) in &reached {
        let back = |other: &&&str| reached.get(**other).is_some_and(|it| it.contains(node));
        let knot: BTreeSet<&str> = reaches.iter().filter(back).copied().collect();
        if !knot.is_empty() && !knots.contains(&knot) {
            knots.push(knot);
        }
    }
    knots
}

fn reach<'m>(graph: &Graph<'m>, node: &str) -> BTreeSet<&'m str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = graph.get(node).into_iter().flatten().copied().collect();
    while let Some(next) = open.pop() {
        let Some((name, after)) = graph.get_key_value(next) else {
            continue;
        };
        if reached.insert(*name) {
            open.extend(after);
        }
    }
    reached
}

/// The paths in code that begin with a word that `begins` says so of, those in braces one by one.
fn paths(words: &[String], begins: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_first = at == 0 || words[at - 1] != "::";
        let goes_on = words.get(at + 1).is_some_and(|next| next == "::");
        if is_first && goes_on && begins(word) {
            read_path(words, at, &[], &mut paths);
        }
    }
    paths
}

/// Reads the path at `at`, below `above`; where it ends.
fn read_path(
    words: &[String],
    mut at: usize,
    above: &[String],
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = above.to_vec();
    while let Some(word) = words.get(at) {
        at += 1;
        if word == "{" {
            while words.get(at).is_some_and(|word| word != "}") {
                at = read_path(words, at, &path, paths);
                while words.get(at).is_some_and(|word| word != "," && word != "}") {
                    at += 1;
                }
                at += usize::from(words.get(at).is_some_and(|word| word == ","));
            }
            return at + 1;
        }
        if word != "self" || path.is_empty() {
            path.push(word.clone());
        }
        if words.get(at).is_none_or(|next| next != "::") {
            break;
        }
        at += 1;
    }
    paths.push(path);
    at
}

/// `path` as it stands in module `from`, read from the crate down.
fn below_crate(from: &ModulePath, path: &[String]) -> Option<ModulePath> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let (base, rest) = match path.first()?.as_str() {
        "crate" => (&[][..], &path[1..]),
        "self" => (&from[..], &path[1..]),
        _ => (&from[..from.len().checked_sub(ups)?], &path[ups..]),
    };
    Some([base, rest].concat())
}
