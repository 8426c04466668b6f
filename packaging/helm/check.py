"""The chart: what Helm's lint says, whether Kubernetes takes what it renders, and whether Forebay does."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import kubernetes_validate
import yaml

CHART = pathlib.Path(__file__).parent / "forebay"
HELM, FOREBAY = os.environ["HELM"], os.environ["FOREBAY"]
# The oldest that the chart says it is for, and the newest that there are schemas of.
KUBERNETES = ["1.25", kubernetes_validate.latest_version()]
# Of the Prometheus operator: Kubernetes has no schema of it.
FOREIGN = {"ServiceMonitor"}

SMALL = {"image": {"repository": "registry.example.com/forebay"}}
FULL = SMALL | {
    "replicas": 3,
    "imagePullSecrets": [{"name": "registry"}],
    "configuration": {
        "chain": {"id": 1},
        "nodes": [
            {"url": "${LEADER_URL}", "leader": True, "name": "infura"},
            {"url": "http://geth.nodes:8545", "ws_url": "ws://geth.nodes:8546", "name": "geth-1"},
        ],
        # As values are written by hand, where `on` is true.
        "listen": {"trusted_proxies": ["10.0.0.0/8"], "compression": True},
        "calls": {"hedge": False, "leader_share": 0.01},
        "sockets": {"sockets_max": 1000},
    },
    "secret": "forebay",
    "env": [{"name": "FOREBAY_LOG", "value": "info"}],
    "serviceAccountName": "forebay",
    "lameDuckSeconds": 15,
    "drainSeconds": 45,
    "service": {"type": "LoadBalancer", "port": 80, "annotations": {"example.com/internal": "true"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "rpc", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
}


def helm(command, values, chart=CHART):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        return subprocess.run(
            [HELM, *command, str(chart), "--values", file.name], capture_output=True, text=True, check=False
        )


def rendered(values, chart=CHART):
    done = helm(["template", "forebay"], values, chart)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def refusal(values):
    done = helm(["template", "forebay"], values)
    assert done.returncode != 0, done.stdout
    return done.stderr


def the(kind, objects):
    [found] = [found for found in objects if found["kind"] == kind]
    return found


def validate(objects):
    for version in KUBERNETES:
        for found in objects:
            if found["kind"] not in FOREIGN:
                kubernetes_validate.validate(found, version, strict=True)


def pod(objects):
    return the("Deployment", objects)["spec"]["template"]


def said(objects, *arguments):
    """What Forebay says of the configuration."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "pingora.yaml"
        file.write_text(the("ConfigMap", objects)["data"]["pingora.yaml"])
        environment = {"LEADER_URL": "https://mainnet.example.com/v3/key"}
        done = subprocess.run(
            [FOREBAY, "check", *arguments, "-c", file], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Chart(unittest.TestCase):
    def test_lint_finds_nothing(self):
        for values in ({}, SMALL, FULL):
            done = helm(["lint", "--strict"], values)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_kubernetes_takes_what_it_renders(self):
        for values in (SMALL, FULL):
            validate(rendered(values))

    def test_a_slip_of_the_pen_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            slip = shutil.copytree(CHART, pathlib.Path(folder) / "forebay")
            template = slip / "templates" / "deployment.yaml"
            template.write_text(template.read_text().replace("readinessProbe", "readyProbe"))
            with self.assertRaises(kubernetes_validate.ValidationError):
                validate(rendered(SMALL, slip))

    def test_forebay_takes_the_configuration(self):
        for values in (SMALL, FULL):
            said(rendered(values))
        taken = yaml.safe_load(said(rendered(FULL), "--print"))["forebay"]
        self.assertEqual(taken["listen"]["trusted_proxies"], ["10.0.0.0/8"])
        self.assertIn(taken["listen"]["compression"], ("on", True))
        self.assertEqual([node["name"] for node in taken["nodes"]], ["infura", "geth-1"])

    def test_pods_are_ended_after_the_lame_duck_time_and_the_drain(self):
        for values in (SMALL, FULL):
            objects = rendered(values)
            shutdown = yaml.safe_load(said(objects, "--print"))["forebay"]["shutdown"]
            lame_duck, drain = (int(shutdown[key].removesuffix("s")) for key in ("lame_duck", "drain"))
            self.assertEqual(lame_duck, values.get("lameDuckSeconds", 10))
            grace = pod(objects)["spec"]["terminationGracePeriodSeconds"]
            self.assertEqual(grace, lame_duck + drain + 10)

    def test_probes_and_services_reach_the_ports_that_are_listened_at(self):
        objects = rendered(FULL)
        [container] = pod(objects)["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        listen = yaml.safe_load(the("ConfigMap", objects)["data"]["pingora.yaml"])["forebay"]["listen"]
        self.assertEqual(listen["http"], [f"0.0.0.0:{ports['http']}"])
        self.assertEqual(listen["metrics"], f"0.0.0.0:{ports['metrics']}")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertEqual(container[probe]["httpGet"], {"path": "/health", "port": "http"})
        for service in (found for found in objects if found["kind"] == "Service"):
            for port in service["spec"]["ports"]:
                self.assertIn(port["targetPort"], ports)

    def test_what_is_selected_is_there(self):
        objects = rendered(FULL)
        labels = pod(objects)["metadata"]["labels"].items()
        pods = [found["spec"]["selector"] for found in objects if found["kind"] == "Service"]
        pods += [the(kind, objects)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
        for selector in pods:
            self.assertLessEqual(selector.items(), labels)
        monitored = the("ServiceMonitor", objects)["spec"]["selector"]["matchLabels"].items()
        services = [found for found in objects if found["kind"] == "Service"]
        found = [service["metadata"]["name"] for service in services if monitored <= service["metadata"]["labels"].items()]
        self.assertEqual(found, ["forebay-metrics"])

    def test_a_single_pod_may_be_drained(self):
        kinds = {found["kind"] for found in rendered(SMALL | {"replicas": 1})}
        self.assertNotIn("PodDisruptionBudget", kinds)
        self.assertEqual(the("PodDisruptionBudget", rendered(SMALL))["spec"]["maxUnavailable"], 1)

    def test_another_configuration_makes_new_pods(self):
        def digest(seconds):
            return pod(rendered(SMALL | {"drainSeconds": seconds}))["metadata"]["annotations"]["checksum/configuration"]

        self.assertEqual(digest(20), digest(20))
        self.assertNotEqual(digest(20), digest(21))

    def test_bad_values_are_refused_in_words(self):
        for values, words in (
            ({}, "image.repository is needed"),
            (SMALL | {"replica": 2}, "'replica' not allowed"),
            (SMALL | {"replicas": 0}, "/replicas"),
            (SMALL | {"drainSeconds": "20s"}, "/drainSeconds"),
            (SMALL | {"configuration": {"shutdown": {"drain": "1s"}}}, "say lameDuckSeconds and drainSeconds"),
            (SMALL | {"configuration": {"listen": {"metrics": "off"}}}, "configuration.listen.metrics: the chart"),
        ):
            self.assertIn(words, refusal(values))


if __name__ == "__main__":
    unittest.main()
