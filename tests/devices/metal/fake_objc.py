"""A libobjc for tests: messages to Metal's objects, which check every call and compute on the CPU.

`objc_msgSend` is machine code that takes registers and stack as a processor of x86-64 passes them,
so what ctypes makes of arguments, structures among them, is what Metal would get.  Objects count
their references; work is done when somebody waits for it, or at random before.
"""

from __future__ import annotations

import ctypes
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rushlight.runtime.emulator import Emulator
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library, compile_text
from rushlight.runtime.metal_driver import COMPLETED, FAILED, SELECTORS, Libraries, MetalDriver

REGISTERS, STACK = 6, 6
_WORDS = ", ".join(f"i64 %w{k}" for k in range(REGISTERS + STACK))
_GIVEN = ", ".join(f"i64 %w{k}" for k in range(REGISTERS + STACK))
# Integers are answered in one register and doubles in another: this answers in both.
_SEND = f"""
define {{i64, double}} @msg_send({_WORDS}) {{
  %function = load ptr, ptr @callback
  %whole = call i64 %function({_GIVEN})
  %number = load double, ptr @answer
  %first = insertvalue {{i64, double}} poison, i64 %whole, 0
  %both = insertvalue {{i64, double}} %first, double %number, 1
  ret {{i64, double}} %both
}}
define void @set(ptr %function) {{
  store ptr %function, ptr @callback
  ret void
}}
define void @tell(double %number) {{
  store double %number, ptr @answer
  ret void
}}
@callback = internal global ptr null
@answer = internal global double 0.0
"""


@dataclass
class Thing:
    """An object of Objective-C.  kind: its class; refs: who holds it."""

    kind: str
    refs: int = 1
    data: dict[str, Any] = field(default_factory=dict)


# Code must outlive whatever releases an object last, which may be the garbage collector.
_alive: list[Any] = []


class FakeObjC:
    """problems: what a program did wrong; kernels: by name, what texts are made from.

    fails: whether command buffers fail; refuses: a part of a text that is not compiled.
    """

    def __init__(self, seed: int = 0, total: int = 1 << 28) -> None:
        self.random = random.Random(seed)
        self.emulator = Emulator()
        self.total = total
        self.used = 0
        self.things: dict[int, Thing] = {}
        self.classes: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self.pools: list[list[int]] = []
        self.problems: list[str] = []
        self.kernels: dict[str, Any] = {}
        self.texts: list[str] = []
        self.fails = False
        self.refuses = ""
        self.time = 0.0
        self._next = 0x7000
        self._held: list[Any] = []
        _alive.append(self)
        self._code = Library(compile_text(_SEND, host_target()), ["msg_send", "set", "tell"])
        entry = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * (REGISTERS + STACK))
        self._callback = entry(self._answered)
        setting = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._code["set"])
        setting(ctypes.cast(self._callback, ctypes.c_void_p))
        self._tell = ctypes.CFUNCTYPE(None, ctypes.c_double)(self._code["tell"])
        self.device = self.new("Device")
        self.libraries = Libraries(self, self)
        # The functions of the libraries.
        word, text = ctypes.c_void_p, ctypes.c_char_p
        self.objc_msgSend = ctypes.c_void_p(self._code["msg_send"])
        self.objc_getClass = ctypes.CFUNCTYPE(word, text)(self._class)
        self.sel_registerName = ctypes.CFUNCTYPE(word, text)(self._register)
        self.objc_autoreleasePoolPush = ctypes.CFUNCTYPE(word)(self._push)
        self.objc_autoreleasePoolPop = ctypes.CFUNCTYPE(None, word)(self._pop)
        self.MTLCreateSystemDefaultDevice = ctypes.CFUNCTYPE(word)(lambda: self.device)

    # ---- objects -------------------------------------------------------------------------------

    def new(self, kind: str, **data: Any) -> int:
        self._next += 0x10
        self.things[self._next] = Thing(kind, data=data)
        return self._next

    def autoreleased(self, kind: str, **data: Any) -> int:
        """An object that lives until the pool's end."""
        made = self.new(kind, **data)
        if not self.pools:
            self.problems.append(f"a {kind} leaks: there is no pool")
        else:
            self.pools[-1].append(made)
        return made

    def _class(self, name: bytes) -> int:
        known = ("NSString", "MTLCompileOptions")
        if name.decode() not in known:
            return 0
        return self.classes.setdefault(name.decode(), 0x100 + len(self.classes))

    def _register(self, name: bytes) -> int:
        handle = 0x10000 + len(self.names)
        self.names[handle] = name.decode()
        return handle

    def _push(self) -> int:
        self.pools.append([])
        return len(self.pools)

    def _pop(self, pool: int) -> None:
        assert pool == len(self.pools)
        for handle in self.pools.pop():
            self._release(handle)

    def _release(self, handle: int) -> None:
        thing = self.things[handle]
        thing.refs -= 1
        if thing.refs == 0:
            if thing.kind == "Buffer":
                self.used -= thing.data["memory"].nbytes
            if thing.kind == "Encoder" and not thing.data["ended"]:
                self.problems.append("an encoder went before it was ended")
            del self.things[handle]

    # ---- messages ------------------------------------------------------------------------------

    def _answered(self, receiver: int, name: int, *words: int) -> int:
        selector = self.names.get(name, "")
        try:
            if not receiver:
                return 0  # nothing answers nothing
            for thing, handle in self.classes.items():
                if receiver == handle:
                    assert selector == "alloc", f"{thing} has no {selector}"
                    return self.new(thing)
            found = self.things[receiver]
            if selector == "retain":
                found.refs += 1
                return receiver
            if selector == "release":
                self._release(receiver)
                return 0
            method = getattr(self, f"{found.kind}_{selector.replace(':', '_')}")
            _, types = SELECTORS[selector]
            plain = [t for t in types if not issubclass(t, ctypes.Structure)]
            sizes = [words[4 + 3 * k : 7 + 3 * k] for k in range(len(types) - len(plain))]
            given = method(receiver, found.data, *words[: len(plain)], *sizes)
            if isinstance(given, float):
                self._tell(given)
                return 0
            return given or 0
        except Exception as error:
            self.problems.append(f"{selector}: {type(error).__name__} {error}")
            return 0

    def _bytes(self, text: str) -> int:
        held = ctypes.create_string_buffer(text.encode())
        self._held.append(held)
        return ctypes.addressof(held)

    def NSString_initWithUTF8String_(self, own, data, address):
        data["text"] = ctypes.string_at(address).decode()
        return own

    def NSString_UTF8String(self, own, data):
        return self._bytes(data["text"])

    def MTLCompileOptions_init(self, own, data):
        data["fast"] = True
        return own

    def MTLCompileOptions_setFastMathEnabled_(self, own, data, fast):
        data["fast"] = bool(fast & 0xFF)

    # ---- the device ----------------------------------------------------------------------------

    def Device_name(self, own, data):
        return self.autoreleased("NSString", text="Apple M of a test")

    def Device_recommendedMaxWorkingSetSize(self, own, data):
        return self.total

    def Device_maxThreadgroupMemoryLength(self, own, data):
        return 32 << 10

    def Device_currentAllocatedSize(self, own, data):
        return self.used

    def Device_newCommandQueue(self, own, data):
        return self.new("Queue", waiting=[])

    def Device_newBufferWithLength_options_(self, own, data, size, options):
        assert options == 0
        self.used += size
        return self.new("Buffer", memory=np.full(size, 0xA5, np.uint8))

    def Buffer_contents(self, own, data):
        return data["memory"].ctypes.data

    def Device_newSharedEvent(self, own, data):
        return self.new("Event", value=0)

    def Device_newLibraryWithSource_options_error_(self, own, data, source, options, error):
        assert self.things[options].data["fast"] is False
        text = self.things[source].data["text"]
        self.texts.append(text)
        if self.refuses and self.refuses in text:
            found = self.autoreleased("NSError", text="a word of this test is not known")
            ctypes.cast(error, ctypes.POINTER(ctypes.c_void_p))[0] = found
            return 0
        return self.new("Library", text=text)

    def NSError_localizedDescription(self, own, data):
        return self.autoreleased("NSString", text=data["text"])

    def Library_newFunctionWithName_(self, own, data, name):
        name = self.things[name].data["text"]
        assert f"kernel void {name}(" in data["text"]
        return self.new("Function", kernel=self.kernels[name], text=data["text"])

    def Device_newComputePipelineStateWithFunction_error_(self, own, data, function, error):
        of = self.things[function].data
        return self.new("State", code=self.emulator.load(0, of["kernel"]), text=of["text"])

    def State_maxTotalThreadsPerThreadgroup(self, own, data):
        return 1024

    # ---- command buffers -----------------------------------------------------------------------

    def Queue_commandBuffer(self, own, data):
        return self.autoreleased(
            "Commands", queue=own, work=[], status=0, open=0, keeps=[], ended=0.0
        )

    def Commands_computeCommandEncoder(self, own, data):
        assert data["status"] == 0 and not data["open"]
        data["open"] = self.autoreleased("Encoder", commands=own, ended=False, table={})
        return data["open"]

    def Encoder_setComputePipelineState_(self, own, data, state):
        assert not data["ended"]
        data["state"] = self.things[state].data
        data["table"] = {}

    def Encoder_setBuffer_offset_atIndex_(self, own, data, buffer, offset, index):
        memory = self.things[buffer].data["memory"]
        assert 0 <= offset <= memory.nbytes and index < 31
        self.things[buffer].refs += 1
        self.things[data["commands"]].data["keeps"].append(buffer)
        data["table"][index] = memory.ctypes.data + offset

    def Encoder_setBytes_length_atIndex_(self, own, data, address, size, index):
        assert index < 31
        data["table"][index] = ctypes.string_at(address, size)

    def Encoder_dispatchThreadgroups_threadsPerThreadgroup_(self, own, data, groups, threads):
        kernel = data["state"]["code"].kernel
        assert groups[1:] == threads[1:] == (1, 1) and kernel.threads % threads[0] == 0
        blocks, rest = divmod(groups[0] * threads[0], kernel.threads)
        assert not rest
        pointers = kernel.buffers + kernel.scratch
        arguments = [data["table"][place] for place in range(pointers)]
        given = np.frombuffer(data["table"][pointers], np.int64)
        for word, (kind, _) in zip(given, kernel.arguments()[pointers:], strict=True):
            if kind == "double":  # Metal has none: the bits are a float's
                assert 0 <= word < 1 << 32
                single = np.array([word], np.uint32).view(np.float32)
                word = single.astype(np.float64).view(np.int64)[0]
            arguments.append(int(word))
        words = np.array(arguments, np.int64)
        entry = data["state"]["code"].entry
        work = self.things[data["commands"]].data["work"]
        work.append(lambda: entry(words.ctypes.data, blocks, self.random.randrange(2)))

    def Encoder_endEncoding(self, own, data):
        assert not data["ended"]
        data["ended"] = True
        self.things[data["commands"]].data["open"] = 0

    def Commands_encodeSignalEvent_value_(self, own, data, event, value):
        assert data["status"] == 0 and not data["open"]
        thing = self.things[event]
        thing.refs += 1
        data["keeps"].append(event)
        data["work"].append(lambda: thing.data.update(value=value))

    def Commands_encodeWaitForEvent_value_(self, own, data, event, value):
        assert data["status"] == 0 and not data["open"]
        thing = self.things[event]
        thing.refs += 1
        data["keeps"].append(event)
        data["work"].append((thing.data, value))

    def Commands_commit(self, own, data):
        assert data["status"] == 0 and not data["open"], "an encoder is open"
        data["status"] = 2
        self.things[own].refs += 1
        self.things[data["queue"]].data["waiting"].append(own)
        self._stir()

    def Commands_waitUntilCompleted(self, own, data):
        assert data["status"] >= 2, "nobody committed it"
        for _ in range(10000):
            if data["status"] >= COMPLETED:
                return
            self._stir()
        raise AssertionError("it waits for what never comes")

    def Commands_status(self, own, data):
        self._stir()
        return data["status"]

    def Commands_error(self, own, data):
        return self.autoreleased("NSError", text="the GPU of this test hangs")

    def Commands_GPUEndTime(self, own, data):
        return data["ended"]

    def _stir(self) -> None:
        """Some pieces of work of queues drawn at random."""
        queues = [t.data["waiting"] for t in self.things.values() if t.kind == "Queue"]
        for _ in range(self.random.randrange(4)):
            waiting = self.random.choice(queues)
            if waiting:
                self._piece(waiting)

    def _piece(self, waiting: list[int]) -> None:
        handle = waiting[0]
        data = self.things[handle].data
        if data["work"]:
            first = data["work"][0]
            if isinstance(first, tuple):
                if first[0]["value"] < first[1]:
                    return
            else:
                first()
            data["work"].pop(0)
            return
        waiting.pop(0)
        self.time += 0.001
        data["ended"] = self.time
        data["status"] = FAILED if self.fails else COMPLETED
        for kept in (*data["keeps"], handle):
            self._release(kept)


class NamingMetalDriver(MetalDriver):
    """The driver on such a library, which it tells the kernel that a text is made from."""

    def __init__(self, fake: FakeObjC) -> None:
        super().__init__(fake.libraries)
        self.fake = fake

    def load(self, index, kernel):
        self.fake.kernels[kernel.name] = kernel
        return super().load(index, kernel)
