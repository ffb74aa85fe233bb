/**
 * Goal: streams cut anywhere read the same, and broken ones name the place. Method: three graphs fed
 * in pieces of every size; hand-made broken bytes.
 */
import { Random, UserError } from '@astrolabe/base';
import { describe, expect, test } from 'vitest';
import {
  decodeGraph,
  decodeGraphs,
  type ExecutionGraph,
  encodeGraph,
  encodeGraphs,
  GraphBuilder,
  GraphStreamDecoder,
  NodeType,
  nodeRecord,
  writeStreamMetadata,
} from './index.js';
import { randomGraph } from './random-graph.test-helper.js';
import { attr, file, hex, metadata, same, worked } from './wire.test-helper.js';

describe('the push parser', () => {
  const graphs = (): ExecutionGraph[] => {
    const builder = new GraphBuilder();
    return [0, 1, 2].map((npu) => {
      builder.reset();
      for (let i = 0; i < npu * 3; i++) {
        const node = builder.addNode(NodeType.comp, `node number ${i} `.repeat(i * 5));
        builder.setDuration(node, i * 1000);
        if (i > 0) builder.addDep(node, i - 1);
      }
      return builder.finish(writeStreamMetadata({ npu, nodeCount: npu * 3 }));
    });
  };
  const stream = encodeGraphs(graphs());

  test.each([1, 2, 3, 7, 64, 1000, stream.length])('in chunks of %i bytes', (size) => {
    const decoder = new GraphStreamDecoder();
    const found: ExecutionGraph[] = [];
    for (let at = 0; at < stream.length; at += size) {
      found.push(...decoder.push(Buffer.from(stream.subarray(at, at + size))));
    }
    found.push(...decoder.end());
    same(encodeGraphs(found), stream);
    expect(found).toHaveLength(3);
  });

  test('a graph is complete with its last node, without waiting for more', () => {
    const decoder = new GraphStreamDecoder();
    const [first, second] = graphs();
    expect(decoder.push(encodeGraph(first))).toHaveLength(1);
    const bytes = encodeGraph(second);
    expect(decoder.push(bytes.subarray(0, bytes.length - 1))).toHaveLength(0);
    expect(decoder.push(bytes.subarray(bytes.length - 1))).toHaveLength(1);
    expect(decoder.end()).toHaveLength(0);
  });

  test('without node_count a graph ends at the next metadata', () => {
    const two = Uint8Array.from([...file('18 04', '08 01 18 04'), ...file('18 07')]);
    expect(decodeGraphs(two).map((graph) => graph.nodeCount)).toEqual([2, 1]);
  });

  test('a clock request is complete with its metadata, and has no nodes', () => {
    const decoder = new GraphStreamDecoder();
    const request = new GraphBuilder().finish(writeStreamMetadata({ advanceNs: 5 }));
    expect(decoder.push(encodeGraph(request))).toHaveLength(1);
    expect(() => decoder.push(Uint8Array.from([4, 8, 1, 0x18, 4]))).toThrow(
      /node in a clock request/,
    );
  });

  test('the chunk may be overwritten afterwards', () => {
    const decoder = new GraphStreamDecoder();
    const bytes = file(`12 01 61 30 07 ${attr('x', 'ea 01 01 62')}`, '08 01 12 01 63');
    const cut = bytes.length - 2;
    const chunk = bytes.slice(0, cut);
    decoder.push(chunk);
    chunk.fill(0xff);
    decoder.push(bytes.slice(cut));
    same(encodeGraph(decoder.end()[0]), bytes);
  });
});

describe('broken input names its place', () => {
  const cases: [string, Uint8Array, RegExp][] = [
    [
      'cut in a message',
      worked.subarray(0, 80),
      /^f: graph 0, node 0, byte 8: input ends within a message: 71 of 72 bytes$/,
    ],
    [
      'cut in a prefix',
      hex(`${metadata} 80`),
      /^f: graph 0, node 0, byte 8: input ends within a length prefix$/,
    ],
    ['no prefix', hex('ff ff ff ff ff 01'), /^f: metadata, byte 0: not a length prefix/],
    [
      'too large',
      hex('ff ff ff ff 0f'),
      /^f: metadata, byte 0: message of 4294967295 bytes is over/,
    ],
    ['no metadata', hex('03 08 ff ff'), /^f: graph 0, byte 0: not a Chakra metadata: /],
    [
      'a wrong wire type',
      file('18 04', '0f 01'),
      /^f: graph 0, node 1, byte 11: not a Chakra node: invalid wire type 7/,
    ],
    ['a field over the end', file('12 05 61'), /^f: graph 0, node 0, byte 8: .*a field runs past/],
    ['an attribute over the end', file('52 03 0a 05 61'), /an attribute runs past/],
    [
      'an id over 2^53',
      file('08 80 80 80 80 80 80 80 10'),
      /node 0, byte 8: id 9007199254740992 is beyond 2\^53$/,
    ],
    [
      'a size over 2^53',
      file(attr('tensor_size', '68 ff ff ff ff ff ff ff ff ff 01')),
      /tensor_size 18446744073709551615 is beyond 2\^53$/,
    ],
    ['a dep over 2^53', file('2a 09 ff ff ff ff ff ff ff ff 7f'), /data_deps \d+ is beyond/],
    ['a duration over 2^53 ns', file('38 ff ff ff ff ff ff ff 0f'), /duration beyond 2\^53 ns$/],
    ['a type over 254', file('18 ff 01'), /node type 255 is beyond 254/],
  ];
  test.each(cases)('%s', (_name, bytes, message) => {
    expect(() => decodeGraph(bytes, { at: 'f' })).toThrow(message);
    // The same place when fed byte by byte.
    const decoder = new GraphStreamDecoder({ at: 'f' });
    expect(() => {
      for (const byte of bytes) decoder.push(Uint8Array.of(byte));
      decoder.end();
    }).toThrow(message);
  });

  test('fewer and more nodes than announced', () => {
    const builder = new GraphBuilder();
    builder.addNode(NodeType.comp, 'a');
    builder.addNode(NodeType.comp, 'b');
    const bytes = encodeGraph(builder.finish(writeStreamMetadata({ nodeCount: 2 })));
    const cut = bytes.subarray(0, bytes.length - 8);
    expect(() => decodeGraphs(Uint8Array.from([...cut, ...bytes]), { at: 'f' })).toThrow(
      /^f: graph 0, node 1, byte 30: graph ends after 1 of 2 nodes$/,
    );
    const more = Uint8Array.from([...bytes, ...bytes.subarray(-8)]);
    expect(() => decodeGraphs(more, { at: 'f' })).toThrow(/node beyond the 2 nodes/);
  });

  test('an empty file, and two graphs where one is meant', () => {
    expect(() => decodeGraph(new Uint8Array(0), { at: 'f' })).toThrow(/^f: empty file/);
    expect(() => decodeGraph(Uint8Array.from([...worked, ...worked]), { at: 'f' })).toThrow(
      /^f: 2 graphs, expected one/,
    );
  });

  test('4,000 corrupted streams either read or name their place', () => {
    const random = new Random(3, 'corrupt');
    const stream = encodeGraphs(Array.from({ length: 4 }, () => randomGraph(random)));
    let refused = 0;
    for (let trial = 0; trial < 4000; trial++) {
      const bytes = stream.slice();
      for (let flips = 1 + random.below(3); flips > 0; flips--) {
        bytes[random.below(bytes.length)] = random.below(256);
      }
      const decoder = new GraphStreamDecoder({ at: 'f' });
      try {
        const cut = random.below(bytes.length);
        const graphs = decoder.push(bytes.subarray(0, cut));
        graphs.push(...decoder.push(bytes.subarray(cut)), ...decoder.end());
        // What was read can be written and read again; its values can be decoded.
        const again = decodeGraphs(encodeGraphs(graphs));
        for (const [i, graph] of again.entries()) {
          for (let node = 0; node < graph.nodeCount; node++) nodeRecord(graph, node);
          expect(graph.nodeCount).toBe(graphs[i].nodeCount);
        }
      } catch (error) {
        refused++;
        expect(error).toBeInstanceOf(UserError);
        expect((error as Error).message).toMatch(/^(f|graph stream): .*byte \d+: /);
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });
});
