"""Trains the network of the `chars-transformer` workload; writes its weights and the excerpts that go with them.

    python -m workloads.builtin.train_chars_transformer --out FOLDER [--only-excerpts]

The text is the source of the running interpreter's standard library. Of its files, sorted by path, every sixteenth is
held out: validation is of those alone. The blocks' matrices learn by Muon (Jordan et al. 2024; step sizes as of Liu et
al. 2025), all else by AdamW (Loshchilov & Hutter 2019), both under a one-cycle schedule. Matrix products run in
bfloat16 where the processor has them, weights and their updates in float32. Validation is looked at once, after the
last step, whose weights are the ones that are written.
"""

import argparse
import logging
import sysconfig
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from workloads.builtin.chars_transformer_data import CONTEXT, encode
from workloads.builtin.chars_transformer_network import CharsTransformer

BATCH_SIZE = 32
PEAK_LEARNING_RATE = 3e-3
WARM_UP = 0.1
WEIGHT_DECAY = 0.05
MOST_GRADIENT = 1.0
THREADS = 1

# Tests, generated tables, what other people's projects or the operating system put there.
LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "ensurepip", "encodings", "pydoc_data", "lib2to3", "idlelib"}
LEAST_CHARACTERS = 2_000
HOLD_OUT_EVERY = 16
CALIBRATION_WINDOWS = 256
TRAINING_WINDOWS = 16_384
"""For recovery, a quarter of all there are: the network itself learned from 44,800 at random places."""
VALIDATION_WINDOWS = 300
_WINDOW = CONTEXT + 1

_log = logging.getLogger(__name__)


def read_library(root: Path) -> list[NDArray[np.uint8]]:
    """The character codes (L,) of each Python file below `root`, sorted by path."""
    texts = []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if LEFT_OUT.isdisjoint(place.parts) and not place.parts[0].startswith(("config-", "_sysconfigdata")):
            text = path.read_text(encoding="utf-8")
            if len(text) >= LEAST_CHARACTERS:
                texts.append(encode(text))
    return texts


def excerpts(texts: list[NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    """`count` windows (count, 129), evenly spread over `texts`, no two of which share a character."""
    windows = np.concatenate([text[: len(text) // _WINDOW * _WINDOW].reshape(-1, _WINDOW) for text in texts])
    return windows[np.linspace(0, len(windows) - 1, count).astype(np.int64)]


def train(network: CharsTransformer, text: torch.Tensor, *, steps: int, seed: int) -> None:
    """Train `network` in place on random windows of `text`, character codes (L,)."""
    generator = torch.Generator().manual_seed(seed)
    hidden = [item for item in network.blocks.parameters() if item.ndim == 2]
    own = {id(item) for item in hidden}
    others = [item for item in network.parameters() if id(item) not in own]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(hidden, lr=PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=PEAK_LEARNING_RATE, total_steps=steps, pct_start=WARM_UP, cycle_momentum=False
        )
        for optimizer in optimizers
    ]
    within = torch.arange(_WINDOW)
    network.train()
    for step in range(steps):
        starts = torch.randint(len(text) - CONTEXT, (BATCH_SIZE, 1), generator=generator)
        windows = text[starts + within].long()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = network(windows[:, :-1])
        loss = functional.cross_entropy(scores.float().flatten(0, 1), windows[:, 1:].flatten())
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(network.parameters(), MOST_GRADIENT)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        if (step + 1) % 50 == 0:
            _log.info("step %d of %d: training loss %.4f", step + 1, steps, loss.item())


def initialize(network: nn.Module) -> None:
    """Small normal weights and zero biases, as Radford et al. 2019 start GPT-2."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.05)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def right_share(network: nn.Module, windows: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The share of next characters that the network gets right, per window: (N,)."""
    codes = torch.from_numpy(windows.astype(np.int64))
    network.eval()
    with torch.inference_mode():
        answers = torch.cat([network(part[:, :-1]).argmax(dim=2) for part in torch.split(codes, BATCH_SIZE)])
    share: NDArray[np.float64] = (answers == codes[:, 1:]).double().mean(dim=1).numpy()
    return share


def main() -> None:
    """Train, write weights and excerpts, and log the accuracy on both halves of the validation windows."""
    parser = argparse.ArgumentParser(description="Train the network of the chars-transformer workload.")
    parser.add_argument("--out", type=Path, required=True, help="the folder that the two files go to")
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-excerpts", action="store_true", help="leave the network as it is")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(THREADS)
    torch.manual_seed(arguments.seed)
    torch.use_deterministic_algorithms(True)
    texts = read_library(Path(sysconfig.get_path("stdlib")))
    held_out = texts[HOLD_OUT_EVERY // 2 :: HOLD_OUT_EVERY]
    learned = [text for number, text in enumerate(texts) if number % HOLD_OUT_EVERY != HOLD_OUT_EVERY // 2]
    _log.info("%d characters to learn, %d held out", sum(map(len, learned)), sum(map(len, held_out)))
    calibration, validation = excerpts(learned, CALIBRATION_WINDOWS), excerpts(held_out, VALIDATION_WINDOWS)
    np.savez_compressed(
        arguments.out / "chars_transformer.npz",
        allow_pickle=False,
        calibration=calibration,
        training=excerpts(learned, TRAINING_WINDOWS),
        validation=validation,
    )
    if arguments.only_excerpts:
        return
    network = CharsTransformer()
    initialize(network)
    train(network, torch.from_numpy(np.concatenate(learned)), steps=arguments.steps, seed=arguments.seed)
    save_file(network.state_dict(), arguments.out / "chars_transformer.safetensors")
    share = right_share(network, validation)
    values = (share.mean(), share[::2].mean(), share[1::2].mean())
    _log.info("accuracy: %.4f on all, %.4f on even (search), %.4f on odd (confirmation)", *values)


if __name__ == "__main__":
    main()
