"""Styles in which a layer is split over a mesh of one process.  Level 12.

Source: torch.distributed.tensor.parallel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.distributed.device_mesh import DeviceMesh
from rushlight.distributed.tensor.dtensor import DTensor, distribute_tensor
from rushlight.distributed.tensor.placement_types import Placement, Replicate, Shard
from rushlight.nn import Embedding, Linear
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter


class ParallelStyle:
    """How one layer is split."""

    src_data_rank: int | None = 0

    def _apply(self, module: Module, device_mesh: DeviceMesh) -> Module:
        raise NotImplementedError(f"{type(self).__name__} defines no _apply(module, device_mesh)")


class _LayerParallel(ParallelStyle):
    """Places the parameters of one layer, its input and its output."""

    input_layout: Placement
    output_layout: Placement

    def __init__(
        self,
        *,
        input_layouts: Placement | None = None,
        output_layouts: Placement | None = None,
        use_local_output: bool = True,
    ) -> None:
        self.input_layouts = (input_layouts or self.input_layout,)
        self.output_layouts = (output_layouts or self.output_layout,)
        self.use_local_output = use_local_output

    def _placement(self, module: Module, name: str) -> Placement:
        raise NotImplementedError

    def _apply(self, module: Module, device_mesh: DeviceMesh) -> Module:
        for name, parameter in list(module.named_parameters(recurse=False)):
            place = self._placement(module, name)
            placed = distribute_tensor(parameter.detach(), device_mesh, [place])
            module.register_parameter(name, Parameter(placed, parameter.requires_grad))
        _Layouts(self.input_layouts, self.output_layouts, self.use_local_output).hook(
            module, device_mesh
        )
        return module

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(input_layouts={self.input_layouts},"
            f" output_layouts={self.output_layouts}, use_local_output={self.use_local_output})"
        )


class ColwiseParallel(_LayerParallel):
    """A Linear or Embedding split by its output features."""

    input_layout, output_layout = Replicate(), Shard(-1)

    def _placement(self, module: Module, name: str) -> Placement:
        _check_layer(self, module)
        return Shard(1) if isinstance(module, Embedding) else Shard(0)


class RowwiseParallel(_LayerParallel):
    """A Linear split by its input features, or an Embedding by its rows."""

    input_layout, output_layout = Shard(-1), Replicate()

    def _placement(self, module: Module, name: str) -> Placement:
        _check_layer(self, module)
        if isinstance(module, Embedding):
            return Shard(0)
        return Shard(1) if name == "weight" else Replicate()


def _check_layer(style: ParallelStyle, module: Module) -> None:
    if not isinstance(module, (Linear, Embedding)):
        raise NotImplementedError(
            f"{type(style).__name__} splits nn.Linear and nn.Embedding only, not"
            f" {type(module).__name__}"
        )


class SequenceParallel(_LayerParallel):
    """A norm or dropout whose input is split along the sequence; its parameters are whole."""

    def __init__(self, *, sequence_dim: int = 1, use_local_output: bool = False) -> None:
        layout = Shard(sequence_dim)
        super().__init__(
            input_layouts=layout, output_layouts=layout, use_local_output=use_local_output
        )
        self.sequence_sharding = (layout,)

    def _placement(self, module: Module, name: str) -> Placement:
        return Replicate()


class _Layouts:
    """Puts positional inputs on the mesh, and outputs."""

    def __init__(
        self, inputs: Sequence[Any] | None, outputs: Sequence[Any] | None, local: bool
    ) -> None:
        self.inputs, self.outputs, self.local = inputs, outputs, local

    def hook(self, module: Module, mesh: DeviceMesh) -> None:
        """Let the module's calls go through."""
        if self.inputs is not None:
            module.register_forward_pre_hook(lambda _, given: self._come_in(given, mesh))
        if self.outputs is not None:
            module.register_forward_hook(lambda _, given, made: self._go_out(made, mesh))

    def _come_in(self, given: tuple, mesh: DeviceMesh) -> tuple:
        layouts = [*(self.inputs or ()), *[None] * len(given)]
        return tuple(on_mesh(value, mesh, layout) for value, layout in zip(given, layouts))

    def _go_out(self, made: Any, mesh: DeviceMesh) -> Any:
        values = made if isinstance(made, tuple) else (made,)
        layouts = [*(self.outputs or ()), *[None] * len(values)]
        placed = tuple(
            on_mesh(value, mesh, layout, self.local) for value, layout in zip(values, layouts)
        )
        return placed if isinstance(made, tuple) else placed[0]


def on_mesh(value: Any, mesh: DeviceMesh, layout: Any, local: bool = False) -> Any:
    """A tensor with a layout, or its local part; what has no layout stays as it is."""
    if layout is None or not hasattr(value, "as_subclass"):
        return value
    if isinstance(value, DTensor):
        placed = value.redistribute(mesh, [layout])
    else:
        placed = DTensor.from_local(value, mesh, [layout])
    return placed.to_local() if local else placed


def _sequence(layouts: Any) -> Sequence[Any] | None:
    return (layouts,) if isinstance(layouts, Placement) else layouts


class PrepareModuleInput(ParallelStyle):
    """Put a module's inputs on the mesh, positional ones and ones by name."""

    def __init__(
        self,
        *,
        input_layouts: Any = None,
        desired_input_layouts: Any = None,
        input_kwarg_layouts: dict[str, Placement] | None = None,
        desired_input_kwarg_layouts: dict[str, Placement] | None = None,
        use_local_output: bool = False,
    ) -> None:
        self.input_layouts = _sequence(input_layouts)
        self.desired_input_layouts = _sequence(desired_input_layouts)
        if self.input_layouts and len(self.input_layouts) != len(self.desired_input_layouts or ()):
            raise AssertionError("input_layouts and desired_input_layouts should have same length!")
        self.input_kwarg_layouts = input_kwarg_layouts or {}
        self.desired_input_kwarg_layouts = desired_input_kwarg_layouts or {}
        self.use_local_output = use_local_output

    def _apply(self, module: Module, device_mesh: DeviceMesh) -> Module:
        def come_in(_: Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            layouts = [*(self.desired_input_layouts or ()), *[None] * len(args)]
            placed = tuple(
                on_mesh(value, device_mesh, layout, self.use_local_output)
                for value, layout in zip(args, layouts)
            )
            named = {
                name: on_mesh(
                    value,
                    device_mesh,
                    self.desired_input_kwarg_layouts.get(name),
                    self.use_local_output,
                )
                for name, value in kwargs.items()
            }
            return placed, named

        module.register_forward_pre_hook(come_in, with_kwargs=True)
        return module


class PrepareModuleOutput(ParallelStyle):
    """Put a module's outputs on the mesh."""

    def __init__(
        self, *, output_layouts: Any, desired_output_layouts: Any, use_local_output: bool = True
    ) -> None:
        self.output_layouts = _sequence(output_layouts)
        self.desired_output_layouts = _sequence(desired_output_layouts)
        self.use_local_output = use_local_output

    def _apply(self, module: Module, device_mesh: DeviceMesh) -> Module:
        _Layouts(None, self.desired_output_layouts, self.use_local_output).hook(module, device_mesh)
        return module


class PrepareModuleInputOutput(ParallelStyle):
    """Both of them."""

    def __init__(
        self,
        *,
        input_layouts: Any = None,
        desired_input_layouts: Any = None,
        input_kwarg_layouts: dict[str, Placement] | None = None,
        desired_input_kwarg_layouts: dict[str, Placement] | None = None,
        use_local_input: bool = False,
        output_layouts: Any = None,
        desired_output_layouts: Any = None,
        use_local_output: bool = True,
    ) -> None:
        self.prepare_module_input = PrepareModuleInput(
            input_layouts=input_layouts,
            desired_input_layouts=desired_input_layouts,
            input_kwarg_layouts=input_kwarg_layouts,
            desired_input_kwarg_layouts=desired_input_kwarg_layouts,
            use_local_output=use_local_input,
        )
        self.prepare_module_output = PrepareModuleOutput(
            output_layouts=output_layouts,
            desired_output_layouts=desired_output_layouts,
            use_local_output=use_local_output,
        )

    def _apply(self, module: Module, device_mesh: DeviceMesh) -> Module:
        self.prepare_module_input._apply(module, device_mesh)
        return self.prepare_module_output._apply(module, device_mesh)
