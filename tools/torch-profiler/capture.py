#!/usr/bin/env python3
"""Measures the operators of one decoder block with PyTorch alone, for profiler-ingest.

No engine and no weights: the block is random-initialised from a Hugging Face config.json. Every
operator runs over a grid (tokens; chunk, context and decodes; experts; sequences) and is measured
twice, because the two answers differ and must never be mixed:

  OUT/operators.csv    CUDA events (the wall clock on a CPU): median of the repeats, a row a point
  OUT/trace.json.gz    torch.profiler: the time of the kernels alone, annotated with operator and sizes
  OUT/power.csv        nvidia-smi's readings meanwhile, idle before and after (where it is installed)
  OUT/collectives.csv  all-reduce and send/receive by size, when torchrun starts several processes
  OUT/capture.json     what was measured with what
"""
import argparse
import csv
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the folder may be a checkout

from shape import CaptureError, Shape

torch = None  # imported late: its absence is one line, and mistakes show at once

EXAMPLES = """examples:
  python3 capture.py --config Llama-3.1-8B/config.json --output capture
  python3 capture.py --config config.json --output capture-tp2 --tp 2 --dtype bfloat16
  python3 capture.py --config config.json --output quick --device cpu --dtype float32 \\
      --tokens 1,16,64 --contexts 0,256 --sequences 1,8 --repeats 3
  torchrun --nproc_per_node 8 capture.py --output capture
  profiler-ingest import capture/trace.json.gz --hardware MyGPU --model org/Model -o my.arrow
"""
COLUMNS = ["operator", "kind", "measurement", "tp", "tokens", "context_tokens", "sequences",
           "decode_context_tokens", "activated_experts", "size_bytes", "devices_per_node",
           "latency_us"]
# Names of the keys in annotations, as in a profile table.
KEYS = {
    "tokens": "tokens", "context_tokens": "contextTokens", "sequences": "sequences",
    "decode_context_tokens": "decodeContextTokens", "activated_experts": "activatedExperts",
}
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32"}

class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise CaptureError(f"{message}; --help shows examples")


def counts(text):
    values = [int(part) for part in text.split(",")]
    if min(values) < 0:
        raise ValueError
    return sorted(set(values))


counts.__name__ = "list like 1,16,64"


def arguments():
    parser = Parser(prog="capture.py", description=__doc__, epilog=EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="Hugging Face config.json")
    parser.add_argument("--output", required=True, help="folder for the results")
    parser.add_argument("--dtype", help="bfloat16, float16, float32; default: the config's")
    parser.add_argument("--tp", type=int, default=1, help="tensor-parallel degree to emulate")
    parser.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda if there is one")
    parser.add_argument("--tokens", type=counts, help="grid of tokens, and of chunks from 16 on")
    parser.add_argument("--contexts", type=counts, help="grid of context lengths")
    parser.add_argument("--sequences", type=counts, help="grid of sequences and decodes")
    parser.add_argument("--experts", type=counts, help="grid of activated experts")
    parser.add_argument("--max-tokens", type=int, default=8192, help="end of that default grid")
    parser.add_argument("--max-context", type=int, default=32768, help="end of that default grid")
    parser.add_argument("--max-sequences", type=int, default=256, help="end of that default grid")
    parser.add_argument("--max-keys", type=int, default=1 << 20, help="most KV tokens of a point")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of a point")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    parser.add_argument("--idle-seconds", type=float, default=3, help="power at rest, each side")
    args = parser.parse_args()
    if args.tp < 1 or args.repeats < 1:
        parser.error("--tp and --repeats must be 1 or more")
    return args


def doubling(low, high):
    while low <= high:
        yield low
        low *= 2


def grids(args, shape):
    """Default grids, where no list is given. Fine at few tokens, where serving mostly is."""
    steps = [*range(1, 16), *(n for low in doubling(16, 1 << 20) for n in (low, low * 3 // 2))]
    args.tokens = args.tokens or [n for n in steps if n <= args.max_tokens]
    args.contexts = args.contexts or [0, *doubling(64, min(args.max_context, shape.positions))]
    args.sequences = args.sequences or list(doubling(1, args.max_sequences))
    if shape.experts:
        known = {*doubling(1, shape.experts), shape.top, shape.experts}
        args.experts = args.experts or sorted(known)
        if args.experts[-1] > shape.experts:
            raise CaptureError(f"--experts {args.experts[-1]}: the model has {shape.experts}")
    for name in ("tokens", "sequences"):
        if getattr(args, name)[0] < 1:
            raise CaptureError(f"--{name}: expected integers >= 1")


def attention_points(args):
    """(chunk, context, decodes, decode context): each alone on the whole grid, then mixes, whose
    times are nearly sums, on every other key."""
    chunks = [n for n in args.tokens if n >= 16] or args.tokens[-1:]
    behind = [n for n in args.contexts if n > 0]

    def thin(values):
        return sorted({*values[::2], *values[-1:]})

    yield from ((chunk, context, 0, 0) for chunk in chunks for context in args.contexts)
    yield from ((0, 0, n, length) for n in args.sequences for length in behind)
    yield from ((chunk, context, n, length) for chunk in thin(chunks) for context in
                thin(args.contexts) for n in thin(args.sequences) for length in thin(behind))


def points(block, args):
    """(kind, operator, keys, cold, call) of the whole sweep; the tensors of one point at a time."""
    for tokens in args.tokens:
        block.reset()
        for operator, cold, call in block.dense(tokens):
            yield "dense", operator, {"tokens": tokens}, cold, call
    for sequences in args.sequences:
        block.reset()
        for operator, cold, call in block.per_sequence(sequences):
            yield "per_sequence", operator, {"sequences": sequences}, cold, call
    for chunk, context, decodes, length in attention_points(args):
        if chunk + context + decodes * length > args.max_keys:
            continue
        block.reset()
        keys = {"tokens": chunk, "context_tokens": context, "sequences": decodes,
                "decode_context_tokens": length}
        call = block.attention(chunk, context, decodes, length)
        yield "attention", "attention", keys, True, call
    for tokens in doubling(1, args.tokens[-1]) if block.shape.experts else []:
        for activated in args.experts:
            if activated > tokens * block.shape.top:
                continue
            block.reset()
            keys = {"tokens": tokens, "activated_experts": activated}
            yield "moe", "moe", keys, True, block.moe(tokens, activated)


class Stopwatch:
    """us of a call: CUDA events, or the wall clock. On a GPU the caches are emptied before cold calls,
    and a short wait lets the host enqueue the whole call before its first kernel starts."""

    def __init__(self, device):
        self.is_cuda = device == "cuda"
        if self.is_cuda:
            self.flush = torch.empty(1 << 28, dtype=torch.int8, device=device)
            self.events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]

    def prepare(self, cold):
        if self.is_cuda and cold:
            self.flush.zero_()

    def time(self, call, cold):
        self.prepare(cold)
        if not self.is_cuda:
            begin = time.perf_counter_ns()
            call()
            return (time.perf_counter_ns() - begin) / 1e3
        start, end = self.events
        torch.cuda._sleep(200_000)
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) * 1e3


def annotation(kind, operator, keys, tp):
    pairs = ",".join(f"{KEYS[key]}={value}" for key, value in keys.items())
    return f"astrolabe:{kind}:{operator}:{pairs},tp={tp}"


def sweep(block, args, measure):
    """Runs `measure(kind, operator, keys, cold, call)` over all points, each warmed up once.
    @return how many did not fit into memory"""
    skipped = 0
    for kind, operator, keys, cold, call in points(block, args):
        try:
            call()
            measure(kind, operator, keys, cold, call)
        except RuntimeError as problem:
            text = str(problem).split("\n")[0]
            if "out of memory" not in text:
                raise CaptureError(f"{operator} in {args.dtype} on {args.device}: {text}") from None
            skipped += 1
            torch.cuda.empty_cache()
    return skipped


def measure_operators(args, shape, block_class):
    torch.manual_seed(args.seed)
    block = block_class(shape, args.device, getattr(torch, args.dtype))
    watch = Stopwatch(args.device)
    fixed = {"measurement": "cuda_event" if watch.is_cuda else "wall_clock", "tp": args.tp}
    rows = []

    def with_clock(kind, operator, keys, cold, call):
        median = statistics.median(watch.time(call, cold) for _ in range(args.repeats))
        rows.append({"operator": operator, "kind": kind, **fixed, **keys,
                     "latency_us": f"{median:.3f}"})

    def with_profiler(kind, operator, keys, cold, call):
        name = annotation(kind, operator, keys, args.tp)
        for _ in range(args.repeats):
            watch.prepare(cold)
            with torch.profiler.record_function(name):
                call()

    activities = [torch.profiler.ProfilerActivity.CPU]
    if watch.is_cuda:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    power = start_power_log(args)
    try:
        with torch.no_grad():
            skipped = sweep(block, args, with_clock)
            write_csv(os.path.join(args.output, "operators.csv"), rows)
            with torch.profiler.profile(activities=activities, record_shapes=True) as profile:
                # The adapter leaves out what runs in here under no other annotation.
                with torch.profiler.record_function("astrolabe:setup"):
                    sweep(block, args, with_profiler)
                if watch.is_cuda:
                    torch.cuda.synchronize()
    finally:
        stop_power_log(args, power)
    write_trace(profile, os.path.join(args.output, "trace.json"))
    note = f", {skipped} left out: not enough memory" if skipped else ""
    print(f"{len(rows)} points in {args.output}{note}", file=sys.stderr)


def measure_collectives(args):
    """On every process; the first one writes. Several hosts: their sizes are LOCAL_WORLD_SIZE."""
    import torch.distributed as dist

    dist.init_process_group("nccl" if args.device == "cuda" else "gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    if args.device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    watch = Stopwatch(args.device)
    rows = []

    def send_receive(data):
        if rank == 0:
            dist.send(data, 1)
        elif rank == 1:
            dist.recv(data, 0)

    for operator, workers, call in [("all_reduce", world, dist.all_reduce),
                                    ("send_recv", 2, send_receive)]:
        for size in doubling(1 << 10, 1 << (28 if watch.is_cuda else 22)):
            data = torch.ones(size // 4, dtype=torch.float32, device=args.device)
            call(data)
            samples = []
            for _ in range(args.repeats):
                dist.barrier()
                samples.append(watch.time(lambda: call(data), False))
            rows.append({"operator": operator, "kind": "collective", "tp": world,
                         "measurement": "cuda_event" if watch.is_cuda else "wall_clock",
                         "sequences": workers, "size_bytes": size,
                         "devices_per_node": min(workers, int(os.environ.get("LOCAL_WORLD_SIZE", world))),
                         "latency_us": f"{statistics.median(samples):.3f}"})
    if rank == 0:
        write_csv(os.path.join(args.output, "collectives.csv"), rows)
        print(f"{len(rows)} points in {args.output}", file=sys.stderr)
    dist.destroy_process_group()


def start_power_log(args):
    if shutil.which("nvidia-smi") is None:
        return None
    query = "--query-gpu=timestamp,index,utilization.gpu,power.draw"
    with open(os.path.join(args.output, "power.csv"), "w") as file:
        log = subprocess.Popen(["nvidia-smi", query, "--format=csv", "-lms", "100"], stdout=file,
                               stderr=subprocess.DEVNULL)
    time.sleep(args.idle_seconds)
    return log


def stop_power_log(args, log):
    if log is None:
        return
    time.sleep(args.idle_seconds)
    log.terminate()
    log.wait()
    path = os.path.join(args.output, "power.csv")
    with open(path) as file:
        lines = file.readlines()
    # Its last line may be half written when it is stopped.
    complete = [line for line in lines if line.endswith("\n")]
    with open(path, "w") as file:
        file.writelines(complete)


def write_csv(path, rows):
    with open(path + ".part", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(path + ".part", path)


def write_trace(profile, path):
    profile.export_chrome_trace(path)
    with open(path, "rb") as source, gzip.open(path + ".gz.part", "wb") as target:
        shutil.copyfileobj(source, target)
    os.replace(path + ".gz.part", path + ".gz")
    os.remove(path)


def read_shape(args):
    if args.config is None:
        raise CaptureError("--config is required; --help shows examples")
    with open(args.config) as file:
        config = json.load(file)
    if not isinstance(config, dict):
        raise CaptureError(f"{args.config}: expected an object")
    shape = Shape(config, args.tp)
    named = config.get("torch_dtype") or config.get("dtype") or "bfloat16"
    args.dtype = DTYPES.get(args.dtype or named, args.dtype or named)
    if args.dtype not in ("bfloat16", "float16", "float32"):
        raise CaptureError(f'--dtype "{args.dtype}" cannot be captured (bfloat16, float16, float32)')
    grids(args, shape)
    return shape


def load_torch():
    """@return the class of blocks, which needs PyTorch itself"""
    global torch
    try:
        import torch as found
        from block import Block
    except ImportError as missing:
        raise CaptureError(f"needs PyTorch 1.13 or later: {missing}") from None
    torch = found
    return Block


def main():
    args = arguments()
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    shape = None if several else read_shape(args)
    block_class = load_torch()
    has_cuda = torch.cuda.is_available()
    args.device = args.device or ("cuda" if has_cuda else "cpu")
    if args.device == "cuda" and not has_cuda:
        raise CaptureError("--device cuda: PyTorch finds no GPU")
    os.makedirs(args.output, exist_ok=True)
    if several:
        measure_collectives(args)
        return
    measure_operators(args, shape, block_class)
    threads = f"CPU, {torch.get_num_threads()} threads"
    name = torch.cuda.get_device_name() if args.device == "cuda" else threads
    about = {"device": name, "torch": torch.__version__, "dtype": args.dtype, "tp": args.tp,
             "seed": args.seed, "repeats": args.repeats}
    with open(os.path.join(args.output, "capture.json"), "w") as file:
        file.write(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (CaptureError, OSError, json.JSONDecodeError) as problem:
        print(f"capture.py: {problem}", file=sys.stderr)
        sys.exit(2)
