/** A user's routing module: the shipped example, and files that are none. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '@astrolabe/base';
import { afterAll, describe, expect, it } from 'vitest';
import { type InstanceView, type RoutedRequest, Router } from '../router.js';
import { loadRouting } from './routing-options.js';

const example = fileURLToPath(
  new URL('../../../../cluster_config/routers/short-prompts-apart.js', import.meta.url),
);
const folder = mkdtempSync(join(tmpdir(), 'routing-'));
afterAll(() => rmSync(folder, { recursive: true }));

const load = (routerModule: string) => loadRouting({ routing: 'least-loaded', routerModule });

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('loadRouting', () => {
  it('the example keeps short prompts apart', async () => {
    const { routing } = await load(example);
    const router = new Router(routing, 1);
    const candidates = [0, 1, 2].map((index) => ({ index }) as InstanceView);
    const choose = (promptTokens: number): number =>
      router.choose(candidates, { promptTokens } as RoutedRequest).index;
    expect([10, 1000, 2000, 700, 3000].map(choose)).toEqual([0, 1, 2, 0, 1]);
  });

  it('named policies pass through', async () => {
    expect(await loadRouting({ routing: 'random', decodeRouting: 'weighted' })).toEqual({
      routing: 'random',
      decodeRouting: 'weighted',
    });
  });

  it('says where a module throws', async () => {
    const path = file('throws.mjs', 'export default () => {\n  return missing.field;\n};');
    const { routing } = await load(path);
    const router = new Router(routing, 1);
    const route = () => router.choose([{ index: 0 } as InstanceView], {} as RoutedRequest);
    expect(route).toThrow(UserError);
    expect(route).toThrow(/throws\.mjs(:\d+:\d+)?: throws missing is not defined$/);
  });

  it('says what is wrong with a module', async () => {
    await expect(load(file('none.mjs', 'export const a = 1;'))).rejects.toThrow(
      /none\.mjs: has no function as its default export/,
    );
    await expect(load(file('broken.mjs', 'export default ('))).rejects.toThrow(/cannot be loaded/);
    await expect(load(join(folder, 'missing.mjs'))).rejects.toThrow(/missing\.mjs: no such file$/);
  });
});
