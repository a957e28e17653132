"""The worker pool's machine code, as LLVM text: waiting, claiming chunks, parallel-for, plans.

One word holds the state of the current job: generation, a closed bit, and how many workers are
inside.  A worker enters by compare-and-swap while the job is open; the caller closes it when all
chunks are claimed and nobody is inside, so nobody waits for a worker that is still waking up.
Level 8.
"""

from __future__ import annotations

from rushlight.codegen.crew import PAUSE

# Byte offsets in the pool's state; words that different cores write have lines of their own.
JOB_WORD = 0
FUNCTION, BUFFERS, PARAMS, EXTENT, CHUNK = 64, 72, 80, 88, 96
NEXT_CHUNK = 128
SLEEPERS, STOP, LIMIT, BUSY = 192, 200, 208, 216
LOCK, UNLOCK, WAIT, WAKE, YIELD = 256, 264, 272, 280, 288
MUTEX, CONDITION = 320, 448
STATE_BYTES = 576

STEP_WORDS = 5  # function, buffers, params, extent, grain
# A pause is 40 to 140 cycles: a worker stays awake for some tens of microseconds after a job.
_SPINS = 1000
_CHUNKS_PER_THREAD = 8  # small enough to even out a core that is taken away, large enough to hide
_ACTIVE_MASK = (1 << 19) - 1
_CLOSED = 1 << 19
_GENERATION_SHIFT = 20

_TEMPLATE = """
{pause_declaration}

define internal void @claim_chunks(ptr %state) nounwind {{
entry:
  %fnp = getelementptr i8, ptr %state, i64 {FUNCTION}
  %fn = load ptr, ptr %fnp
  %bufp = getelementptr i8, ptr %state, i64 {BUFFERS}
  %buffers = load ptr, ptr %bufp
  %parp = getelementptr i8, ptr %state, i64 {PARAMS}
  %params = load ptr, ptr %parp
  %extp = getelementptr i8, ptr %state, i64 {EXTENT}
  %extent = load i64, ptr %extp
  %chp = getelementptr i8, ptr %state, i64 {CHUNK}
  %chunk = load i64, ptr %chp
  %next = getelementptr i8, ptr %state, i64 {NEXT_CHUNK}
  br label %claim
claim:
  %number = atomicrmw add ptr %next, i64 1 monotonic
  %begin = mul i64 %number, %chunk
  %any = icmp slt i64 %begin, %extent
  br i1 %any, label %work, label %done
work:
  %full = add i64 %begin, %chunk
  %inside = icmp slt i64 %full, %extent
  %end = select i1 %inside, i64 %full, i64 %extent
  call void %fn(ptr %buffers, ptr %params, i64 %begin, i64 %end)
  br label %claim
done:
  ret void
}}

define void @worker(ptr %state, i64 %index, i64 %first) nounwind {{
entry:
  %sleepers = getelementptr i8, ptr %state, i64 {SLEEPERS}
  %stopp = getelementptr i8, ptr %state, i64 {STOP}
  %limitp = getelementptr i8, ptr %state, i64 {LIMIT}
  %mutex = getelementptr i8, ptr %state, i64 {MUTEX}
  %condition = getelementptr i8, ptr %state, i64 {CONDITION}
  %lockp = getelementptr i8, ptr %state, i64 {LOCK}
  %lock = load ptr, ptr %lockp
  %unlockp = getelementptr i8, ptr %state, i64 {UNLOCK}
  %unlock = load ptr, ptr %unlockp
  %waitp = getelementptr i8, ptr %state, i64 {WAIT}
  %wait = load ptr, ptr %waitp
  br label %idle
idle:
  %seen = phi i64 [ %first, %entry ], [ %seen, %left ], [ %generation, %skip ],
                  [ %generation, %finished ], [ %seen, %join ]
  br label %spin
spin:
  %spins = phi i64 [ 0, %idle ], [ %more, %again ]
  %word = load atomic i64, ptr %state acquire, align 8
  %generation = lshr i64 %word, {SHIFT}
  %fresh = icmp ne i64 %generation, %seen
  br i1 %fresh, label %check, label %again
again:
  {pause}
  %more = add i64 %spins, 1
  %tired = icmp ugt i64 %more, {SPINS}
  br i1 %tired, label %park, label %spin
park:
  call i32 %lock(ptr %mutex)
  %s0 = atomicrmw add ptr %sleepers, i64 1 seq_cst
  br label %parked
parked:
  %pword = load atomic i64, ptr %state seq_cst, align 8
  %pgeneration = lshr i64 %pword, {SHIFT}
  %pfresh = icmp ne i64 %pgeneration, %seen
  br i1 %pfresh, label %left, label %sleep
sleep:
  call i32 %wait(ptr %condition, ptr %mutex, i32 -1, i32 0)
  br label %parked
left:
  %s1 = atomicrmw sub ptr %sleepers, i64 1 seq_cst
  call i32 %unlock(ptr %mutex)
  br label %idle
check:
  %stop = load atomic i64, ptr %stopp acquire, align 8
  %stopping = icmp ne i64 %stop, 0
  br i1 %stopping, label %exit, label %allowed
allowed:
  %limit = load atomic i64, ptr %limitp monotonic, align 8
  %over = icmp sge i64 %index, %limit
  %closedbit = and i64 %word, {CLOSED}
  %closed = icmp ne i64 %closedbit, 0
  %unwanted = or i1 %over, %closed
  br i1 %unwanted, label %skip, label %join
skip:
  br label %idle
join:
  %inside = add i64 %word, 1
  %swap = cmpxchg ptr %state, i64 %word, i64 %inside acq_rel monotonic
  %joined = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %joined, label %run, label %idle
run:
  call void @claim_chunks(ptr %state)
  %w2 = atomicrmw sub ptr %state, i64 1 release
  br label %finished
finished:
  br label %idle
exit:
  ret void
}}

define void @stop_workers(ptr %state) nounwind {{
  %stopp = getelementptr i8, ptr %state, i64 {STOP}
  store atomic i64 1, ptr %stopp seq_cst, align 8
  %w = load atomic i64, ptr %state acquire, align 8
  %g = lshr i64 %w, {SHIFT}
  %g1 = add i64 %g, 1
  %open = shl i64 %g1, {SHIFT}
  %closed = or i64 %open, {CLOSED}
  store atomic i64 %closed, ptr %state seq_cst, align 8
  call void @wake_sleepers(ptr %state)
  ret void
}}

define internal void @wake_sleepers(ptr %state) nounwind {{
  %mutex = getelementptr i8, ptr %state, i64 {MUTEX}
  %condition = getelementptr i8, ptr %state, i64 {CONDITION}
  %lockp = getelementptr i8, ptr %state, i64 {LOCK}
  %lock = load ptr, ptr %lockp
  %unlockp = getelementptr i8, ptr %state, i64 {UNLOCK}
  %unlock = load ptr, ptr %unlockp
  %wakep = getelementptr i8, ptr %state, i64 {WAKE}
  %wake = load ptr, ptr %wakep
  call i32 %lock(ptr %mutex)
  call i32 %wake(ptr %condition)
  call i32 %unlock(ptr %mutex)
  ret void
}}

define void @parallel_for(ptr %state, ptr %fn, ptr %buffers, ptr %params, i64 %extent,
                          i64 %grain) nounwind {{
entry:
  %limitp = getelementptr i8, ptr %state, i64 {LIMIT}
  %busyp = getelementptr i8, ptr %state, i64 {BUSY}
  %limit = load atomic i64, ptr %limitp monotonic, align 8
  %alone = icmp eq i64 %limit, 0
  %small = icmp sle i64 %extent, %grain
  %direct = or i1 %alone, %small
  br i1 %direct, label %serial, label %try
try:
  %swap = cmpxchg ptr %busyp, i64 0, i64 1 acquire monotonic
  %mine = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %mine, label %publish, label %serial
serial:
  call void %fn(ptr %buffers, ptr %params, i64 0, i64 %extent)
  ret void
publish:
  %threads = add i64 %limit, 1
  %pieces = mul i64 %threads, {CHUNKS_PER_THREAD}
  %even = udiv i64 %extent, %pieces
  %coarse = icmp sgt i64 %grain, %even
  %chunk = select i1 %coarse, i64 %grain, i64 %even
  %fnp = getelementptr i8, ptr %state, i64 {FUNCTION}
  store ptr %fn, ptr %fnp
  %bufp = getelementptr i8, ptr %state, i64 {BUFFERS}
  store ptr %buffers, ptr %bufp
  %parp = getelementptr i8, ptr %state, i64 {PARAMS}
  store ptr %params, ptr %parp
  %extp = getelementptr i8, ptr %state, i64 {EXTENT}
  store i64 %extent, ptr %extp
  %chp = getelementptr i8, ptr %state, i64 {CHUNK}
  store i64 %chunk, ptr %chp
  %next = getelementptr i8, ptr %state, i64 {NEXT_CHUNK}
  store atomic i64 0, ptr %next monotonic, align 8
  %w = load atomic i64, ptr %state acquire, align 8
  %g = lshr i64 %w, {SHIFT}
  %g1 = add i64 %g, 1
  %open = shl i64 %g1, {SHIFT}
  store atomic i64 %open, ptr %state seq_cst, align 8
  %sleepp = getelementptr i8, ptr %state, i64 {SLEEPERS}
  %sleeping = load atomic i64, ptr %sleepp seq_cst, align 8
  %anyone = icmp ne i64 %sleeping, 0
  br i1 %anyone, label %wake, label %work
wake:
  call void @wake_sleepers(ptr %state)
  br label %work
work:
  call void @claim_chunks(ptr %state)
  br label %close
close:
  %waits = phi i64 [ 0, %work ], [ %count, %pause ], [ 0, %yield ], [ %waits, %shut ]
  %now = load atomic i64, ptr %state acquire, align 8
  %active = and i64 %now, {ACTIVE_MASK}
  %empty = icmp eq i64 %active, 0
  br i1 %empty, label %shut, label %pause
pause:
  {pause}
  %count = add i64 %waits, 1
  %long = icmp ugt i64 %count, {SPINS}
  br i1 %long, label %yield, label %close
yield:
  %yieldp = getelementptr i8, ptr %state, i64 {YIELD}
  %giveup = load ptr, ptr %yieldp
  call i32 %giveup()
  br label %close
shut:
  %final = or i64 %now, {CLOSED}
  %swap2 = cmpxchg ptr %state, i64 %now, i64 %final acq_rel monotonic
  %shutdone = extractvalue {{ i64, i1 }} %swap2, 1
  br i1 %shutdone, label %done, label %close
done:
  store atomic i64 0, ptr %busyp release, align 8
  ret void
}}

define void @run_steps(ptr %state, ptr %steps, i64 %count) nounwind {{
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %j, %body ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %body, label %done
body:
  %at = mul i64 %i, {STEP_BYTES}
  %p0 = getelementptr i8, ptr %steps, i64 %at
  %fn = load ptr, ptr %p0
  %p1 = getelementptr i8, ptr %p0, i64 8
  %buffers = load ptr, ptr %p1
  %p2 = getelementptr i8, ptr %p0, i64 16
  %params = load ptr, ptr %p2
  %p3 = getelementptr i8, ptr %p0, i64 24
  %extent = load i64, ptr %p3
  %p4 = getelementptr i8, ptr %p0, i64 32
  %grain = load i64, ptr %p4
  call void @parallel_for(ptr %state, ptr %fn, ptr %buffers, ptr %params, i64 %extent,
                          i64 %grain)
  %j = add i64 %i, 1
  br label %head
done:
  ret void
}}

define void @no_step(ptr %buffers, ptr %params, i64 %begin, i64 %end) nounwind {{
  ret void
}}
"""

# The last one is a kernel that does nothing, for a plan's step that is not needed this time.
NO_STEP = "no_step"
FUNCTIONS = ("worker", "stop_workers", "parallel_for", "run_steps", NO_STEP)


def pool_text(triple: str) -> str:
    """The module of the pool for a machine."""
    declaration, pause = PAUSE.get(triple.split("-", 1)[0], ("", ""))
    return f'target triple = "{triple}"\n' + _TEMPLATE.format(
        pause_declaration=declaration,
        pause=pause,
        SHIFT=_GENERATION_SHIFT,
        CLOSED=_CLOSED,
        ACTIVE_MASK=_ACTIVE_MASK,
        SPINS=_SPINS,
        CHUNKS_PER_THREAD=_CHUNKS_PER_THREAD,
        STEP_BYTES=8 * STEP_WORDS,
        **{
            name: value
            for name, value in globals().items()
            if name.isupper() and isinstance(value, int) and not name.startswith("_")
        },
    )
