import { posix } from 'node:path';
import { sourcePath, unitOf } from './place.mjs';

const adapter = ['domain', 'api', 'resources', 'telemetry'];

/**
 * Unit → the units it may import, beside itself. Imports point inward: ports never know adapters, adapters never know
 * each other, and the two flows (reconcile, authorize) meet only in the store. Only `main` and its `commands` see everything.
 */
const ALLOWED = {
  domain: [],
  api: ['domain'],
  watchedfile: ['domain'],
  regularfile: [],
  keys: ['domain', 'watchedfile'],
  telemetry: ['domain', 'authorize'],
  queue: ['domain', 'telemetry'],
  resources: ['domain', 'api'],
  'resources/kube': adapter,
  'resources/files': [...adapter, 'regularfile'],
  store: ['domain', 'api'],
  'store/migrations': ['domain'],
  'store/postgres': [...adapter, 'store', 'store/migrations'],
  destinations: ['domain', 'api', 'resources'],
  'destinations/vault': [...adapter, 'destinations'],
  'destinations/aws': [...adapter, 'destinations'],
  'destinations/kubernetes': [...adapter, 'destinations'],
  'destinations/file': [...adapter, 'destinations', 'regularfile'],
  'destinations/registry': [
    ...adapter,
    'destinations',
    'destinations/vault',
    'destinations/aws',
    'destinations/kubernetes',
    'destinations/file',
  ],
  consumers: ['domain', 'api', 'resources'],
  'consumers/kubernetes': [...adapter, 'consumers'],
  reconcile: ['domain', 'api', 'keys', 'queue', 'telemetry', 'resources', 'store', 'destinations', 'consumers'],
  authorize: ['domain', 'api', 'keys', 'telemetry', 'store'],
  server: ['domain', 'api', 'authorize', 'telemetry', 'watchedfile'],
  standalone: ['domain', 'api', 'keys', 'telemetry', 'resources', 'resources/files'],
  config: ['domain', 'api', 'telemetry', 'server'],
};
const SEES_EVERYTHING = ['main', 'commands'];
/** Packages that the innermost unit may use: those that come with Node. */
const BUILT_IN = /^node:/;

/** @type {import('eslint').Rule.RuleModule} */
export const layers = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      forbidden: '{{from}} must not import {{to}} (the import rules: docs/decisions, "Imports point inward").',
      unknown: '{{from}} has no place in the import rules: add it to scripts/lint/layers.mjs.',
      package: 'domain imports nothing but itself and Node.',
      outside: 'The program imports nothing from outside operator/src.',
    },
  },
  create(context) {
    const path = sourcePath(context.filename);
    if (path === undefined) return {};
    const from = unitOf(path);
    /** @param {import('estree').Node | null | undefined} source */
    const check = (source) => {
      if (source?.type !== 'Literal' || typeof source.value !== 'string') return;
      const messageId = judge(path, from, source.value);
      if (messageId === undefined) return;
      context.report({ node: source, messageId, data: { from, to: source.value } });
    };
    return {
      Program: (node) => {
        if (!SEES_EVERYTHING.includes(from) && !Object.hasOwn(ALLOWED, from))
          context.report({ node, messageId: 'unknown', data: { from } });
      },
      ImportDeclaration: (node) => check(node.source),
      ImportExpression: (node) => check(node.source),
      ExportNamedDeclaration: (node) => check(node.source),
      ExportAllDeclaration: (node) => check(node.source),
      // The type position: import('…').Name
      TSImportType: (node) => check(node.source ?? node.argument?.literal),
    };
  },
};

/** @returns {'forbidden' | 'package' | 'outside' | undefined} */
function judge(path, from, specifier) {
  if (!specifier.startsWith('.')) return from === 'domain' && !BUILT_IN.test(specifier) ? 'package' : undefined;
  const target = posix.join(posix.dirname(path), specifier).replace(/\.ts$/, '');
  // Who says its own version reads it where everybody does.
  if (from === 'main' && target === '../package.json') return undefined;
  if (target.startsWith('..')) return 'outside';
  const to = unitOf(target);
  if (to === from || SEES_EVERYTHING.includes(from)) return undefined;
  return ALLOWED[from]?.includes(to) ? undefined : 'forbidden';
}
