"""Engines: the same tensors in, the same tensors out, whichever library multiplies.

``torch`` always works. ``openvino`` and ``onnxruntime`` are optional packages that are given the network as one graph
with fixed shapes and unrolled time steps.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import CardError, ConfigError
from kd_planner_ros.core.files import write_bytes
from kd_planner_ros.networks.registry import Network
from kd_planner_ros.runtime.openvino_core import load_openvino

ENGINES = ("auto", "torch", "openvino", "onnxruntime")
PACKAGES = {"torch": (), "openvino": ("openvino",), "onnxruntime": ("onnx", "onnxscript", "onnxruntime")}
"""What each engine imports beside torch."""
TOLERANCE = {"float32": 2e-3, "bfloat16": 5e-2}
"""Largest deviation from torch float32 accepted at warm-up, relative to 1 + the largest value of each output."""


class Engine(ABC):
    """A network made ready to run. ``describe`` is a short text for diagnostics and reports."""

    describe: str
    tolerance: float
    spent_ms: Mapping[str, float] = {}
    """Time of each part in the last run; empty for a network that runs as one."""

    @abstractmethod
    def run(self, inputs: Mapping[str, Tensor], due: Collection[str] | None = None) -> dict[str, Tensor]:
        """The network's declared outputs for ``inputs`` (CPU tensors of the example's shapes), on the CPU.

        Args:
            due: parts of the network that run, of an engine that runs it in parts; None: all.
        """


class _Exportable(nn.Module):
    """The network as a function from a tuple to a tuple, as exporters want it."""

    def __init__(self, model: nn.Module, outputs: tuple[str, ...]):
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The declared outputs in their declared order."""
        found = self.model(*inputs)
        return tuple(found[name] for name in self.outputs)


class TorchEngine(Engine):
    """Eager torch: float32, or bfloat16 autocast where the processor has instructions for it and the network allows it; channels
    last. With ``stay`` results stay on the device."""

    def __init__(self, model: nn.Module, network: Network, device: str = "cpu", stay: bool = False):
        self._device, self._stay = torch.device(device), stay
        self._half = network.bfloat16 and fast_bfloat16(self._device)
        self._model = model.eval().to(self._device, memory_format=torch.channels_last)
        self._inputs, self._outputs = network.inputs, network.outputs
        precision = "bfloat16" if self._half else "float32"
        self.tolerance = TOLERANCE[precision]
        self.describe = f"torch {precision} {self._device.type}"

    def run(self, inputs: Mapping[str, Tensor], due: Collection[str] | None = None) -> dict[str, Tensor]:
        """See ``Engine.run``."""
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            found = self._model(*(inputs[name].to(self._device) for name in self._inputs))
        results = {name: _as_float32(found[name]) for name in self._outputs}
        return results if self._stay else {name: tensor.cpu() for name, tensor in results.items()}


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU in float32; the graph is converted in this process, nothing is downloaded.

    ``cache`` names a file (without its ending) where the converted graph is kept, as conversion takes seconds; ``anew``
    converts all the same, and replaces what is there.
    With ``fixed``, or where the network asks for it, the graph is planned for the example's shapes: faster, and less memory. Without a
    ``model`` the graph must be in the cache. ``compiled`` is OpenVINO's own object, for its properties.

    Raises:
        CardError: neither a model nor a graph in the cache.
    """

    def __init__(self, model: nn.Module | None, network: Network, example: Mapping[str, Tensor], cache: Path | None = None,
                 anew: bool = False, fixed: bool = False):
        openvino, core = load_openvino()
        graph = None if anew else _cached(core, cache)
        self.from_cache = graph is not None
        if graph is None and model is None:
            raise CardError(f"a converted graph at {cache}", "none that can be read", "convert the model again")
        if graph is None:
            graph = _convert(openvino, model, network, example)
            _store(openvino, graph, cache)
        if fixed or network.fixed_shapes:
            graph.reshape({port: openvino.PartialShape(list(example[name].shape))
                           for port, name in zip(graph.inputs, network.inputs, strict=True)})
        threads = torch.get_num_threads()
        # Pinned threads, OpenVINO's default, all choose the first cores: two planners, or one beside a busy node, would
        # share one core while others idle.
        self.compiled = core.compile_model(graph, "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False})
        self._request = self.compiled.create_infer_request()
        self._inputs, self._outputs = network.inputs, network.outputs
        self.tolerance = TOLERANCE["float32"]
        self.describe = f"openvino {openvino.__version__.split('-')[0]} float32 cpu, {threads} threads"

    def run(self, inputs: Mapping[str, Tensor], due: Collection[str] | None = None) -> dict[str, Tensor]:
        """See ``Engine.run``."""
        arrays = tuple(inputs[name].contiguous().numpy() for name in self._inputs)  # of a list every input would be looked at first
        found = self._request.infer(arrays, share_inputs=True, share_outputs=True)  # each is copied otherwise; outputs are, just below
        return {name: torch.from_numpy(found[index].copy()) for index, name in enumerate(self._outputs)}


class TracedEngine(Engine):
    """Traced torch in float32 on the CPU, for a part that is ``traced``; ``cache``, ``anew`` and the error are as for OpenVINO."""

    def __init__(self, model: nn.Module | None, network: Network, example: Mapping[str, Tensor], cache: Path | None = None,
                 anew: bool = False):
        file = cache and cache.with_suffix(".pt")
        graph = None if anew else _read_traced(file)
        self.from_cache = graph is not None
        if graph is None and model is None:
            raise CardError(f"a traced graph at {file}", "none that can be read", "convert the model again")
        if graph is None:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # sizes become constants: they are fixed
                inputs = tuple(example[name] for name in network.inputs)
                graph = torch.jit.freeze(torch.jit.trace(_Exportable(model, network.outputs).eval(), inputs, check_trace=False))
            _store_traced(graph, file)
        self._graph, self._inputs, self._outputs = graph, network.inputs, network.outputs
        self.tolerance, self.describe = TOLERANCE["float32"], f"traced torch float32 cpu, {torch.get_num_threads()} threads"

    def run(self, inputs: Mapping[str, Tensor], due: Collection[str] | None = None) -> dict[str, Tensor]:
        """See ``Engine.run``."""
        with torch.inference_mode():
            return dict(zip(self._outputs, self._graph(*(inputs[name] for name in self._inputs)), strict=True))


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime on the CPU in float32, from a graph exported in memory. Needs onnx, onnxscript and onnxruntime."""

    def __init__(self, model: nn.Module, network: Network, example: Mapping[str, Tensor]):
        import onnxruntime
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            program = torch.onnx.export(
                _Exportable(model, network.outputs).eval(), tuple(example[name] for name in network.inputs),
                input_names=list(network.inputs), output_names=list(network.outputs), dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(
            program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._inputs, self._outputs = network.inputs, network.outputs
        self.tolerance = TOLERANCE["float32"]
        self.describe = f"onnxruntime {onnxruntime.__version__} float32 cpu, {options.intra_op_num_threads} threads"

    def run(self, inputs: Mapping[str, Tensor], due: Collection[str] | None = None) -> dict[str, Tensor]:
        """See ``Engine.run``."""
        feed = {name: inputs[name].contiguous().numpy() for name in self._inputs}
        found = self._session.run(list(self._outputs), feed)
        return {name: torch.from_numpy(array) for name, array in zip(self._outputs, found, strict=True)}


def _as_float32(tensor: Tensor) -> Tensor:
    """``tensor`` in float32 where it holds real numbers; indices and masks stay as they are."""
    return tensor.float() if tensor.is_floating_point() else tensor


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 on ``device``: on GPUs from Ampere on (older ones emulate it), on CPUs with
    AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def require_engine(engine: str, device: str, network: Network | None = None, torch_only: str = "") -> str:
    """The engine to use for ``device``; ``auto`` takes openvino on a CPU where it can be imported and can run ``network``, else
    torch. ``torch_only`` names the setting of the network's config that leaves torch alone, where there is one.

    Raises:
        ConfigError: an unknown engine, one whose package is missing or that cannot use the device or run the network, or no
            such device.
    """
    if engine not in ENGINES:
        raise ConfigError(f"an engine out of {', '.join(ENGINES)}", repr(engine), "correct --engine (engine of a node)")
    require_device(device)
    able = ("torch",) if torch_only else ENGINES[1:] if network is None else network.engines
    if engine == "auto":
        openvino = device == "cpu" and "openvino" in able and importlib.util.find_spec("openvino")
        return "openvino" if openvino else "torch"
    if network is not None and engine not in able:
        setting = f" with {torch_only}" if torch_only else ""
        raise ConfigError(f"an engine that runs network '{network.name}'{setting}: {', '.join(able)}", repr(engine),
                          f"use engine {able[0]}")
    if engine != "torch" and device != "cpu":
        raise ConfigError(f"device cpu with engine {engine}", repr(device), "use engine torch for a GPU")
    for package in PACKAGES[engine]:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"package {package} for engine {engine}", "no such package",
                              f"pip install {' '.join(PACKAGES[engine])}, or use engine torch")
    return engine


def require_device(device: str, others: tuple[str, ...] = ()) -> None:
    """Raise ConfigError where ``device`` (cpu, cuda, cuda:N) is not there; ``others`` are words that the caller takes beside
    these, for the sentence."""
    if not re.fullmatch("cpu|cuda(:(0|[1-9][0-9]*))?", device):
        raise ConfigError(f"device {', '.join((*others, 'cpu', 'cuda'))} or cuda:N", repr(device), "correct --device (device of a node)")
    kind, _, index = device.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"a GPU for device {device}", f"{torch.cuda.device_count()} visible to torch",
                          "use device cpu, or install torch for CUDA")


def _convert(openvino, model: nn.Module, network: Network, example: Mapping[str, Tensor]):
    """The network as an OpenVINO graph, by tracing: half the time of torch.export, and no branch depends on data."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside the converter
        return openvino.convert_model(_Exportable(model, network.outputs).eval(),
                                      example_input=tuple(example[name] for name in network.inputs))


def _cached(core, cache: Path | None):
    """The graph kept at ``cache``, or None where there is none or it cannot be read."""
    if cache is None or not (cache.with_suffix(".xml").is_file() and cache.with_suffix(".bin").is_file()):
        return None
    try:
        return core.read_model(cache.with_suffix(".xml"))
    except Exception:  # noqa: BLE001  cut off or written by another version: it is only a cache
        return None


def _store(openvino, graph, cache: Path | None) -> None:
    """Keep ``graph``; a cache that cannot be written is no error, the next start converts again."""
    if cache is None:
        return
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as scratch:
            openvino.save_model(graph, str(Path(scratch) / "graph.xml"), compress_to_fp16=False)
            for suffix in (".bin", ".xml"):
                os.replace(Path(scratch) / f"graph{suffix}", cache.with_suffix(suffix))
    except (OSError, RuntimeError):  # OpenVINO raises the latter where the disk is full
        return


def _read_traced(file: Path | None) -> torch.jit.ScriptModule | None:
    """The graph kept in ``file``, or None where there is none or it cannot be read."""
    try:
        return torch.jit.load(file) if file is not None and file.is_file() else None
    except (RuntimeError, OSError, ValueError):  # cut off, or of another version of torch
        return None


def _store_traced(graph: torch.jit.ScriptModule, file: Path | None) -> None:
    """Keep ``graph`` in ``file``; that it cannot be written is no error."""
    if file is None:
        return
    kept = io.BytesIO()
    torch.jit.save(graph, kept)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, kept.getvalue())
    except OSError:
        return
