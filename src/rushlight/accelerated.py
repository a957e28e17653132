"""What `torch.cuda`, `torch.xpu` and `torch.mps` answer alike, for the devices of one kind.

In: a kind (`engine/accelerators.py`).  Out: functions under PyTorch's names, as methods, which the
modules give to programs.  Without a device questions are answered, seeding does nothing, and what
needs one raises PyTorch's error of the kind.  Level 12.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from rushlight.base.device import placing, resolve_device
from rushlight.engine.accelerators import Accelerators
from rushlight.ops.generator import Generator, of_devices
from rushlight.tensor.flush import synchronize as flush
from rushlight.tensor.tensor import Tensor


class Devices:
    """Which devices there are, and which is the current one."""

    def __init__(self, kind: Accelerators) -> None:
        self._kind = kind

    def is_available(self) -> bool:
        """Whether such a device can be used."""
        return bool(self._kind.backends())

    def is_initialized(self) -> bool:
        """Whether a device was used."""
        return placing.begun and self.is_available()

    def device_count(self) -> int:
        """Number of usable devices."""
        return len(self._kind.backends())

    def init(self) -> None:
        """Start the driver.  Raises: AssertionError without a device."""
        resolve_device(self._kind.kind)

    def current_device(self) -> int:
        """Index of the current device.  Raises: AssertionError without one."""
        return self._kind.backend().index

    def set_device(self, device: Any) -> None:
        """Choose the current device; a negative number changes nothing.

        Raises: AssertionError without devices, RuntimeError for a number there is none of.
        """
        if isinstance(device, int) and device < 0:
            return
        self._kind.current.index = self._kind.backend(device).index

    def synchronize(self, device: Any = None) -> None:
        """Compute what was recorded, and wait for a device.  Raises: AssertionError without one."""
        backend = self._kind.backend(device)
        flush()
        backend.synchronize()

    def get_device_name(self, device: Any = None) -> str:
        """Name of a device.  Raises: AssertionError without one."""
        return self._kind.backend(device).facts.name


class Memory:
    """How much memory of a device is in use; without one, none is."""

    def __init__(self, kind: Accelerators) -> None:
        self._kind = kind

    def _allocator(self, device: Any = None) -> Any:
        """The allocator of a device; None without devices."""
        return self._kind.backend(device).allocator if self._kind.backends() else None

    def empty_cache(self) -> None:
        """Give memory that nothing holds back to the system."""
        for backend in self._kind.backends():
            backend.synchronize()
            backend.allocator.trim()

    def memory_allocated(self, device: Any = None) -> int:
        """Bytes that tensors hold on a device, what was recorded included."""
        found = self._allocator(device)
        if found is None:
            return 0
        flush()
        return found.allocated

    def max_memory_allocated(self, device: Any = None) -> int:
        """Most bytes that tensors held on a device."""
        found = self._allocator(device)
        if found is None:
            return 0
        flush()
        return found.peak

    def memory_reserved(self, device: Any = None) -> int:
        """Bytes reserved on a device."""
        found = self._allocator(device)
        return 0 if found is None else found.reserved

    def max_memory_reserved(self, device: Any = None) -> int:
        """Most bytes reserved on a device."""
        found = self._allocator(device)
        return 0 if found is None else found.reserved_peak

    def memory_stats(self, device: Any = None) -> OrderedDict[str, Any]:
        """Counters of the device's allocator; an empty dictionary without a device."""
        found = self._allocator(device)
        stats: OrderedDict[str, Any] = OrderedDict()
        if found is None:
            return stats
        stats["allocated_bytes.all.current"] = found.allocated
        stats["allocated_bytes.all.peak"] = found.peak
        stats["allocation.all.allocated"] = found.count
        stats["num_alloc_retries"] = 0
        stats["num_ooms"] = found.out_of_memory
        stats["reserved_bytes.all.current"] = found.reserved
        stats["reserved_bytes.all.peak"] = found.reserved_peak
        return stats

    def memory_stats_as_nested_dict(self, device: Any = None) -> dict[str, Any]:
        """The same as a dictionary of dictionaries."""
        return nested(self.memory_stats(device))

    def memory_summary(self, device: Any = None, abbreviated: bool = False) -> str:
        """The counters as a table."""
        name = self._kind.name
        found = self._allocator(device)
        if found is None:
            head, rows = f"no {name} device, nothing allocated", [("Allocated memory", 0, 0)]
        else:
            head = f"device {found.device}"
            rows = [
                ("Allocated memory", found.allocated, found.peak),
                ("GPU reserved memory", found.reserved, found.reserved_peak),
            ]
        lines = [f"PyTorch {name} memory summary: {head}", f"{'':<24}{'now':>16}{'most':>16}"]
        return "\n".join(lines + [f"{what:<24}{now:>14} B{most:>14} B" for what, now, most in rows])

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        """Start the peaks anew."""
        found = self._allocator(device)
        if found is not None:
            found.peak = found.allocated
            found.reserved_peak = found.reserved

    def reset_accumulated_memory_stats(self, device: Any = None) -> None:
        """Start the sums anew."""
        found = self._allocator(device)
        if found is not None:
            found.count = found.out_of_memory = 0

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        """Free and total memory of a device.  Raises: AssertionError without one."""
        backend = self._kind.backend(device)
        return backend.driver.memory_info(backend.index)

    def get_per_process_memory_fraction(self, device: Any = None) -> float:
        """The share of the memory that this process may use.  Raises: AssertionError."""
        backend = self._kind.backend(device)
        limit = backend.allocator.limit
        return 1.0 if limit is None else limit / backend.facts.total_bytes

    def set_per_process_memory_fraction(self, fraction: float, device: Any = None) -> None:
        """Limit the memory that this process may use.

        Raises: AssertionError without a device, ValueError outside of 0 to 1.
        """
        backend = self._kind.backend(device)
        if not 0 <= fraction <= 1:
            raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
        total = backend.facts.total_bytes
        backend.allocator.limit = None if fraction == 1 else int(fraction * total)


def nested(stats: OrderedDict[str, Any]) -> dict[str, Any]:
    """Counters named by paths, as dictionaries of dictionaries."""
    found: dict[str, Any] = {}
    for name, value in stats.items():
        *path, last = name.split(".")
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


class Random:
    """The generators of the devices."""

    def __init__(self, kind: Accelerators) -> None:
        self._kind = kind

    def _generator(self, device: Any = None) -> Generator:
        return of_devices.of(self._kind.resolved(device))

    def default_generators(self) -> tuple[Generator, ...]:
        """The generator of each device."""
        return tuple(of_devices.of(backend.device) for backend in self._kind.backends())

    def get_rng_state(self, device: Any = None) -> Tensor:
        """State of a device's generator: seed and offset.

        Raises: AssertionError without devices.
        """
        return self._generator(device).get_state()

    def get_rng_state_all(self) -> list[Tensor]:
        """States of all devices' generators."""
        return [self.get_rng_state(backend.index) for backend in self._kind.backends()]

    def set_rng_state(self, new_state: Any, device: Any = None) -> None:
        """Set the state of a device's generator, if there is one.

        PyTorch without such devices keeps the call for later, too.
        """
        if self._kind.backends():
            self._generator(device).set_state(new_state)

    def set_rng_state_all(self, new_states: Iterable[Any]) -> None:
        """Set the states of all devices' generators.

        Raises: AssertionError for a state without a device.
        """
        for place, state in enumerate(new_states):
            self._kind.backend(place)
            self.set_rng_state(state, place)

    def manual_seed(self, seed: int) -> None:
        """Seed the current device's generator, if there is one."""
        if self._kind.backends():
            self._generator().manual_seed(int(seed))

    def manual_seed_all(self, seed: int) -> None:
        """Seed the generators of all devices."""
        of_devices.seed_all(int(seed))

    def seed(self) -> None:
        """Seed the current device's generator at random, if there is one."""
        if self._kind.backends():
            self._generator().seed()

    def seed_all(self) -> None:
        """Seed the generators of all devices at random, each with the same number."""
        if self._kind.backends():
            of_devices.seed_all(self._generator().seed())

    def initial_seed(self) -> int:
        """The seed of the current device's generator.  Raises: AssertionError without devices."""
        return self._generator().initial_seed()
