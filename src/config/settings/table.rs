//! All settings in one table: the rows of each group, and those of what is no group.

use super::{
    AdminSettings, CacheSettings, CallSettings, ChainSettings, CloudWatchSettings, Consistency,
    CorsSettings, HealthSettings, LimitSettings, ListenSettings, LogSettings, MethodSettings,
    OtlpSettings, RegistrySettings, Settings, SharedSettings, ShutdownSettings, SocketSettings,
};
use crate::config::form::choice;
use crate::config::nodes::form as form_of_nodes;
use crate::config::setting::When::{Live, Restart};
use crate::config::setting::{Apart, Place, Presence, Setting};

/// All of them, in the order in which they are told.
pub(super) fn rows() -> Vec<Setting<Settings>> {
    let groups = [
        ChainSettings::table(),
        vec![Setting {
            key: "chains",
            meaning: "[Several chains](../guide/chains.md) in place of `chain` and `nodes`, up to 200, each [by its \
                      name](#a-chain-under-chains) (`[a-z][a-z0-9-]{0,31}`).",
            when: Live,
            value: Box::new(Apart),
        }],
        ListenSettings::table(),
        RegistrySettings::table(),
        SharedSettings::table(),
        vec![nodes_setting()],
        HealthSettings::table(),
        CallSettings::table(),
        vec![consistency_setting()],
        MethodSettings::table(),
        CacheSettings::table(),
        AdminSettings::table(),
        CorsSettings::table(),
        vec![Setting {
            key: "cloudwatch",
            meaning: "Metrics for CloudWatch, on standard output. Left out: none.",
            when: Live,
            value: Box::new(Presence {
                get: |all: &Settings| &all.cloudwatch,
                get_mut: |all| &mut all.cloudwatch,
            }),
        }],
        CloudWatchSettings::table(),
        LogSettings::table(),
        SocketSettings::table(),
        vec![Setting {
            key: "otlp",
            meaning: "Traces for a collector, by OTLP over HTTP. Left out: none, unless \
                      `OTEL_EXPORTER_OTLP_ENDPOINT` is set.",
            when: Restart,
            value: Box::new(Presence {
                get: |all: &Settings| &all.otlp,
                get_mut: |all| &mut all.otlp,
            }),
        }],
        OtlpSettings::table(),
        ShutdownSettings::table(),
        LimitSettings::table(),
    ];
    groups.into_iter().flatten().collect()
}

fn nodes_setting() -> Setting<Settings> {
    Setting {
        key: "nodes",
        meaning: "The [nodes](#a-node-under-nodes) that a registry starts with, up to 1,000. The embedded \
                  registry follows them; a table in DynamoDB takes them only while nothing was ever written there.",
        when: Live,
        value: Box::new(Place {
            form: form_of_nodes(|all: &Settings| all.listen.addresses()),
            get: |all| Some(&all.nodes),
            get_mut: |all| Some(&mut all.nodes),
        }),
    }
}

fn consistency_setting() -> Setting<Settings> {
    Setting {
        key: "consistency",
        meaning: "What the [block tags](../guide/consistency.md) `latest`, `safe` and `finalized` mean. `monotonic`: \
                  one block for all nodes, and never an older one again. `none`: what the node that is asked takes \
                  them for. `pinned` is the former name of `monotonic`.",
        when: Live,
        value: Box::new(Place {
            form: choice(&[
                ("monotonic", Consistency::Monotonic),
                // What it once said, `monotonic` says now.
                ("pinned", Consistency::Monotonic),
                ("none", Consistency::None),
            ]),
            get: |all: &Settings| Some(&all.consistency),
            get_mut: |all| Some(&mut all.consistency),
        }),
    }
}
