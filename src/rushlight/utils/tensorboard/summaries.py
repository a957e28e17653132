"""TensorBoard's messages, made with the protocol buffers of the `tensorboard` library.  Level 12.

In: names and values. Out: Summary messages.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.utils.tensorboard import encoding


def library(module: str) -> Any:
    """A module of the `tensorboard` package.  Raises: ImportError that says what to install."""
    try:
        return importlib.import_module(f"tensorboard.{module}")
    except ImportError as error:
        raise ImportError(
            "torch.utils.tensorboard needs the package tensorboard: pip install tensorboard "
            "(or rushlight[tensorboard])"
        ) from error


def _protos() -> Any:
    return library("compat.proto.summary_pb2")


def _one(**fields: Any) -> Any:
    protos = _protos()
    return protos.Summary(value=[protos.Summary.Value(**fields)])


def _metadata(plugin: str, content: bytes = b"", name: str = "") -> Any:
    protos = _protos()
    data = protos.SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    return protos.SummaryMetadata(display_name=name, plugin_data=data)


def _number(value: Any) -> float:
    array = encoding.as_array(value).reshape(-1)
    if array.size != 1:
        raise AssertionError(f"scalar should be 0D, got {array.size} values")
    return float(array[0])


def _tensor_of(array: np.ndarray) -> Any:
    return library("util.tensor_util").make_tensor_proto(array)


def scalar(tag: str, value: Any, new_style: bool = False, double: bool = False) -> Any:
    """One number, in one of TensorBoard's forms."""
    number = _number(value)
    if not new_style and not double:
        return _one(tag=tag, simple_value=number)
    proto = _tensor_of(np.asarray(number, np.float64 if double else np.float32))
    plugin = library("plugins.scalar.metadata").PLUGIN_NAME
    return _one(tag=tag, tensor=proto, metadata=_metadata(plugin))


def tensor(tag: str, value: Any) -> Any:
    """All of a tensor."""
    proto = _tensor_of(encoding.as_array(value).astype(np.float32))
    return _one(tag=tag, tensor=proto, metadata=_metadata("tensor", name=""))


def histogram(tag: str, values: Any, bins: Any, max_bins: int | None) -> Any:
    """How values are distributed.  Raises: ValueError if there are none."""
    numbers = encoding.as_array(values).astype(np.float64).reshape(-1)
    if numbers.size == 0:
        raise ValueError("The input has no element.")
    counts, limits = np.histogram(numbers, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        step = -(-len(counts) // max_bins)
        padded = np.pad(counts, (0, -len(counts) % step))
        counts = padded.reshape(-1, step).sum(-1)
        limits = np.append(limits[:-1][::step], limits[-1])
    filled = np.nonzero(counts)[0]
    if filled.size == 0:
        raise ValueError("The histogram is empty, please file a bug report.")
    # One empty bucket on the left says where the first begins; TensorBoard draws between limits.
    first, last = filled[0], filled[-1] + 1
    shown = counts[first:last]
    shown = np.concatenate([[0], shown]) if first == 0 else counts[first - 1 : last]
    edges = limits[first : last + 1]
    return raw_histogram(
        tag,
        numbers.min(),
        numbers.max(),
        numbers.size,
        numbers.sum(),
        numbers.dot(numbers),
        edges.tolist(),
        shown.tolist(),
    )


def raw_histogram(
    tag: str,
    low: float,
    high: float,
    number: int,
    total: float,
    squares: float,
    limits: Sequence[float],
    counts: Sequence[float],
) -> Any:
    """A distribution that was counted already."""
    histo = _protos().HistogramProto(
        min=low,
        max=high,
        num=number,
        sum=total,
        sum_squares=squares,
        bucket_limit=limits,
        bucket=counts,
    )
    return _one(tag=tag, histo=histo)


def image(tag: str, pixels: np.ndarray) -> Any:
    """A picture of (height, width, channels) bytes."""
    return _picture(tag, encoding.png(pixels), pixels.shape)


def _picture(tag: str, encoded: bytes, shape: Sequence[int]) -> Any:
    height, width, channels = shape
    made = _protos().Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=encoded
    )
    return _one(tag=tag, image=made)


def image_with_boxes(
    tag: str, pixels: np.ndarray, boxes: np.ndarray, rescale: float, labels: Any
) -> Any:
    """A picture with red rectangles, by Pillow."""
    images = encoding.optional("PIL.Image", "add_image_with_boxes", "pillow")
    draws = encoding.optional("PIL.ImageDraw", "add_image_with_boxes", "pillow")
    picture = images.fromarray(pixels)
    pen = draws.Draw(picture)
    for place, (left, top, right, bottom) in enumerate(boxes.reshape(-1, 4).tolist()):
        pen.rectangle([(left, top), (right, bottom)], outline=(255, 0, 0))
        if labels is not None:
            pen.text((left, bottom), str(labels[place]), fill=(255, 0, 0))
    height, width = pixels.shape[:2]
    picture = picture.resize((int(width * rescale), int(height * rescale)))
    return image(tag, np.asarray(picture))


def video(tag: str, frames: np.ndarray, fps: float) -> Any:
    """Moving pictures: the members of a batch side by side."""
    number, length, channels, height, width = frames.shape
    columns = 1 << ((number.bit_length() - 1 + 1) // 2)
    padded = np.zeros((-(-number // columns) * columns, *frames.shape[1:]), frames.dtype)
    padded[:number] = frames
    grid = padded.reshape(-1, columns, length, channels, height, width)
    grid = grid.transpose(2, 0, 4, 1, 5, 3).reshape(
        length, grid.shape[0] * height, columns * width, channels
    )
    pixels = encoding.as_bytes(grid)
    return _picture(tag, encoding.gif(pixels, fps), pixels.shape[1:])


def audio(tag: str, samples: np.ndarray, rate: int) -> Any:
    """Sound of one channel."""
    flat = np.asarray(samples, np.float64).reshape(-1)
    if flat.size and np.abs(flat).max() > 1:
        flat = flat.clip(-1, 1)
    made = _protos().Summary.Audio(
        sample_rate=rate,
        num_channels=1,
        length_frames=flat.size,
        encoded_audio_string=encoding.wav(flat, rate),
        content_type="audio/wav",
    )
    return _one(tag=tag, audio=made)


def text(tag: str, content: str) -> Any:
    """Markdown."""
    proto = _tensor_of(np.asarray([content.encode()], dtype=object))
    plugin = library("plugins.text.metadata")
    data = plugin.create_summary_metadata(tag, "").plugin_data.content
    return _one(
        tag=tag + "/text_summary", tensor=proto, metadata=_metadata(plugin.PLUGIN_NAME, data)
    )


def pr_curve(
    tag: str,
    labels: np.ndarray,
    predictions: np.ndarray,
    thresholds: int,
    weights: np.ndarray | None,
) -> Any:
    """Counts above and below each threshold."""
    thresholds = min(thresholds, 127)  # TensorBoard shows no more
    chances = predictions.reshape(-1).astype(np.float64)
    truth = labels.reshape(-1).astype(np.float64)
    weight = np.ones_like(chances) if weights is None else weights.reshape(-1).astype(np.float64)
    bucket = np.floor(chances * (thresholds - 1)).astype(np.int64)
    span: dict[str, Any] = {"bins": thresholds, "range": (0, thresholds - 1)}
    positive, _ = np.histogram(bucket, weights=truth * weight, **span)
    negative, _ = np.histogram(bucket, weights=(1.0 - truth) * weight, **span)
    true_positive = positive[::-1].cumsum()[::-1]
    false_positive = negative[::-1].cumsum()[::-1]
    true_negative = false_positive[0] - false_positive
    false_negative = true_positive[0] - true_positive
    least = 1e-7  # so that nothing is divided by 0
    precision = true_positive / np.maximum(least, true_positive + false_positive)
    recall = true_positive / np.maximum(least, true_positive + false_negative)
    rows = [true_positive, false_positive, true_negative, false_negative, precision, recall]
    return pr_curve_rows(tag, np.stack(rows), thresholds)


def pr_curve_rows(tag: str, rows: np.ndarray, thresholds: int) -> Any:
    """The six rows of a curve."""
    plugin = library("plugins.pr_curve.metadata")
    data = plugin.create_summary_metadata(tag, "", min(thresholds, 127)).plugin_data.content
    metadata = _metadata(plugin.PLUGIN_NAME, data, tag)
    return _one(tag=tag, tensor=_tensor_of(rows.astype(np.float32)), metadata=metadata)


def custom_scalars(layout: dict[str, dict[str, Sequence]]) -> Any:
    """Charts, by category and title."""
    protos = library("plugins.custom_scalar.layout_pb2")
    plugin = library("plugins.custom_scalar.metadata")
    categories = []
    for category, charts in layout.items():
        made = []
        for title, (kind, tags) in charts.items():
            if kind == "Margin":
                series = protos.MarginChartContent.Series(
                    value=tags[0], lower=tags[1], upper=tags[2]
                )
                content = protos.MarginChartContent(series=[series])
                made.append(protos.Chart(title=title, margin=content))
            else:
                content = protos.MultilineChartContent(tag=[r"^" + tag + r"$" for tag in tags])
                made.append(protos.Chart(title=title, multiline=content))
        categories.append(protos.Category(title=category, chart=made))
    serialized = protos.Layout(category=categories).SerializeToString()
    proto = _tensor_of(np.asarray([serialized], dtype=object))
    metadata = _metadata(plugin.PLUGIN_NAME)
    return _one(tag=plugin.CONFIG_SUMMARY_TAG, tensor=proto, metadata=metadata)


def mesh(tag: str, vertices: Any, colors: Any, faces: Any, config: Any) -> Any:
    """Points or surfaces in space."""
    plugin = library("plugins.mesh.metadata")
    kinds = library("plugins.mesh.plugin_data_pb2").MeshPluginData
    parts = [
        (vertices, kinds.VERTEX, np.float32),
        (faces, kinds.FACE, np.int32),
        (colors, kinds.COLOR, np.uint8),
    ]
    given = [(np.asarray(x), kind, dtype) for x, kind, dtype in parts if x is not None]
    components = plugin.get_components_bitmask([kind for _, kind, _ in given])
    protos = _protos()
    options = json.dumps(config or {}, sort_keys=True)
    values = []
    for array, kind, dtype in given:
        metadata = plugin.create_summary_metadata(
            tag,
            "",
            kind,
            components,
            array.shape,
            json_config=options,
        )
        name = plugin.get_instance_name(tag, kind)
        values.append(
            protos.Summary.Value(
                tag=name, tensor=_tensor_of(array.astype(dtype)), metadata=metadata
            )
        )
    return protos.Summary(value=values)


def hparams(values: dict[str, Any], metrics: dict[str, Any], domains: Any) -> tuple[Any, Any, Any]:
    """What the experiment has, this session's start, and its end."""
    if not isinstance(values, dict) or not isinstance(metrics, dict):
        raise TypeError("hparam_dict and metric_dict should be dictionary.")
    api = library("plugins.hparams.api_pb2")
    data = library("plugins.hparams.plugin_data_pb2")
    plugin = library("plugins.hparams.metadata")
    struct = importlib.import_module("google.protobuf.struct_pb2")
    domains = domains or {}
    start = data.SessionStartInfo()
    infos = []
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
            kind = api.DATA_TYPE_BOOL
        elif isinstance(value, (int, float)):
            start.hparams[name].number_value = value
            kind = api.DATA_TYPE_FLOAT64
        elif isinstance(value, str):
            start.hparams[name].string_value = value
            kind = api.DATA_TYPE_STRING
        elif hasattr(value, "detach"):
            start.hparams[name].number_value = _number(value)
            kind = api.DATA_TYPE_FLOAT64
        else:
            raise ValueError(
                "value should be one of int, float, str, bool, or torch.Tensor, got "
                f"{type(value).__name__} for {name!r}"
            )
        domain = None
        if name in domains:
            domain = struct.ListValue()
            domain.extend(domains[name])
        infos.append(api.HParamInfo(name=name, type=kind, domain_discrete=domain))
    wanted = [api.MetricInfo(name=api.MetricName(tag=name)) for name in metrics]
    experiment = api.Experiment(hparam_infos=infos, metric_infos=wanted)
    end = data.SessionEndInfo(status=api.STATUS_SUCCESS)
    return (
        _hparams_part(plugin.EXPERIMENT_TAG, data.HParamsPluginData(experiment=experiment)),
        _hparams_part(
            plugin.SESSION_START_INFO_TAG, data.HParamsPluginData(session_start_info=start)
        ),
        _hparams_part(plugin.SESSION_END_INFO_TAG, data.HParamsPluginData(session_end_info=end)),
    )


def _hparams_part(tag: str, content: Any) -> Any:
    plugin = library("plugins.hparams.metadata")
    content.version = plugin.PLUGIN_DATA_VERSION
    metadata = _metadata(plugin.PLUGIN_NAME, content.SerializeToString())
    return _one(tag=tag, metadata=metadata)


def write_embedding(
    root: str,
    folder: str,
    matrix: np.ndarray,
    labels: Any,
    pictures: np.ndarray | None,
    name: str,
    header: Any,
) -> None:
    """The projector's files: a table of numbers, one of labels, one picture of all pictures."""
    os.makedirs(folder, exist_ok=True)
    relative = os.path.relpath(folder, root)
    lines = [f'tensor_name: "{name}"', f'tensor_path: "{relative}/tensors.tsv"']
    if labels is not None:
        if len(labels) != matrix.shape[0]:
            raise AssertionError("#labels should equal with #data points")
        rows = ["\t".join(map(str, row)) if header else str(row) for row in labels]
        if header:
            rows.insert(0, "\t".join(header))
        with open(os.path.join(folder, "metadata.tsv"), "w", encoding="utf-8") as file:
            file.write("\n".join(rows) + "\n")
        lines.append(f'metadata_path: "{relative}/metadata.tsv"')
    if pictures is not None:
        if len(pictures) != matrix.shape[0]:
            raise AssertionError("#images should equal with #data points")
        columns = int(np.ceil(np.sqrt(len(pictures))))
        sprite = encoding._grid(pictures, columns)
        with open(os.path.join(folder, "sprite.png"), "wb") as file:
            file.write(encoding.png(encoding.as_bytes(sprite)))
        size = f"single_image_dim: {pictures.shape[3]}\n    single_image_dim: {pictures.shape[2]}"
        lines.append(f'sprite {{\n    image_path: "{relative}/sprite.png"\n    {size}\n  }}')
    if matrix.ndim != 2:
        raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
    np.savetxt(os.path.join(folder, "tensors.tsv"), matrix, delimiter="\t", fmt="%.8g")
    with open(os.path.join(root, "projector_config.pbtxt"), "a", encoding="utf-8") as file:
        file.write("embeddings {\n  " + "\n  ".join(lines) + "\n}\n")
