#!/usr/bin/env python3
"""In place of system-simulator: Chakra graph stream in, completions out; compute time, no network."""
import heapq, json, sys

def varint(data, at=0):
    value = shift = 0
    while data[at] > 127:
        value, shift, at = value | (data[at] & 127) << shift, shift + 7, at + 1
    return value | data[at] << shift, at + 1

def fields(data, at=0):  # (number, value) of every field of a protobuf message
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at) if tag & 7 in (0, 2) else (8 if tag & 7 == 1 else 4, at)
        if tag & 7: value, at = data[at:at + value], at + value
        yield tag >> 3, value

def attributes(message, number):  # {name: value}; the name is field 1, the value the other one
    return {a[1].decode(): max(a.items())[1] for a in (dict(fields(v)) for n, v in fields(message) if n == number)}

def messages(stream):  # a message follows its length, again and again
    while prefix := stream.read(1):
        while prefix[-1] > 127: prefix += stream.read(1)
        yield stream.read(varint(prefix)[0])

stream, free, running, pending = messages(sys.stdin.buffer), {}, {}, []
for metadata in stream:
    at = attributes(metadata, 2)
    if "advance_ns" in at:  # run the clock: answer with the next completion, or that time was reached
        due = pending and pending[0][0] <= at["advance_ns"]
        print(json.dumps(heapq.heappop(pending)[-1] if due else {"advancedNs": at["advance_ns"]}), flush=True)
        continue
    start = max(at["release_ns"], free.get(at["npu"], 0))
    nodes = [next(stream) for _ in range(at["node_count"])]  # exact ns, else field 7 in microseconds
    busy = sum(attributes(n, 10).get("duration_ns", dict(fields(n)).get(7, 0) * 1000) for n in nodes)
    free[at["npu"]] = finish = start + busy
    npus = running.setdefault((at["instance"], at["iteration"], at["lane"]), [])
    npus.append({"npu": at["npu"], "startNs": start, "finishNs": finish, "computeNs": busy, "exposedCommNs": 0, "exposedMemoryNs": 0})
    if len(npus) == at["npu_count"]:
        finish = max(npu["finishNs"] for npu in npus)
        heapq.heappush(pending, (finish, at["instance"], at["lane"], at["iteration"], {"instance": at["instance"], "iteration": at["iteration"], "lane": at["lane"], "startNs": min(npu["startNs"] for npu in npus), "finishNs": finish, "npus": npus, "commBytes": 0, "memoryBytes": 0}))
