"""The packages, their pinned versions, and the program of each that is run beside PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One program.

    requirements: the package and what else the program needs, pinned; a row's own are installed
        together with those of all others, without PyTorch.
    tolerance: how far numbers may be from PyTorch's, relative to the larger of 1 and the number.
    known: what differs, and why; empty where nothing does.
    """

    program: str
    requirements: tuple[str, ...]
    tolerance: float = 1e-4
    known: str = ""


TRANSFORMERS = ("transformers==5.24.0", "accelerate==1.15.0", "safetensors==0.8.0")

TABLE = (
    Row("safetensors_", ("safetensors==0.8.0",)),
    Row("einops_", ("einops==0.8.2",)),
    Row("torchinfo_", ("torchinfo==1.8.0",)),
    Row("torchmetrics_", ("torchmetrics==1.9.0",)),
    Row("skorch_", ("skorch==1.4.0", "scikit-learn==1.9.1")),
    Row("lightning_", ("lightning==2.6.6",)),
    Row("accelerate_", ("accelerate==1.15.0",)),
    Row("bert", TRANSFORMERS),
    Row("gpt2", TRANSFORMERS),
    Row("llama", TRANSFORMERS, known="bf16 logits are rounded elsewhere: 3e-5 of their mean"),
    Row("t5", TRANSFORMERS),
    Row("vit", TRANSFORMERS),
    Row("trainer", TRANSFORMERS),
    Row("timm_", ("timm==1.0.31",)),
    Row("geometric", ("torch-geometric==2.8.1",)),
    Row("baselines", ("stable-baselines3==2.9.2", "gymnasium==1.4.0")),
    Row("captum_", ("captum==0.9.0",)),
    Row("opacus_", ("opacus==1.6.0",)),
    Row("kornia_", ("kornia==0.9.0",)),
    Row("gpytorch_", ("gpytorch==1.15.2",)),
    Row("pyro_", ("pyro-ppl==1.9.2",)),
    Row("ignite_", ("pytorch-ignite==0.5.5",)),
    Row("peft_", ("peft==0.21.2", *TRANSFORMERS)),
    Row("x_transformers_", ("x-transformers==2.31.10",)),
    Row("vit_pytorch_", ("vit-pytorch==1.26.14",)),
    Row("torchdiffeq_", ("torchdiffeq==0.2.5",)),
)
# What the comparison runs on, and what both environments have besides.
PYTORCH = ("torch==2.13.0", "torchvision==0.28.0")
