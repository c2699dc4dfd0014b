"""Networks of other distributions beside the built-in ones, their roles, and what is refused."""

import pytest
from support.plugins import distribution

from kd_planner_ros.core.errors import ConfigError, PlannerError, PluginError
from kd_planner_ros.core.plugins import NETWORKS
from kd_planner_ros.networks import registry
from kd_planner_ros.networks.training import WHOLE, NoOptions

CONFIG = """
    from dataclasses import dataclass
    from kd_planner_ros.core.sensors import SensorRig
    ROLE = "perceiver"
    ENGINES = ("torch",)
    @dataclass(frozen=True)
    class Config:
        width: int = 4
        rig = SensorRig()
        rate_hz = 10.0
    CONFIGURATIONS = (Config(),)
"""
MODEL = """
    INPUTS, OUTPUTS = ("x",), ("y",)
    def build_model(config): ...
    def example_inputs(config, batch=1): ...
"""
PROCESSOR = "def build_processor(config): ...\n"
TRAINING = "config_fields = build_task = None\n"
OPTIONS = "from dataclasses import dataclass, field\n@dataclass(frozen=True)\nclass TrainOptions:\n    {}\n"


def network(package, **changed):
    files = {"config": CONFIG, "model": MODEL, "processor": PROCESSOR, "training": TRAINING, **changed}
    return {f"{package}/tiny/{part}.py": text for part, text in files.items() if text}


def install(monkeypatch, folder, package, name="tiny", **changed):
    distribution(monkeypatch, folder, package, {NETWORKS: {name: f"{package}.tiny"}}, network(package, **changed))


def test_a_strangers_network_is_found_beside_the_built_in_ones(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path, "rg_good", "stranger")
    assert {"stranger", "tcp", "constant_velocity"} <= set(registry.folders())
    found = registry.find_network("stranger")
    assert (found.role, found.engines, found.inputs) == ("perceiver", ("torch",), ("x",))
    assert registry.role_of("stranger") == "perceiver" and registry.role_of("tcp") == "planner"
    assert registry.role_of("constant_velocity") == "planner" and not registry.is_weightless("stranger")
    found = registry.find_training("stranger")
    assert (found.name, found.options, found.stages, found.backbone) == ("stranger", NoOptions, WHOLE, "")
    assert registry.find_network("tcp").engines == registry.ENGINES
    assert registry.find_network("tcp").bfloat16 and registry.find_network("stranger").bfloat16


def test_the_built_in_networks_can_be_trained():
    for name in ("tcp", "interfuser"):
        assert registry.find_training(name).backbone
    with pytest.raises(ConfigError, match="without training.py"):
        registry.find_training("constant_velocity")


@pytest.mark.parametrize("changed, words", [
    ({"config": CONFIG.replace('"perceiver"', '"oracle"')}, "ROLE.*oracle"),
    ({"config": CONFIG.replace('("torch",)', '("openvino",)')}, "ENGINES.*openvino"),
    ({"config": CONFIG.replace('("torch",)', '("torch", "abacus")')}, "ENGINES.*abacus"),
    ({"processor": None}, "tiny/processor.py.*no such file"),
    ({"model": MODEL.replace("example_inputs", "examples")}, "'example_inputs' in .*model.py"),
    ({"model": "import no_such_library\n"}, "distribution 'rg_unfit.*no_such_library"),
    ({"processor": """
        from kd_planner_ros.networks.planner import Processor
        class Mine(Processor):
            def encode(self): ...
        def build_processor(config): ...
     """}, "distribution 'rg_unfit.*Mine.encode with 1 argument"),
])
def test_a_network_that_breaks_the_convention_is_refused_by_name(tmp_path, monkeypatch, changed, words, request):
    install(monkeypatch, tmp_path, f"rg_unfit{abs(hash(request.node.name))}", **changed)
    with pytest.raises(PlannerError, match=words):
        registry.find_network("tiny")
    assert registry.find_network("tcp").name == "tcp"


@pytest.mark.parametrize("changed, kind, words", [
    ({"training": None}, ConfigError, "'tiny' without training.py"),
    ({"training": TRAINING + "TrainOptions = int\n"}, PlannerError, "TrainOptions of network 'tiny'.*int is no dataclass"),
    ({"training": TRAINING + OPTIONS.format("gain: float")}, PlannerError, "TrainOptions of network 'tiny'.*gain without a default"),
    ({"training": TRAINING + OPTIONS.format("gain: float = 1.0")}, PlannerError, "gain without a help text"),
    ({"training": TRAINING + OPTIONS.format("gain: dict = field(default=None, metadata={'help': 'x'})")}, PlannerError, "no option"),
    ({"training": TRAINING + OPTIONS.format("gain: 'Nowhere' = field(default=None, metadata={'help': 'x'})")}, PlannerError, "Nowhere"),
    ({"training": "BACKBONE = ''\n"}, PlannerError, "in .*training.py"),
])
def test_what_training_needs_is_checked(tmp_path, monkeypatch, changed, kind, words, request):
    install(monkeypatch, tmp_path, f"rg_untrained{abs(hash(request.node.name))}", **changed)
    assert registry.find_network("tiny").name == "tiny"
    with pytest.raises(kind, match=words):
        registry.find_training("tiny")


@pytest.mark.parametrize("task, words", [
    ("def build_task(processor, options): return 5\n", "build_task of network 'tiny' to give a LearningTask; got int"),
    ("def build_task(processor): ...\n", "build_task.processor, options. of network 'tiny'.*takes 1 positional"),
    ("from kd_planner_ros.networks.training import LearningTask\nclass Half(LearningTask): ...\n"
     "def build_task(processor, options): return Half()\n", "network 'tiny'.*abstract class Half.*loss")])
def test_a_task_that_breaks_the_contract_is_named(tmp_path, monkeypatch, task, words, request):
    install(monkeypatch, tmp_path, f"rg_task{abs(hash(request.node.name))}", training=f"config_fields = None\n{task}")
    with pytest.raises(PlannerError, match=words) as caught:
        registry.find_training("tiny").build_task(None, None)
    assert "\n" not in str(caught.value)


def test_a_broken_plugin_is_named_once_and_the_rest_works(tmp_path, monkeypatch, capsys):
    distribution(monkeypatch, tmp_path, "rg-broken", {NETWORKS: {"broken": "rg_broken", "empty": "rg_broken_too"}},
                 {"rg_broken/__init__.py": "raise RuntimeError('no licence')\n", "rg_broken_too/__init__.py": ""})
    assert {"tcp", "interfuser"} <= set(registry.folders()) and "broken" not in registry.folders()
    said = capsys.readouterr().err
    assert said.count("plugin 'broken'") == 1 and "rg-broken" in said and "no licence" in said and "plugin 'empty'" in said
    for name in ("broken", "empty"):
        for ask in (registry.find_network, registry.is_weightless, registry.role_of, registry.find_training):
            with pytest.raises(PluginError, match=f"plugin '{name}'.*rg-broken"):
                ask(name)


def test_names_that_two_offer(tmp_path, monkeypatch, capsys):
    install(monkeypatch, tmp_path, "rg_one", "twin")
    install(monkeypatch, tmp_path, "rg_two", "twin")
    install(monkeypatch, tmp_path, "rg_three", "tcp")
    for name, words in (("twin", "rg_one and rg_two"), ("tcp", "kd_planner_ros and rg_three")):
        with pytest.raises(PluginError, match=words):
            registry.find_network(name)
    names = registry.folders()
    assert "interfuser" in names and not {"twin", "tcp"} & set(names)
    assert capsys.readouterr().err.count("warning") == 2


def test_models_without_weights_of_either_role(tmp_path, monkeypatch):
    perceiver = """
        from kd_planner_ros.core.sensors import SensorRig
        from kd_planner_ros.networks.planner import Perceiver
        class Blind(Perceiver):
            name, rig, rate_hz = "blind", SensorRig(), 10.0
            def reset(self): ...
            def perceive(self, frame): ...
        build_perceiver = Blind
    """
    distribution(monkeypatch, tmp_path, "rg-blind", {NETWORKS: {"blind": "rg_blind"}}, {"rg_blind/perceiver.py": perceiver})
    assert registry.is_weightless("blind") and registry.role_of("blind") == "perceiver"
    assert registry.build_weightless("blind").name == "blind"
    assert registry.build_weightless("constant_velocity").role == "planner"
