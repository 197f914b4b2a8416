import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { leastNode, nodeFault } from '../../../operator/src/commands/runtime.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const read = (...names: readonly string[]): string => readFileSync(join(root, ...names), 'utf8');

describe('the Node that the program runs on', () => {
  it.each(['24.21.0', '24.21.1', '24.30.0', '25.0.0', '26.1.0-nightly'])('may be %s', (version) => {
    expect(nodeFault(version)).toBeUndefined();
  });

  it.each(['24.20.9', '24.3.0', '23.99.0', '22.22.0', '18.0.0', 'nonsense'])('may not be %s', (version) => {
    expect(nodeFault(version)).toBe(`Node 24.21.0 or newer is needed, for a fix in its TLS; this is Node ${version}`);
  });

  it('is refused at the start, before anything is read, with one sentence and exit code 2, when it is older', () => {
    const older = "Object.defineProperty(process.versions, 'node', { value: '24.20.0' })";
    const args = ['--import', `data:text/javascript,${older}`, join(root, 'operator/src/main.ts'), 'authorizer'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env: {} });
    const sentence = 'keywright: Node 24.21.0 or newer is needed, for a fix in its TLS; this is Node 24.20.0\n';
    expect([status, stdout, stderr]).toEqual([2, '', sentence]);
  });

  it('is new enough where we choose it: the pinned one, the one that the bootstrap asks for, the one of the image', () => {
    const { optionalDependencies } = JSON.parse(read('package.json')) as { optionalDependencies: Record<string, string> };
    for (const version of Object.values(optionalDependencies)) expect(nodeFault(version)).toBeUndefined();
    expect(read('scripts', 'run.mjs')).toContain(`const LEAST_NODE = '${leastNode}';`);
    const bases = [...read('Containerfile').matchAll(/^FROM (\S+)/gm)].map(([, base]) => base ?? '');
    const [build] = bases;
    expect(nodeFault(/:([0-9.]+)@/.exec(build ?? '')?.[1] ?? '')).toBeUndefined();
  });

  it('comes in images that are named by digest, which the build asks for', () => {
    const stages = [...read('Containerfile').matchAll(/^FROM (\S+)(?: AS (\S+))?$/gm)].map(([, base, name]) => ({ base, name }));
    const own = stages.map(({ name }) => name);
    const outside = stages.flatMap(({ base }) => (own.includes(base) ? [] : [base]));
    expect(outside).toHaveLength(2);
    for (const base of outside) expect(base).toMatch(/@\$\{[A-Z_]+\}$/);
    // An argument without a default: a build that does not give it fails.
    for (const name of ['NODE_DIGEST', 'DISTROLESS_DIGEST'])
      expect(read('Containerfile')).toMatch(new RegExp(`^ARG ${name}$`, 'm'));
  });
});
