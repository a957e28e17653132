"""`SummaryWriter`: scalars, histograms, pictures, sound, text and more for TensorBoard.  Level 12.

In: values and a step. Out: event files in a folder, written by the `tensorboard` library's writer.
Source: torch.utils.tensorboard.SummaryWriter.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from rushlight.utils.tensorboard import encoding, graph, summaries

__all__ = ["FileWriter", "SummaryWriter"]


class FileWriter:
    """Event files of one folder."""

    def __init__(
        self, log_dir: Any, max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = ""
    ) -> None:
        writer = summaries.library("summary.writer.event_file_writer")
        self.event_writer = writer.EventFileWriter(
            os.fspath(log_dir), max_queue, flush_secs, filename_suffix
        )

    def get_logdir(self) -> str:
        """The folder."""
        return self.event_writer.get_logdir()

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Write an event of TensorBoard's."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(self, summary: Any, global_step: Any = None, walltime: Any = None) -> None:
        """Write a summary."""
        event = summaries.library("compat.proto.event_pb2").Event(summary=summary)
        self.add_event(event, global_step, walltime)

    def add_graph(self, graph_definition: Any, walltime: float | None = None) -> None:
        """Write a graph."""
        events = summaries.library("compat.proto.event_pb2")
        event = events.Event(graph_def=graph_definition.SerializeToString())
        self.add_event(event, None, walltime)

    def flush(self) -> None:
        """Write out what is waiting."""
        self.event_writer.flush()

    def close(self) -> None:
        """Write out and close."""
        self.event_writer.close()

    def reopen(self) -> None:
        """Go on in a new file."""
        self.event_writer.reopen()


class SummaryWriter:
    """Writes what TensorBoard shows into `log_dir` (runs/<time>_<host> unless given).

    Raises: ImportError if the `tensorboard` package is missing.
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self._get_file_writer()
        # Buckets that grow by a tenth, on both sides of zero.
        sizes = 1e-12 * 1.1 ** np.arange(776)
        sizes = sizes[sizes < 1e20]
        self.default_bins = [*(-sizes[::-1]), 0, *sizes]

    def _get_file_writer(self) -> FileWriter:
        if self.all_writers is None or self.file_writer is None:
            self.file_writer = FileWriter(
                self.log_dir, self.max_queue, self.flush_secs, self.filename_suffix
            )
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                events = summaries.library("compat.proto.event_pb2")
                step = self.purge_step
                self.file_writer.add_event(events.Event(step=step, file_version="brain.Event:2"))
                start = events.SessionLog(status=events.SessionLog.START)
                self.file_writer.add_event(events.Event(step=step, session_log=start))
                self.purge_step = None
        return self.file_writer

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def _write(self, summary: Any, step: Any, walltime: float | None) -> None:
        self._get_file_writer().add_summary(summary, step, walltime)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """One number."""
        made = summaries.scalar(tag, scalar_value, new_style, double_precision)
        self._write(made, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers in one picture; each gets a folder of its own."""
        walltime = time.time() if walltime is None else walltime
        folder = self._get_file_writer().get_logdir()
        assert self.all_writers is not None
        for tag, value in tag_scalar_dict.items():
            place = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            writer = self.all_writers.get(place)
            if writer is None:
                writer = FileWriter(place, self.max_queue, self.flush_secs, self.filename_suffix)
                self.all_writers[place] = writer
            writer.add_summary(summaries.scalar(main_tag, value), global_step, walltime)

    def add_tensor(
        self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """All of a tensor."""
        self._write(summaries.tensor(tag, tensor), global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: str = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How values are distributed; `bins`: tensorflow, or a name that NumPy knows."""
        edges = self.default_bins if bins == "tensorflow" else bins
        self._write(summaries.histogram(tag, values, edges, max_bins), global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: int,
        sum: float,
        sum_squares: float,
        bucket_limits: Sequence[float],
        bucket_counts: Sequence[float],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A distribution that is known already."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError(
                "len(bucket_limits) != len(bucket_counts), see the document: "
                f"{len(bucket_limits)} and {len(bucket_counts)}"
            )
        made = summaries.raw_histogram(
            tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts
        )
        self._write(made, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """One picture: floats from 0 to 1, or bytes."""
        pixels = encoding.channels_last(encoding.as_array(img_tensor), dataformats)
        self._write(summaries.image(tag, encoding.as_bytes(pixels)), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures in a grid."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """A picture with rectangles (left, top, right, bottom) drawn on it."""
        pixels = encoding.channels_last(encoding.as_array(img_tensor), dataformats)
        if isinstance(labels, str):
            labels = [labels]
        made = summaries.image_with_boxes(
            tag, encoding.as_bytes(pixels), encoding.as_array(box_tensor), rescale, labels
        )
        self._write(made, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Figures of matplotlib."""
        pixels = encoding.figure_pixels(figure, close)
        formats = "NCHW" if isinstance(figure, (list, tuple)) else "CHW"
        self.add_image(tag, pixels, global_step, walltime, formats)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: Any = None,
        fps: float = 4,
        walltime: float | None = None,
    ) -> None:
        """Moving pictures (number, time, channels, height, width)."""
        made = summaries.video(tag, encoding.as_array(vid_tensor), fps)
        self._write(made, global_step, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Sound of one channel: numbers from -1 to 1."""
        made = summaries.audio(tag, encoding.as_array(snd_tensor), sample_rate)
        self._write(made, global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Text, shown as Markdown."""
        self._write(summaries.text(tag, text_string), global_step, walltime)

    def add_onnx_graph(self, prototxt: str) -> None:
        """The graph in an ONNX file, by the package onnx."""
        self._get_file_writer().add_graph(graph.of_onnx(prototxt))

    def add_graph(
        self,
        model: Any,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """The modules of a model and what flows between them, seen in one call on the input."""
        self._get_file_writer().add_graph(graph.of_module(model, input_to_model, verbose))

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: Any = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Rows of a matrix for the projector, with labels and small pictures."""
        step = 0 if global_step is None else global_step
        folder = os.path.join(self._get_file_writer().get_logdir(), f"{int(step):05d}", tag)
        summaries.write_embedding(
            self._get_file_writer().get_logdir(),
            folder,
            encoding.as_array(mat),
            metadata,
            None if label_img is None else encoding.as_array(label_img),
            f"{tag}:{int(step):05d}",
            metadata_header,
        )

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision and recall of predictions from 0 to 1 against labels 0 and 1."""
        made = summaries.pr_curve(
            tag,
            encoding.as_array(labels),
            encoding.as_array(predictions),
            num_thresholds,
            None if weights is None else encoding.as_array(weights),
        )
        self._write(made, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """The same, counted already."""
        rows = [
            true_positive_counts,
            false_positive_counts,
            true_negative_counts,
            false_negative_counts,
            precision,
            recall,
        ]
        data = np.stack([encoding.as_array(row).astype(np.float32) for row in rows])
        self._write(summaries.pr_curve_rows(tag, data, num_thresholds), global_step, walltime)

    def add_custom_scalars_multilinechart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """A chart of several scalars."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """A chart of a scalar between two others."""
        if len(tags) != 3:
            raise AssertionError(f"add_custom_scalars_marginchart needs 3 tags, got {len(tags)}")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_custom_scalars(self, layout: dict[str, dict[str, Sequence]]) -> None:
        """Charts, by category and title."""
        self._write(summaries.custom_scalars(layout), None, None)

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: Any = None,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Points or surfaces in space (number, points, 3)."""
        points, tints, corners = (
            None if x is None else encoding.as_array(x) for x in (vertices, colors, faces)
        )
        self._write(summaries.mesh(tag, points, tints, corners, config_dict), global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list] | None = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """Hyperparameters and the metrics they led to, in a folder of their own."""
        made = summaries.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        with SummaryWriter(log_dir=folder) as writer:
            for summary in made:
                writer._get_file_writer().add_summary(summary)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

    def flush(self) -> None:
        """Write out what is waiting."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Write out and close; the next addition opens a new file."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()
