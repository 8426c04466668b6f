//! Whether what is set for single methods can have an effect on them.

use super::field::{Field, ReadContext, below};
use super::settings::Settings;
use forebay_core::method::{MethodRules, RepeatRule, TABLE, Treatment};
use forebay_core::vocabulary::glob::matches;
use forebay_core::vocabulary::node::{NodeRecord, NodeSpecError};

/// Tells what can't, of what stands at `field`.
pub(super) fn check(field: &Field<'_>, settings: &Settings) {
    let (context, rules) = (field.context, rules(settings));
    for (name, limits) in &settings.calls.by_method {
        let path = below(&field.path, name);
        let is_glob = name.contains('*');
        let known: Vec<_> = match is_glob {
            false => vec![name.as_str()],
            true => {
                let all = TABLE.iter().map(|method| method.name);
                all.filter(|method| matches(name, method)).collect()
            }
        };
        let may_be_repeated =
            |method: &&str| rules.look_up(method).1.repeat() == RepeatRule::Freely;
        let hedges = matches!(limits.hedge, Some(Some(_)));
        if known.is_empty() {
            context.warn(&path, "matches no method that is known");
        } else if hedges && !known.iter().any(may_be_repeated) {
            let path = format!("{path}.hedge");
            context.error(&path, "a call of this method may not be repeated");
        }
    }
}

fn rules(settings: &Settings) -> MethodRules {
    let methods = settings.methods.clone();
    let rules = MethodRules::new(methods.allow, methods.deny, methods.heavy);
    rules.with_reads(methods.reads)
}

/// Tells which of what the nodes at `field` serve can have no effect, and which node is left nothing to serve.
pub(super) fn check_nodes(field: &Field<'_>, settings: &Settings) {
    let rules = rules(settings);
    for (at, node) in settings.nodes.iter().enumerate() {
        let path = format!("{}[{at}].serves", field.path);
        check_node(field.context, &path, node, &rules);
    }
}

fn check_node(context: &ReadContext<'_>, path: &str, node: &NodeRecord, rules: &MethodRules) {
    let serves = &node.purpose.serves;
    for (at, glob) in serves.globs().enumerate() {
        let name = glob.strip_prefix('!').unwrap_or(glob);
        let is_listed = TABLE.iter().any(|row| matches(name, row.name));
        // A namespace may be known, and none of its methods.
        let is_known = is_listed || rules.look_up(name).1 != Treatment::Unknown;
        if name.contains('*') && !is_known {
            context.warn(&format!("{path}[{at}]"), "matches no method that is known");
        }
    }
    let may_be_called = |name: &str| rules.look_up(name).1 != Treatment::Denied;
    // Of what isn't in the table as much may be called as of a glob itself.
    let listed = TABLE
        .iter()
        .map(|row| row.name)
        .filter(|name| serves.has(name));
    let named = serves.globs().filter(|glob| !glob.starts_with('!'));
    let mut asked = listed.chain(named);
    if !serves.is_all()
        && serves.globs().any(|glob| !glob.starts_with('!'))
        && !asked.any(may_be_called)
    {
        let why = NodeSpecError::ServesNothing;
        context.error(path, format!("{why}: all that it has is denied"));
    }
}
