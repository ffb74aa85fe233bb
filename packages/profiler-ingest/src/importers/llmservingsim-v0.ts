/**
 * LLMServingSim 1.x ("v0") bundles: tpN/layers.csv with single-kernel operators at every token count
 * (ns), tpN/attention.csv in Vidur's manner. Operators are summed to the fused ones that engines run
 * and our traces name: q, k and v projections, gate and up projections. Where a compiler had merged
 * one into another (TPU: up_proj is missing below some size and down_proj slower instead) each gets
 * back its share, so that no operator is taken for slower or faster than its weights allow. An
 * expert was measured alone: a MoE block is its gate and its experts one after the other, each with
 * its even share of the tokens.
 */
import type { ProfileTableBuilder } from '@astrolabe/profile';
import type { CsvTable } from './csv.js';

/** Operator of ours: the operators it sums. */
const sums: Record<string, readonly string[]> = {
  embedding: ['embedding'],
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
  rotary_emb: ['rope'],
  o_proj: ['o_proj'],
  gate_up_proj: ['gate_proj', 'up_proj'],
  act_fn: ['act_fn'],
  down_proj: ['down_proj'],
  final_layernorm: ['final_layernorm'],
};
const norms = ['input_layernorm', 'post_layernorm'];
const experts = ['expert.w1', 'expert.w2', 'expert.w3'];

/** Experts per token of every MoE model that was profiled in this form. */
const expertsPerToken = 2;

/** What `layers.csv` holds: operator, tokens, ns. */
type Layers = Map<string, Map<number, number>>;

/** @returns notes on what was summed or assumed */
export function readV0Layers(csv: CsvTable, tp: number, into: ProfileTableBuilder): string[] {
  const layers = collect(csv, tp);
  const notes: string[] = [];
  const separated = separateMerged(layers);
  if (separated > 0) {
    notes.push(
      `TP ${tp}: up_proj is part of its neighbours at ${separated} sizes; a third of their sum each`,
    );
  }
  for (const [operator, parts] of Object.entries(sums)) {
    const known = parts.filter((part) => layers.has(part));
    if (known.length === 0) continue;
    if (known.length < parts.length) {
      notes.push(`TP ${tp}: ${operator} is ${known.join(' + ')} alone, the rest was not measured`);
    }
    addDense(into, operator, tp, sumOf(layers, known));
  }
  const both = norms.filter((name) => layers.has(name));
  if (both.length > 0) {
    const total = sumOf(layers, both);
    addDense(
      into,
      'layernorm',
      tp,
      new Map(
        [...total].map(([tokens, ns]) => [tokens, Math.max(1, Math.round(ns / both.length))]),
      ),
    );
  }
  for (const [sequences, durationNs] of layers.get('lm_head') ?? []) {
    into.add({ kind: 'per_sequence', operator: 'lm_head', tp, sequences, durationNs });
  }
  if (layers.has('gate') && experts.every((name) => layers.has(name))) {
    addMoe(layers, tp, into);
    notes.push(`TP ${tp}: MoE blocks are the gate and the experts in turn, top ${expertsPerToken}`);
  }
  return notes;
}

function collect(csv: CsvTable, tp: number): Layers {
  const layer = csv.column('layer_name');
  const input = csv.column('input');
  const degree = csv.column('tp_size');
  const time = csv.column('latency(ns)');
  const layers: Layers = new Map();
  for (let i = 0; i < csv.rows.length; i++) {
    if (csv.count(i, degree) !== tp) continue;
    const name = csv.rows[i][layer];
    const series = layers.get(name) ?? new Map<number, number>();
    series.set(csv.count(i, input), csv.durationNs(i, time, 1));
    layers.set(name, series);
  }
  return layers;
}

/**
 * The three matrices of a gated feed-forward block have one size, so where a compiler merged one
 * into the others each takes a third of what was measured.
 * @returns sizes where that was so
 */
function separateMerged(layers: Layers): number {
  const [gate, up, down] = ['gate_proj', 'up_proj', 'down_proj'].map((name) => layers.get(name));
  if (gate === undefined || up === undefined || down === undefined) return 0;
  const merged = [...gate.keys()].filter((tokens) => !up.has(tokens) && down.has(tokens));
  for (const tokens of merged) {
    const total = (gate.get(tokens) as number) + (down.get(tokens) as number);
    for (const series of [gate, up, down]) series.set(tokens, Math.round(total / 3));
  }
  return merged.length;
}

/** Sum over operators of what was measured at each token count. */
function sumOf(layers: Layers, names: readonly string[]): Map<number, number> {
  const total = new Map<number, number>();
  for (const name of names) {
    for (const [tokens, ns] of layers.get(name) as Map<number, number>) {
      total.set(tokens, (total.get(tokens) ?? 0) + ns);
    }
  }
  return total;
}

function addDense(
  into: ProfileTableBuilder,
  operator: string,
  tp: number,
  series: ReadonlyMap<number, number>,
): void {
  for (const [tokens, durationNs] of series) {
    into.add({ kind: 'dense', operator, tp, tokens, durationNs });
  }
}

function addMoe(layers: Layers, tp: number, into: ProfileTableBuilder): void {
  const gate = layers.get('gate') as Map<number, number>;
  const expert = sumOf(layers, experts);
  for (let tokens = 1; tokens <= 2048; tokens *= 2) {
    for (let activated = 1; activated <= 16; activated++) {
      if (activated > tokens * expertsPerToken) break;
      const share = Math.ceil((tokens * expertsPerToken) / activated);
      const gateNs = gate.get(tokens);
      const expertNs = expert.get(share);
      if (gateNs === undefined || expertNs === undefined) continue;
      into.add({
        kind: 'moe',
        operator: 'moe',
        tp,
        tokens,
        activatedExperts: activated,
        durationNs: gateNs + activated * expertNs,
      });
    }
  }
}
