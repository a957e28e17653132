"""Threads that take a walk together, as LLVM text: who does a part, and when all parts are done.

Parts of a step are claimed one by one, so nobody waits for a thread that has not come yet, and one
thread alone does everything.  A step begins when the last one is done.  Who waits for long, because
another was interrupted in the midst of a part, leaves the rest to those that are there; the last
one stays.  Level 7.
"""

from __future__ import annotations

from rushlight.base.target import Target
from rushlight.codegen.llvm import KERNEL_ARGUMENTS

# Words of the memory of a crew: parts done, threads that are there, and from CLAIMS on the number
# of the step in which each part is to be claimed next.  Each kind has lines of its own.
DONE, PRESENT, CLAIMS = 0, 8, 16
# How often one looks before leaving: some tens of microseconds, several times a part's time.
_LOOKS = 1000

# How a processor is told that a loop waits: the declaration and the call.
PAUSE = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}

_FUNCTIONS = """
define internal void @come(ptr %crew) nounwind {{
  %present = getelementptr i64, ptr %crew, i64 {PRESENT}
  %before = atomicrmw add ptr %present, i64 1 acq_rel
  ret void
}}

define internal i1 @is_open(ptr %crew, i64 %goal) nounwind {{
  %count = load atomic i64, ptr %crew acquire, align 8
  %open = icmp slt i64 %count, %goal
  ret i1 %open
}}

define internal i1 @claim(ptr %crew, i64 %part, i64 %step) nounwind {{
  %number = add i64 %part, {CLAIMS}
  %word = getelementptr i64, ptr %crew, i64 %number
  %seen = load atomic i64, ptr %word monotonic, align 8
  %is_free = icmp eq i64 %seen, %step
  br i1 %is_free, label %try, label %taken
try:
  %next = add i64 %step, 1
  %pair = cmpxchg ptr %word, i64 %step, i64 %next acq_rel monotonic
  %won = extractvalue {{ i64, i1 }} %pair, 1
  ret i1 %won
taken:
  ret i1 false
}}

define internal void @finish(ptr %crew) nounwind {{
  %before = atomicrmw add ptr %crew, i64 1 acq_rel
  ret void
}}

define internal i1 @stays(ptr %crew, i64 %goal) nounwind {{
entry:
  %present = getelementptr i64, ptr %crew, i64 {PRESENT}
  br label %look
look:
  %looks = phi i64 [ 0, %entry ], [ %more, %again ], [ 0, %leave ], [ 0, %last ]
  %count = load atomic i64, ptr %crew acquire, align 8
  %open = icmp slt i64 %count, %goal
  br i1 %open, label %wait, label %done
wait:
  {pause}
  %more = add i64 %looks, 1
  %long = icmp ugt i64 %more, {LOOKS}
  br i1 %long, label %last, label %again
again:
  br label %look
last:
  %others = load atomic i64, ptr %present monotonic, align 8
  %several = icmp sgt i64 %others, 1
  br i1 %several, label %leave, label %look
leave:
  %fewer = sub i64 %others, 1
  %pair = cmpxchg ptr %present, i64 %others, i64 %fewer acq_rel monotonic
  %left = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %left, label %gone, label %look
done:
  ret i1 true
gone:
  ret i1 false
}}
"""

_CLEAR = """
define void @{name}({arguments}) nounwind {{
entry:
  %crew = load ptr, ptr %buffers, align 8
  %words = load i64, ptr %params, align 8
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %words
  br i1 %more, label %body, label %done
body:
  %word = getelementptr i64, ptr %crew, i64 %i
  store i64 0, ptr %word, align 8
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}}
"""


def crew_functions(target: Target) -> tuple[str, set[str]]:
    """The functions of a crew for a walk's module, and the declarations they need.

    come(crew): a thread is there.  is_open(crew, goal): whether fewer parts are done.
    claim(crew, part, step): whether the caller is to do that part.  finish(crew): a part is done.
    stays(crew, goal): waits until so many parts are done; false if the caller is to leave.
    """
    declaration, pause = PAUSE.get(target.architecture, ("", ""))
    text = _FUNCTIONS.format(PRESENT=PRESENT, CLAIMS=CLAIMS, LOOKS=_LOOKS, pause=pause)
    return text, {declaration} - {""}


def clear_text(name: str, target: Target) -> str:
    """The module of a kernel that makes a crew's memory ready: buffer `crew`, word `words`."""
    text = _CLEAR.format(name=name, arguments=KERNEL_ARGUMENTS)
    return f'target triple = "{target.triple}"\n{text}'
