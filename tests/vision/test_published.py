"""Published weights come whole, from a file or from the hub, or one line says which, from where, under what licence."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from eyes import TINY_DEPTH, TINY_VIT, close, filled, refusal, save_dinov2, save_single_frame, video
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from egoreact.vision import dinov2, published
from egoreact.vision.dinov2 import load_dinov2
from egoreact.vision.published import Published
from egoreact.vision.video_depth import (
    DepthModelConfig,
    VideoDepth,
    VideoDepthConfig,
    checkpoint,
    load_depth,
    load_single_frame_depth,
    load_video_depth,
    single_frame,
)

LOADERS: list[tuple[Published, Callable[..., nn.Module]]] = [
    (dinov2.PUBLISHED, partial(load_dinov2, TINY_VIT)),
    (checkpoint.PUBLISHED, partial(load_video_depth, config=TINY_DEPTH)),
    (single_frame.PUBLISHED, partial(load_single_frame_depth, config=TINY_DEPTH)),
]
each_network = pytest.mark.parametrize(("weights", "load"), LOADERS, ids=["dinov2", "video depth", "single frame"])


@pytest.fixture(autouse=True)
def no_local_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    for weights, _ in LOADERS:
        monkeypatch.delenv(weights.variable, raising=False)


def save(weights: Published, folder: Path) -> Path:
    """A miniature of the published file."""
    folder.mkdir(exist_ok=True)
    if weights is dinov2.PUBLISHED:
        save_dinov2(folder)
    elif weights is single_frame.PUBLISHED:
        save_single_frame(folder)
    else:
        torch.save(filled(VideoDepth(TINY_DEPTH)).state_dict(), folder / weights.file)
    return folder / weights.file


def rewrite(path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    change(state)
    if path.suffix == ".safetensors":
        save_file(state, path, metadata={"format": "pt"})
    else:
        torch.save(state, path)


def assert_says_how_to_get_it(said: str, weights: Published) -> None:
    for part in (weights.repository, weights.revision, weights.file, weights.licence, weights.variable):
        assert part in said


# --- files ----------------------------------------------------------------------------------------------------------


@each_network
def test_a_variable_names_the_file_or_its_folder(weights, load, tmp_path, monkeypatch, capfd):
    path = save(weights, tmp_path / "here")
    capfd.readouterr()
    for named in (path, path.parent):
        monkeypatch.setenv(weights.variable, str(named))
        assert not load().training
    assert capfd.readouterr().err == ""


@each_network
def test_a_missing_file_says_how_to_get_it(weights, load, tmp_path, monkeypatch):
    for absent in (tmp_path / "none.pth", tmp_path):
        monkeypatch.setenv(weights.variable, str(absent))
        assert_says_how_to_get_it(refusal(load), weights)


@each_network
def test_keys_that_do_not_fit_are_named(weights, load, tmp_path, capfd):
    path = save(weights, tmp_path / "here")
    capfd.readouterr()
    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    norm = next(key for key, value in state.items() if key.endswith(("norm.bias", "layernorm.bias")))
    gone = [key for key in state if key.endswith("bias") and key != norm][:4]

    def spoil(state: dict[str, Tensor]) -> None:
        for key in gone:
            del state[key]
        state["more"] = torch.zeros(1)
        state[norm] = torch.zeros(17)

    rewrite(path, spoil)
    said = refusal(load, path)
    assert "lacks " in said and " and 1 more; holds what the network has not: more; " in said
    assert f"{norm} (17,), not ({len(state[norm])},)" in said
    assert_says_how_to_get_it(said, weights)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 a broken archive", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@each_network
def test_a_broken_file_is_one_line(tmp_path, content, suffix, weights, load):
    (tmp_path / f"broken{suffix}").write_bytes(content)
    assert_says_how_to_get_it(refusal(load, tmp_path / f"broken{suffix}"), weights)


class Code:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    torch.save({"code": Code(tmp_path / "was-run")}, tmp_path / "evil.pth")
    assert "cannot be read as plain weights" in refusal(load_video_depth, tmp_path / "evil.pth")
    assert not (tmp_path / "was-run").exists()
    torch.save([1, 2], tmp_path / "list.pth")
    assert "something else than named weights" in refusal(load_video_depth, tmp_path / "list.pth")


def test_video_depth_comes_in_both_formats_and_in_half_precision(tmp_path):
    network = filled(VideoDepth(TINY_DEPTH))
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    for name in ("weights.pth", "weights.safetensors"):
        loaded = load_video_depth(tmp_path / name, TINY_DEPTH)
        for key, value in network.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value), key
        assert loaded.pretrained.pos_embed.device.type == "cpu"
    torch.save({key: value.half() for key, value in network.state_dict().items()}, tmp_path / "half.pth")
    half, state = load_video_depth(tmp_path / "half.pth", TINY_DEPTH), network.initial_state(1, 30, 44)
    close(half.step(video(1), state)[0], network.step(video(1), network.initial_state(1, 30, 44))[0], 2e-2)


def test_the_model_for_relative_depth_is_refused(tmp_path):
    path = tmp_path / "video_depth_anything_vits.pth"
    torch.save(filled(VideoDepth(TINY_DEPTH)).state_dict(), path)
    assert "relative depth" in refusal(load_video_depth, path, TINY_DEPTH)


def test_video_depth_anything_small_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("EGOREACT_VIDEO_DEPTH", str(save(checkpoint.PUBLISHED, tmp_path)))
    assert "lacks " in refusal(load_depth, DepthModelConfig())
    assert isinstance(load_depth(DepthModelConfig(network=TINY_DEPTH)), VideoDepth)
    assert VideoDepthConfig().width == 384


# --- the hub --------------------------------------------------------------------------------------------------------


class Hub(ThreadingHTTPServer):
    """A server that speaks as much of the hub's protocol as a download takes."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], *, hangs: bool = False):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.hangs, self.closing, self.asked = files, hangs, threading.Event(), []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append(self.path)
        if self.server.hangs:
            self.server.closing.wait(30)
            return
        content = self.server.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.send_header("ETag", '"a-tag"')
        self.send_header("X-Repo-Commit", self.path.split("/")[4] if self.path.count("/") > 4 else "")
        self.end_headers()
        if body:
            self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def use_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Hub], Hub]]:
    started: list[Hub] = []

    def use(hub: Hub) -> Hub:
        started.append(hub)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        return hub

    yield use
    for hub in started:
        hub.stop()


def test_the_hub_is_asked_for_the_pinned_commit_and_only_once(tmp_path, use_hub):
    weights = checkpoint.PUBLISHED
    content = save(weights, tmp_path / "there").read_bytes()
    path = f"/{weights.repository}/resolve/{weights.revision}/{weights.file}"
    hub = use_hub(Hub({path: content}))
    load_depth(DepthModelConfig(network=TINY_DEPTH))
    asked = len(hub.asked)
    assert {place for place in hub.asked if not place.startswith("/api/")} == {path}
    load_depth(DepthModelConfig(network=TINY_DEPTH))
    assert len(hub.asked) == asked


@each_network
def test_a_hub_that_knows_no_such_file_is_one_line(weights, load, use_hub):
    use_hub(Hub({}))
    assert_says_how_to_get_it(refusal(load), weights)


@each_network
def test_a_hub_that_refuses_is_one_line(weights, load, use_hub):
    use_hub(Hub({})).stop()
    assert_says_how_to_get_it(refusal(load), weights)


def test_a_hub_that_never_answers_is_given_up(use_hub, monkeypatch):
    monkeypatch.setattr(published, "HUB_ANSWERS_WITHIN_S", 0.5)
    hub = use_hub(Hub({}, hangs=True))
    assert_says_how_to_get_it(refusal(load_dinov2, TINY_VIT), dinov2.PUBLISHED)
    assert len(hub.asked) == 1


def test_offline_is_one_line(use_hub, monkeypatch):
    use_hub(Hub({}))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert_says_how_to_get_it(refusal(load_dinov2, TINY_VIT), dinov2.PUBLISHED)
