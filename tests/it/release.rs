//! What a release is made of fits the program: the pages of the manual, the Debian package, the Helm chart.
//!
//! `./dev release` makes and tries a whole one, `./dev chart` renders the chart: both take long.

use crate::support::in_repository;
use forebay::config;
use forebay::config::settings::Settings;

fn text_of(path: &str) -> String {
    std::fs::read_to_string(in_repository(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// What follows `key` in the line that begins with it.
fn said<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let line = line.unwrap_or_else(|| panic!("no line begins with {key}"));
    line.split(" #").next().unwrap().trim().trim_matches('"')
}

/// The program's commands with those under them, as `forebay backends add`.
#[cfg(feature = "papers")]
fn commands(of: &clap::Command, before: &str) -> Vec<String> {
    let name = format!("{before}{}", of.get_name());
    let below = of
        .get_subcommands()
        .flat_map(|command| commands(command, &format!("{name} ")));
    let below: Vec<_> = below.collect();
    [vec![name], below].concat()
}

#[cfg(feature = "papers")]
#[test]
fn completions_and_the_manual_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let mut papers = std::process::Command::new(env!("CARGO_BIN_EXE_papers"));
    assert!(papers.arg(folder.path()).status().unwrap().success());
    let completions = ["forebay.bash", "_forebay", "forebay.fish"];
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    let completions = completions.map(|file| read(&format!("completions/{file}")));
    let commands = commands(&forebay::cli::command(), "");
    assert!(commands.contains(&"forebay backends add".to_string()));
    for command in &commands {
        let last = command.split(' ').next_back().unwrap();
        for text in &completions {
            assert!(text.contains(last), "{command}");
        }
        let page = read(&format!("man/{}.1", command.replace(' ', "-")));
        let title = command.replace(' ', "\\-");
        assert!(page.contains(&title), "{command}: {page}");
    }
    // A page names only pages that are there.
    for command in &commands {
        let page = read(&format!("man/{}.1", command.replace(' ', "-")));
        for named in page.lines().filter_map(|line| line.strip_suffix("(1)")) {
            let named = named.replace("\\-", "-");
            assert!(
                folder.path().join(format!("man/{named}.1")).exists(),
                "{command}: {named}"
            );
        }
    }
}

#[test]
fn the_package_is_made_of_what_is_there() {
    let manifest = text_of("Cargo.toml");
    let assets = manifest.split_once("\nassets = [\n").unwrap().1;
    let assets = assets.split_once("\n]").unwrap().0;
    let mut places = vec![];
    for asset in assets.lines() {
        let parts: Vec<_> = asset.split('"').collect();
        let (source, place) = (parts[1], parts[3]);
        places.push(place);
        // What release.sh puts there.
        if source.starts_with("dist/stage/") {
            continue;
        }
        let fixed = source.split('*').next().unwrap();
        assert!(in_repository(fixed).exists(), "{source}");
    }
    // No more than release.sh lets a program ask for.
    let glibc = text_of("packaging/release.sh");
    let glibc = said(&glibc, "GLIBC_MAX=");
    assert!(said(&manifest, "depends = ").starts_with(&format!("libc6 (>= {glibc}), ")));
    assert!(text_of("docs/guide/release.md").contains(&format!("glibc {glibc} or later")));
    // Where the unit looks for them.
    let unit = text_of("packaging/forebay.service");
    assert!(
        said(&unit, "ExecStart=")
            .starts_with("/usr/bin/forebay serve -c /etc/forebay/pingora.yaml")
    );
    assert!(places.contains(&"usr/bin/") && places.contains(&"etc/forebay/"));
}

/// Release.sh takes the comment sign away and puts the unit's own place there.
#[test]
fn the_shipped_configuration_has_a_line_for_the_units_socket() {
    let shipped = text_of("conf/pingora.yaml");
    let line = shipped
        .lines()
        .find(|line| line.starts_with("# upgrade_sock: "));
    let line = line.unwrap().replace("# upgrade_sock", "upgrade_sock");
    let ours = shipped.replace(&format!("# {line}"), &line);
    assert_ne!(ours, shipped);
    assert!(config::read(&ours, &|_| None).settings.is_some());
    assert_eq!(
        said(&text_of("packaging/forebay.service"), "RuntimeDirectory="),
        "forebay"
    );
    assert!(text_of("packaging/release.sh").contains("|upgrade_sock: /run/forebay/upgrade.sock|"));
}

#[test]
fn the_chart_is_the_programs() {
    let chart = text_of("packaging/helm/forebay/Chart.yaml");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (said(&chart, "version:"), said(&chart, "appVersion:")),
        (version, version)
    );
    let values = text_of("packaging/helm/forebay/values.yaml");
    let defaults = Settings::default().shutdown;
    let times = [defaults.lame_duck, defaults.drain].map(|time| time.as_secs().to_string());
    assert_eq!(
        [
            said(&values, "lameDuckSeconds:"),
            said(&values, "drainSeconds:")
        ],
        times
    );
    // The image's user and folders.
    let image = text_of("Dockerfile");
    let pod = text_of("packaging/helm/forebay/templates/deployment.yaml");
    let user = said(&image, "USER ");
    let (user, group) = user.split_once(':').unwrap();
    for wanted in [
        format!("runAsUser: {user}\n"),
        format!("runAsGroup: {group}\n"),
        format!("fsGroup: {group}\n"),
        format!(
            "containerPort: {} }}",
            said(&image, "EXPOSE ").split(' ').next().unwrap()
        ),
        "mountPath: /forebay/conf".to_string(),
        "mountPath: /forebay/data".to_string(),
    ] {
        assert!(pod.contains(&wanted), "{wanted}");
    }
    let manual = text_of("docs/guide/deploy.md");
    assert!(manual.contains(&format!("helm install forebay forebay-{version}.tgz")));
    assert!(manual.contains(&format!("./forebay_{version}-1_amd64.deb")));
}
