# In place of trace-generator with the files carrier: iterations in, control lines out. A step takes 10 ms
# and 20 us a new token; every instance has one NPU; `prefix` names no files, so the machine must not
# open them (compute_only_simulator.jq). Run as: jq --unbuffered --compact-output -f linear_latency.jq
if .advanceNs != null then . else
  (.newTokens | add) as $tokens
  | { instance, iteration, lane: 0, releaseNs, prefix: "", npus: [.instance], nodes: 1,
      computeNs: (10000000 + 20000 * $tokens), commBytes: 0, groups: {} }
end
