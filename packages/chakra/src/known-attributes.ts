/**
 * The attributes that have columns: their names, wire kinds and limits. Readers take any integer or
 * bool kind (as ASTRA-sim's feeder v3 converts); writers use the kind of this table.
 */
import { tagOfField } from './attribute.js';
import { Attr } from './graph.js';

/** Codes are bit positions: 0..13 as in `Attr`, then those that become something else. */
export const Known = {
  isCpuOp: 0,
  numOps: 1,
  tensorSize: 2,
  commType: 3,
  commSize: 4,
  commSrc: 5,
  commDst: 6,
  commTag: 7,
  commPriority: 8,
  pgName: 9,
  involvedDim: 10,
  tensorLoc: 11,
  tensorDevice: 12,
  tensorChannel: 13,
  /** Exact duration; goes to `durationNs`. */
  durationNs: 14,
  /** Turns a COMP node into PIM_COMP. */
  isPim: 15,
} as const;

export interface KnownAttribute {
  readonly code: number;
  readonly name: string;
  /** Bit in `present`, 0 for those without a column of their own. */
  readonly bit: number;
  /** Column, as named in ExecutionGraph. */
  readonly column: string;
  /** AttributeProto field we write. */
  readonly field: number;
  readonly min: number;
  readonly max: number;
}

const safe = Number.MAX_SAFE_INTEGER;
const int32Max = 2 ** 31 - 1;
const int32Min = -(2 ** 31);
const int32 = 7;
const int64 = 9;
const uint32 = 11;
const uint64 = 13;
const bool = 27;
const boolList = 28;
const string = 29;

const rows: readonly (readonly [keyof typeof Known, string, string, number, number, number])[] = [
  ['isCpuOp', 'is_cpu_op', 'isCpuOp', bool, -safe, safe],
  ['numOps', 'num_ops', 'numOps', int64, -safe, safe],
  ['tensorSize', 'tensor_size', 'tensorSizeBytes', uint64, 0, safe],
  ['commType', 'comm_type', 'commType', int64, 0, 255],
  ['commSize', 'comm_size', 'commSizeBytes', int64, -safe, safe],
  ['commSrc', 'comm_src', 'commSrc', int32, int32Min, int32Max],
  ['commDst', 'comm_dst', 'commDst', int32, int32Min, int32Max],
  ['commTag', 'comm_tag', 'commTag', int32, int32Min, int32Max],
  ['commPriority', 'comm_priority', 'commPriority', int32, int32Min, int32Max],
  ['pgName', 'pg_name', 'pgName', string, 0, 0],
  ['involvedDim', 'involved_dim', 'involvedDims', boolList, 0, 0],
  ['tensorLoc', 'tensor_loc', 'tensorLoc', uint32, 0, 255],
  ['tensorDevice', 'tensor_device', 'tensorDevice', uint32, 0, int32Max],
  ['tensorChannel', 'tensor_channel', 'tensorChannel', uint32, 0, int32Max],
  ['durationNs', 'duration_ns', 'durationNs', int64, 0, safe],
  ['isPim', 'is_pim', 'type', bool, 0, 1],
];

const bits: Readonly<Record<string, number>> = Attr;

export const knownAttributes: readonly KnownAttribute[] = rows.map(
  ([key, name, column, field, min, max]) => ({
    code: Known[key],
    name,
    bit: bits[key] ?? 0,
    column,
    field,
    min,
    max,
  }),
);

const nameBytes = knownAttributes.map((attribute) => new TextEncoder().encode(attribute.name));
/** The bytes of each attribute up to its value: name field and value tag. */
export const attributePrefixes: readonly Uint8Array[] = knownAttributes.map(({ field }, code) => {
  const tag = tagOfField[field];
  const tagBytes = tag < 128 ? [tag] : [(tag & 127) | 128, tag >> 7];
  return Uint8Array.from([0x0a, nameBytes[code].length, ...nameBytes[code], ...tagBytes]);
});

/** Codes by length of the name. */
const codesByLength: number[][] = Array.from({ length: 16 }, () => []);
for (const [code, bytes] of nameBytes.entries()) codesByLength[bytes.length].push(code);

/** Code of the attribute named by `buffer[start, end)`, or -1. */
export function knownCode(buffer: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length > 15) return -1;
  const codes = codesByLength[length];
  next: for (let c = 0; c < codes.length; c++) {
    const bytes = nameBytes[codes[c]];
    // Names share beginnings, so compare from the end.
    for (let i = length - 1; i >= 0; i--) if (bytes[i] !== buffer[start + i]) continue next;
    return codes[c];
  }
  return -1;
}
