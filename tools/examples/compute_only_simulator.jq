# In place of system-simulator with the files carrier: control lines in, completions out; compute time
# only. Run as: jq --unbuffered --null-input --compact-output -f compute_only_simulator.jq
foreach inputs as $line ({ free: {}, pending: [], answer: null };
  .answer = null
  | if $line.advanceNs != null then
      (.pending | min_by(.finishNs)) as $next
      | if $next != null and $next.finishNs <= $line.advanceNs
        then .pending -= [$next] | .answer = $next
        else .answer = { advancedNs: $line.advanceNs } end
    else
      ([$line.releaseNs, .free["\($line.instance)"] // 0] | max) as $start
      | ($start + $line.computeNs) as $finish
      | .free["\($line.instance)"] = $finish
      | .pending += [{
          instance: $line.instance, iteration: $line.iteration, lane: $line.lane,
          startNs: $start, finishNs: $finish,
          npus: [$line.npus[] | { npu: ., startNs: $start, finishNs: $finish,
            computeNs: $line.computeNs, exposedCommNs: 0, exposedMemoryNs: 0 }],
          commBytes: 0, memoryBytes: 0 }]
    end;
  .answer // empty)
