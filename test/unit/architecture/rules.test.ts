import { ESLint } from 'eslint';
import { beforeAll, describe, expect, test } from 'vitest';
import config from '../../../eslint.config.js';

/** The project's own rules without those that need types, so that a snippet may stand at any path. */
let eslint: ESLint;

beforeAll(() => {
  const untyped = { languageOptions: { parserOptions: { projectService: false } } };
  const blocks = (config as unknown as Block[]).map(withoutTypedRules);
  eslint = new ESLint({ overrideConfigFile: true, overrideConfig: [...blocks, { files: ['**/*.ts'], ...untyped }] as never });
});

interface Block {
  readonly rules?: Readonly<Record<string, unknown>>;
}

function withoutTypedRules(block: Block): Block {
  if (block.rules === undefined) return block;
  const needsNoTypes = (rule: string): boolean => !rule.startsWith('@typescript-eslint/') || UNTYPED.includes(rule);
  return { ...block, rules: Object.fromEntries(Object.entries(block.rules).filter(([rule]) => needsNoTypes(rule))) };
}

const UNTYPED = ['@typescript-eslint/no-explicit-any', '@typescript-eslint/no-non-null-assertion'];

async function rulesBroken(path: string, text: string): Promise<(string | null)[]> {
  const [result] = await eslint.lintText(text, { filePath: path });
  return [...new Set(result?.messages.map((message) => message.ruleId))];
}

interface Case {
  readonly promise: string;
  readonly rule: string;
  readonly at: string;
  readonly bad: string;
  /** The nearest thing that is allowed: a rule that forbids everything proves nothing. */
  readonly good: string;
  /** Where the good one stands. Default: where the bad one does. */
  readonly goodAt?: string;
}

const cases: readonly Case[] = [
  {
    promise: 'domain imports only domain',
    rule: 'keywright/layers',
    at: 'operator/src/domain/x.ts',
    bad: `import type { A } from '../api/meta.ts'; export type B = A;`,
    good: `import type { A } from './key.ts'; export type B = A;`,
  },
  {
    promise: 'domain imports no package',
    rule: 'keywright/layers',
    at: 'operator/src/domain/x.ts',
    bad: `import { z } from 'zod'; export const a = z;`,
    good: `import { inspect } from 'node:util'; export const a = inspect;`,
  },
  {
    promise: 'keys imports only domain',
    rule: 'keywright/layers',
    at: 'operator/src/keys/x.ts',
    bad: `export { a } from '../store/port.ts';`,
    good: `export { a } from '../domain/key.ts';`,
  },
  {
    promise: 'reconcile imports ports, never adapters',
    rule: 'keywright/layers',
    at: 'operator/src/reconcile/x.ts',
    bad: `import { a } from '../destinations/vault/write.ts'; export const b = a;`,
    good: `import { a } from '../destinations/port.ts'; export const b = a;`,
  },
  {
    promise: 'reconcile does not choose adapters either',
    rule: 'keywright/layers',
    at: 'operator/src/reconcile/x.ts',
    bad: `import { a } from '../destinations/registry.ts'; export const b = a;`,
    good: `import { a } from '../destinations/registry.ts'; export const b = a;`,
    goodAt: 'operator/src/commands/operator.ts',
  },
  {
    promise: 'reconcile knows consumers, not how a cluster has them',
    rule: 'keywright/layers',
    at: 'operator/src/reconcile/x.ts',
    bad: `import { a } from '../consumers/kubernetes/kubernetes.ts'; export const b = a;`,
    good: `import { a } from '../consumers/adoption.ts'; export const b = a;`,
  },
  {
    promise: 'how far a rollout has come is judged without a promise',
    rule: 'keywright/purity',
    at: 'operator/src/consumers/rollout.ts',
    bad: `export const a = async () => 1;`,
    good: `export const a = () => 1;`,
  },
  {
    promise: 'a registry knows the adapters of its own port only',
    rule: 'keywright/layers',
    at: 'operator/src/destinations/registry.ts',
    bad: `import { a } from '../store/postgres/pool.ts'; export const b = a;`,
    good: `import { a } from './vault/vault.ts'; export const b = a;`,
  },
  {
    promise: 'reconcile does not import a store adapter at run time either',
    rule: 'keywright/layers',
    at: 'operator/src/reconcile/rules/x.ts',
    bad: `export const b = () => import('../../store/postgres/pool.ts');`,
    good: `export const b = () => import('../../store/port.ts');`,
  },
  {
    promise: 'reconcile and authorize never import each other: from reconcile',
    rule: 'keywright/layers',
    at: 'operator/src/reconcile/x.ts',
    bad: `export * from '../authorize/verdict.ts';`,
    good: `export * from './action.ts';`,
  },
  {
    promise: 'reconcile and authorize never import each other: from authorize',
    rule: 'keywright/layers',
    at: 'operator/src/authorize/x.ts',
    bad: `export type A = import('../reconcile/plan.ts').Plan;`,
    good: `export type A = import('../store/port.ts').Store;`,
  },
  {
    promise: 'the Pulumi package has the schemas of the operator only',
    rule: 'no-restricted-imports',
    at: 'pulumi/src/x.ts',
    bad: `import { a } from '../../operator/src/domain/key.ts'; export const b = a;`,
    good: `import { a } from '../../operator/src/api/kinds.ts'; export const b = a;`,
  },
  {
    promise: 'no adapter imports another of its kind',
    rule: 'keywright/layers',
    at: 'operator/src/destinations/vault/x.ts',
    bad: `import { a } from '../file/write.ts'; export const b = a;`,
    good: `import { a } from '../record.ts'; export const b = a;`,
  },
  {
    promise: 'no adapter imports one of another kind',
    rule: 'keywright/layers',
    at: 'operator/src/destinations/kubernetes/x.ts',
    bad: `import { a } from '../../resources/kube/client.ts'; export const b = a;`,
    good: `import { a } from '../../resources/port.ts'; export const b = a;`,
  },
  {
    promise: 'a port knows no adapter',
    rule: 'keywright/layers',
    at: 'operator/src/store/port.ts',
    bad: `import { a } from './postgres/pool.ts'; export const b = a;`,
    good: `import { a } from '../domain/key.ts'; export const b = a;`,
  },
  {
    promise: 'the server reaches the store only through authorize',
    rule: 'keywright/layers',
    at: 'operator/src/server/x.ts',
    bad: `import { a } from '../store/port.ts'; export const b = a;`,
    good: `import { a } from '../authorize/authorize.ts'; export const b = a;`,
  },
  {
    promise: 'only main sees everything',
    rule: 'keywright/layers',
    at: 'operator/src/config.ts',
    bad: `import { a } from './store/postgres/pool.ts'; export const b = a;`,
    good: `import { a } from './store/postgres/pool.ts'; export const b = a;`,
    goodAt: 'operator/src/main.ts',
  },
  {
    promise: 'a new folder needs a place in the rules',
    rule: 'keywright/layers',
    at: 'operator/src/utils/x.ts',
    bad: `export const a = 1;`,
    good: `export const a = 1;`,
    goodAt: 'operator/src/queue/x.ts',
  },
  {
    promise: 'the program imports nothing from the tests',
    rule: 'keywright/layers',
    at: 'operator/src/queue/x.ts',
    bad: `import { a } from '../../../test/harness/until.ts'; export const b = a;`,
    good: `import { a } from './queue.ts'; export const b = a;`,
  },
  {
    promise: 'plan has no promise',
    rule: 'keywright/purity',
    at: 'operator/src/reconcile/plan.ts',
    bad: `export const a = async () => 1;`,
    good: `export const a = () => 1;`,
  },
  {
    promise: 'plan names no promise in a type',
    rule: 'keywright/purity',
    at: 'operator/src/reconcile/rules/safety.ts',
    bad: `export type A = Promise<string>;`,
    good: `export type A = Promise<string>;`,
    goodAt: 'operator/src/reconcile/execute.ts',
  },
  {
    promise: 'decide has no clock',
    rule: 'keywright/purity',
    at: 'operator/src/authorize/decide.ts',
    bad: `import type { Clock } from '../domain/time.ts'; export const a = (clock: Clock) => clock;`,
    good: `import type { Instant } from '../domain/time.ts'; export const a = (now: Instant) => now;`,
  },
  {
    promise: 'observed has no logger',
    rule: 'keywright/purity',
    at: 'operator/src/reconcile/observed.ts',
    bad: `import type { Log } from '../telemetry/log.ts'; export const a = (log: Log) => log;`,
    good: `import type { Version } from '../domain/version.ts'; export const a = (one: Version) => one;`,
  },
  {
    promise: 'domain has no luck',
    rule: 'keywright/purity',
    at: 'operator/src/domain/x.ts',
    bad: `export const a = () => Math.random();`,
    good: `export const a = () => Math.max(1, 2);`,
  },
  {
    promise: 'domain draws no random bytes',
    rule: 'keywright/purity',
    at: 'operator/src/domain/x.ts',
    bad: `import { randomUUID } from 'node:crypto'; export const a = randomUUID;`,
    good: `import { inspect } from 'node:util'; export const a = inspect;`,
  },
  {
    promise: 'a plaintext is revealed only in keys and destinations',
    rule: 'keywright/reveal',
    at: 'operator/src/reconcile/execute.ts',
    bad: `export const a = (text: { reveal(): string }) => text.reveal();`,
    good: `export const a = (text: { reveal(): string }) => text.reveal();`,
    goodAt: 'operator/src/destinations/vault/write.ts',
  },
  {
    promise: 'a plaintext is not revealed by a detour',
    rule: 'keywright/reveal',
    at: 'operator/src/authorize/lookup.ts',
    bad: `export const a = (text: { reveal(): string }) => text?.['reveal']();`,
    good: `export const a = (text: { reveal(): string }) => text?.['reveal']();`,
    goodAt: 'operator/src/keys/hash.ts',
  },
  {
    promise: 'only main and config read the environment',
    rule: 'keywright/environment',
    at: 'operator/src/resources/kube/client.ts',
    bad: `export const a = process.env['KUBECONFIG'];`,
    good: `export const a = process.env['KUBECONFIG'];`,
    goodAt: 'operator/src/config.ts',
  },
  {
    promise: 'the environment is not imported either',
    rule: 'keywright/environment',
    at: 'operator/src/store/postgres/pool.ts',
    bad: `import { env } from 'node:process'; export const a = env;`,
    good: `import { env } from 'node:process'; export const a = env;`,
    goodAt: 'operator/src/main.ts',
  },
  {
    promise: 'only domain/time reads the wall clock',
    rule: 'keywright/clock',
    at: 'operator/src/queue/x.ts',
    bad: `export const a = () => Date.now();`,
    good: `export const a = () => Date.now();`,
    goodAt: 'operator/src/domain/time.ts',
  },
  {
    promise: 'an instant becomes a date only when it is given',
    rule: 'keywright/clock',
    at: 'operator/src/queue/x.ts',
    bad: `export const a = () => new Date();`,
    good: `export const a = (at: number) => new Date(at);`,
  },
  {
    promise: 'nobody waits but by a clock',
    rule: 'keywright/clock',
    at: 'operator/src/queue/x.ts',
    bad: `export const a = (wake: () => void) => setTimeout(wake, 5);`,
    good: `export const a = (ms: number) => AbortSignal.timeout(ms);`,
  },
  {
    promise: 'nobody imports a timer',
    rule: 'keywright/clock',
    at: 'operator/src/store/postgres/pool.ts',
    bad: `import { setTimeout as delay } from 'node:timers/promises'; export const a = delay;`,
    good: `import { once } from 'node:events'; export const a = once;`,
  },
  {
    promise: 'nothing is any',
    rule: '@typescript-eslint/no-explicit-any',
    at: 'operator/src/queue/x.ts',
    bad: `export const a = (b: any) => String(b);`,
    good: `export const a = (b: unknown) => String(b);`,
  },
  {
    promise: 'nothing is asserted to be there',
    rule: '@typescript-eslint/no-non-null-assertion',
    at: 'operator/src/queue/x.ts',
    bad: `export const a = (b?: string) => b!.length;`,
    good: `export const a = (b?: string) => b?.length;`,
  },
  {
    promise: 'nothing is exported by default',
    rule: 'no-restricted-syntax',
    at: 'operator/src/queue/x.ts',
    bad: `export default 1;`,
    good: `export const a = 1;`,
  },
  {
    promise: 'a module holds no variable',
    rule: 'no-restricted-syntax',
    at: 'operator/src/queue/x.ts',
    bad: `let a = 1; export const b = () => a++;`,
    good: `export const b = () => { let a = 1; return a++; };`,
  },
  {
    promise: 'a module holds no cache',
    rule: 'no-restricted-syntax',
    at: 'operator/src/queue/x.ts',
    bad: `const cache = new Map<string, string>(); export const b = () => cache;`,
    good: `const known = new Set(['a']); export const b = () => [known, new Map<string, string>()];`,
  },
];

describe('the rules of the architecture bite', () => {
  test.for(cases)('$promise', async ({ rule, at, bad, good, goodAt }) => {
    expect(await rulesBroken(at, bad)).toContain(rule);
    expect(await rulesBroken(goodAt ?? at, good)).toEqual([]);
  });
});
