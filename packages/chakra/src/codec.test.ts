/**
 * Goal: our bytes are Chakra's. Method: the worked example byte by byte, hand-made messages of every
 * odd form, both dialects.
 */
import { describe, expect, test } from 'vitest';
import {
  Attr,
  CollectiveType,
  chakraVersion,
  decodeGraph,
  type ExecutionGraph,
  encodeGraph,
  GraphBuilder,
  misfit,
  NodeType,
  nodeFields,
  TensorLocation,
  unknownTypeOf,
} from './index.js';

import { ascii, attr, file, framed, hex, same, worked } from './wire.test-helper.js';

describe('the worked example', () => {
  test('reads', () => {
    const graph = decodeGraph(worked);
    expect(graph.metadata.version).toBe('0.0.4');
    expect(graph.nodeCount).toBe(1);
    expect(graph.strings[graph.name[0]]).toBe('all_reduce_4npus_1MB');
    expect(graph.type[0]).toBe(NodeType.commColl);
    expect(graph.present[0]).toBe(Attr.isCpuOp | Attr.commType | Attr.commSize);
    expect(graph.isCpuOp[0]).toBe(0);
    expect(graph.commType[0]).toBe(CollectiveType.allReduce);
    expect(graph.commSizeBytes[0]).toBe(1048576);
  });

  test('is written byte for byte', () => {
    const builder = new GraphBuilder();
    const node = builder.addNode(NodeType.commColl, 'all_reduce_4npus_1MB');
    builder.setCpuOp(node, false);
    builder.setCollective(node, CollectiveType.allReduce, 1048576);
    same(encodeGraph(builder.finish({ version: '0.0.4', attributes: [] })), worked);
  });

  test('so are the other fields of the schema', () => {
    const builder = new GraphBuilder();
    const first = builder.addNode(NodeType.comp, '');
    const second = builder.addNode(NodeType.invalid, '');
    const third = builder.addNode(NodeType.commColl, 'c');
    builder.setDuration(first, 20_000);
    builder.setId(third, 300);
    builder.addDep(third, first);
    builder.addDep(third, second);
    builder.setInvolvedDims(third, 0b01, 2);
    builder.setGroup(third, '1');
    const expected = file(
      '18 04 38 14',
      '08 01',
      `08 ac 02 12 01 63 18 07 2a 02 00 01 52 0d 0a 07 ${ascii('pg_name')} ea 01 01 31
       52 15 0a 0c ${ascii('involved_dim')} e2 01 04 0a 02 01 00`,
    );
    same(encodeGraph(builder.finish({ version: '0.0.4', attributes: [] })), expected);
    const graph = decodeGraph(expected);
    expect([...graph.id]).toEqual([0, 1, 300]);
    expect([...graph.dataDep]).toEqual([0, 1]);
    expect(graph.involvedDims[2]).toBe(1);
    expect(graph.involvedDimCount[2]).toBe(2);
  });
});

describe('typed attributes', () => {
  // 2^20 in every integer and bool-convertible kind that can hold it.
  const sizes: [string, string][] = [
    ['int32_val', '38 80 80 40'],
    ['int64_val', '48 80 80 40'],
    ['uint32_val', '58 80 80 40'],
    ['uint64_val', '68 80 80 40'],
    ['sint32_val', '78 80 80 80 01'],
    ['sint64_val', '88 01 80 80 80 01'],
    ['fixed32_val', '9d 01 00 00 10 00'],
    ['fixed64_val', 'a9 01 00 00 10 00 00 00 00 00'],
    ['sfixed32_val', 'bd 01 00 00 10 00'],
    ['sfixed64_val', 'c9 01 00 00 10 00 00 00 00 00'],
  ];
  test.each(sizes)('comm_size as %s reads as a number', (_kind, value) => {
    const graph = decodeGraph(file(`18 07 ${attr('comm_size', value)}`));
    expect(graph.commSizeBytes[0]).toBe(2 ** 20);
    expect(graph.extra.size).toBe(0);
    // Written in the canonical kind, int64_val.
    same(encodeGraph(graph), file(`18 07 ${attr('comm_size', '48 80 80 40')}`));
  });

  test('any integer is a bool, and a bool an integer', () => {
    const graph = decodeGraph(
      file(`${attr('is_cpu_op', '38 02')} ${attr('comm_tag', 'd8 01 01')} 18 04`),
    );
    expect(graph.isCpuOp[0]).toBe(1);
    expect(graph.commTag[0]).toBe(1);
  });

  test('negative numbers, in ten bytes', () => {
    const minusTwo = 'fe ff ff ff ff ff ff ff ff 01';
    const bytes = file(
      `18 07 ${attr('comm_size', `48 ${minusTwo}`)} ${attr('comm_tag', `38 ${minusTwo}`)}`,
    );
    const graph = decodeGraph(bytes);
    expect(graph.commSizeBytes[0]).toBe(-2);
    expect(graph.commTag[0]).toBe(-2);
    same(encodeGraph(graph), bytes);
  });

  const misfits: [string, string, string, unknown][] = [
    ['comm_size', 'double_val', '19 00 00 00 00 00 00 30 41', 2 ** 20],
    ['comm_size', 'string_val', 'ea 01 02 31 36', '16'],
    ['comm_size', 'int64_list', '52 03 0a 01 05', [5]],
    ['comm_size', 'none', '', undefined],
    ['pg_name', 'int32_val', '38 01', 1],
    ['involved_dim', 'bool_val', 'd8 01 01', true],
    ['involved_dim', 'int32_list', '42 04 0a 02 01 00', [1, 0]],
    ['comm_src', 'int64_val', '48 80 80 80 80 10', 2 ** 32],
    ['comm_type', 'int64_val', '48 80 02', 256],
    ['is_cpu_op', 'float_val', '2d 00 00 80 3f', 1],
  ];
  test.each(misfits)('%s as %s is kept aside, with its bytes', (name, kind, value, expected) => {
    const bytes = file(`18 07 ${attr(name, value)}`);
    const graph = decodeGraph(bytes);
    expect(graph.present[0]).toBe(0);
    const found = misfit(graph, 0, name);
    expect(found).toMatchObject({ name, kind });
    expect(found!.value).toEqual(expected);
    same(encodeGraph(graph), bytes);
  });

  test('the first of a name counts, also when it cannot be read', () => {
    const first = attr('comm_size', '48 01');
    const second = attr('comm_size', '48 02');
    const text = attr('comm_size', 'ea 01 01 31');
    const graph = decodeGraph(file(`18 07 ${first} ${second}`));
    expect(graph.commSizeBytes[0]).toBe(1);
    expect(misfit(graph, 0, 'comm_size')).toBeUndefined();
    same(encodeGraph(graph), file(`18 07 ${first} ${second}`));
    const unreadable = decodeGraph(file(`18 07 ${text} ${second}`));
    expect(unreadable.present[0]).toBe(0);
    expect(misfit(unreadable, 0, 'comm_size')!.value).toBe('1');
  });

  test('a name given twice stays so node after node', () => {
    const twice = `${attr('comm_size', '48 01')} ${attr('comm_size', '48 02')}`;
    const bytes = file(`08 01 18 07 ${twice}`, `08 02 18 07 ${twice}`, `08 03 18 07 ${twice}`);
    const graph = decodeGraph(bytes);
    expect([...graph.commSizeBytes.slice(0, 3)]).toEqual([1, 1, 1]);
    same(encodeGraph(graph), bytes);
  });

  test('unpacked deps and bool lists', () => {
    const dims = attr('involved_dim', 'e2 01 04 08 01 08 00');
    const graph = decodeGraph(file('08 01', '08 02', `08 03 28 01 28 02 20 01 18 07 ${dims}`));
    expect([...graph.dataDep]).toEqual([1, 2]);
    expect([...graph.ctrlDep]).toEqual([1]);
    expect(graph.involvedDims[2]).toBe(1);
    expect(graph.involvedDimCount[2]).toBe(2);
  });
});

describe('what has no column survives', () => {
  const kinds: [string, string, unknown][] = [
    ['double_val', '19 00 00 00 00 00 00 f8 3f', 1.5],
    ['double_list', '22 0a 0a 08 00 00 00 00 00 00 f8 3f', [1.5]],
    ['float_list', '32 06 0a 04 00 00 c0 3f', [1.5]],
    ['int64_val', '48 ff ff ff ff ff ff ff ff 7f', 2n ** 63n - 1n],
    ['int64_list', '52 0c 0a 0a ff ff ff ff ff ff ff ff ff 01', [-1]],
    ['uint64_val', '68 ff ff ff ff ff ff ff ff ff 01', 2n ** 64n - 1n],
    ['sint64_list', '92 01 03 0a 01 03', [-2]],
    ['fixed64_list', 'b2 01 0a 0a 08 01 00 00 00 00 00 00 00', [1]],
    ['sfixed32_val', 'bd 01 ff ff ff ff', -1],
    ['bool_list', 'e2 01 04 0a 02 01 00', [true, false]],
    ['string_val', 'ea 01 00', ''],
    ['string_list', 'f2 01 06 0a 01 61 0a 01 62', ['a', 'b']],
    ['bytes_val', 'fa 01 02 00 ff', Uint8Array.of(0, 255)],
    ['bytes_list', '82 02 04 0a 02 00 ff', [Uint8Array.of(0, 255)]],
  ];
  test.each(kinds)('attribute of kind %s', (kind, value, expected) => {
    const bytes = file(`18 04 ${attr('rf_id', value)}`);
    const graph = decodeGraph(bytes);
    const [attribute] = graph.extra.get(0)!;
    expect(attribute).toMatchObject({ name: 'rf_id', kind });
    expect(attribute.value).toEqual(expected);
    same(encodeGraph(graph), bytes);
    // Written anew from name, kind and value: the same bytes.
    const builder = new GraphBuilder();
    const node = builder.addNode(NodeType.comp, '');
    builder.addExtra(node, { name: 'rf_id', kind, value: attribute.value });
    same(encodeGraph(builder.finish({ version: '0.0.4', attributes: [] })), bytes);
  });

  test('fields: start time, inputs, outputs, unknown ones', () => {
    const fields = '30 07 42 05 0a 03 5b 31 5d 4a 00 f8 07 2a';
    const graph = decodeGraph(file(`18 01 ${fields}`));
    expect(nodeFields(graph, 0)).toEqual({
      startTimeMicros: 7,
      inputs: { values: '[1]', shapes: '', types: '' },
      outputs: { values: '', shapes: '', types: '' },
    });
    same(encodeGraph(graph), file(`18 01 ${fields}`));
  });

  test('metadata attributes and unknown metadata fields', () => {
    const schema = `12 ${framed(`0a 06 ${ascii('schema')} ea 01 01 78`)}`;
    const bytes = hex(framed(`${schema} f8 07 01`) + framed('18 04'));
    const graph = decodeGraph(bytes);
    expect(graph.metadata.version).toBe('');
    expect(graph.metadata.attributes[0]).toMatchObject({ name: 'schema', value: 'x' });
    same(encodeGraph(graph), bytes);
  });

  test('node types that no dialect knows', () => {
    for (const dialect of ['upstream', 'llmservingsim'] as const) {
      for (const wire of ['08', '09', '0a', 'fe 01']) {
        const bytes = file(`18 ${wire}`);
        const graph = decodeGraph(bytes, { dialect });
        same(encodeGraph(graph, { dialect }), bytes);
      }
    }
    expect(unknownTypeOf(decodeGraph(file('18 08')).type[0])).toBe(8);
    expect(unknownTypeOf(NodeType.pimComp)).toBeUndefined();
  });
});

describe('durations', () => {
  const one = (durationNs: number): ExecutionGraph => {
    const builder = new GraphBuilder();
    builder.setDuration(builder.addNode(NodeType.comp, ''), durationNs);
    return builder.finish({ version: '0.0.4', attributes: [] });
  };

  test('whole microseconds need no attribute', () => {
    same(encodeGraph(one(3000)), file('18 04 38 03'));
  });

  test('exact ns ride beside rounded microseconds and win', () => {
    const bytes = file(`18 04 38 02 ${attr('duration_ns', '48 dc 0b')}`);
    same(encodeGraph(one(1500)), bytes);
    expect(decodeGraph(bytes).durationNs[0]).toBe(1500);
    expect(decodeGraph(bytes, { ignoreDurationNs: true }).durationNs[0]).toBe(2000);
    const reordered = file(`18 04 ${attr('duration_ns', '48 dc 0b')} 38 02`);
    expect(decodeGraph(reordered).durationNs[0]).toBe(1500);
  });

  test('below half a microsecond the field is zero', () => {
    same(encodeGraph(one(400)), file(`18 04 ${attr('duration_ns', '48 90 03')}`));
  });

  test('the fork counts ns', () => {
    same(encodeGraph(one(1500), { dialect: 'llmservingsim' }), file('18 05 38 dc 0b'));
    expect(decodeGraph(file('18 05 38 dc 0b'), { dialect: 'llmservingsim' }).durationNs[0]).toBe(
      1500,
    );
  });
});

test("the fork's node types", () => {
  const wires = ['00', '01', '02', '03', '04', '05', '06', '07', '08'];
  const {
    invalid,
    metadata: meta,
    memLoad,
    memStore,
    comp,
    commSend,
    commRecv,
    commColl,
  } = NodeType;
  const types = wires.map(
    (wire) => decodeGraph(file(`18 ${wire}`), { dialect: 'llmservingsim' }).type[0],
  );
  expect(types).toEqual([
    invalid,
    meta,
    memLoad,
    memStore,
    NodeType.pimComp,
    comp,
    commSend,
    commRecv,
    commColl,
  ]);
});

test('a PIM node crosses the upstream dialect as COMP with a mark', () => {
  const builder = new GraphBuilder();
  const node = builder.addNode(NodeType.pimComp, 'p');
  builder.setDuration(node, 1500);
  builder.setTensorSize(node, 64);
  builder.setTensorLocation(node, TensorLocation.remote, 1, 3);
  const graph = builder.finish();
  for (const dialect of ['upstream', 'llmservingsim'] as const) {
    const back = decodeGraph(encodeGraph(graph, { dialect }), { dialect });
    expect(back).toEqual(graph);
  }
});

test('our metadata names a version', () => {
  expect(new GraphBuilder().finish().metadata.version).toBe(chakraVersion);
});
