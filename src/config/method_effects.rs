//! Whether what is set for single methods can have an effect on them.

use super::field::{Field, ReadContext, below};
use super::settings::Settings;
use forebay_core::method::{MethodRules, RepeatRule, TABLE, matches};

/// Tells what can't, of what stands at `field`.
pub(super) fn check(context: &ReadContext<'_>, field: &Field<'_>, settings: &Settings) {
    let methods = settings.methods.clone();
    let rules = MethodRules::new(methods.allow, methods.deny, methods.heavy);
    let rules = rules.with_reads(methods.reads);
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
