import { sourcePath } from './place.mjs';

/** What decides: tested without a clock, a server or luck. `domain/time` holds the real clock. */
const PURE = [
  /^domain\/(?!time$)/,
  /^reconcile\/(observed|plan|action)$/,
  /^reconcile\/(rules|rotation)\//,
  /^consumers\/(rollout|adoption)$/,
  /^authorize\/(target|origin|match|source|host|provenkey|decide)$/,
];
const IMPURE_MODULES =
  /^node:(crypto|fs|net|http|https|timers|child_process|perf_hooks|process)(\/|$)|^pino$|telemetry\/(log|pino)\.ts$/;
const IMPURE_GLOBALS = [
  'Promise',
  'console',
  'crypto',
  'fetch',
  'performance',
  'process',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
];
const IMPURE_NAMES = ['Clock', 'systemClock'];

/** @type {import('eslint').Rule.RuleModule} */
export const purity = {
  meta: { type: 'problem', schema: [], messages: { impure: 'This file decides, and must stay pure: no {{what}} here.' } },
  create(context) {
    const path = sourcePath(context.filename);
    if (path === undefined || !PURE.some((pattern) => pattern.test(path))) return {};
    const report = (node, what) => context.report({ node, messageId: 'impure', data: { what } });
    const checkFunction = (node) => {
      if (node.async) report(node, 'promise');
    };
    return {
      ArrowFunctionExpression: checkFunction,
      FunctionDeclaration: checkFunction,
      FunctionExpression: checkFunction,
      AwaitExpression: (node) => report(node, 'promise'),
      TSTypeReference: (node) => {
        if (node.typeName.type === 'Identifier' && node.typeName.name === 'Promise') report(node, 'promise');
      },
      ImportDeclaration: (node) => {
        if (IMPURE_MODULES.test(String(node.source.value))) report(node, `import of ${node.source.value}`);
        for (const one of node.specifiers) {
          if (one.type === 'ImportSpecifier' && IMPURE_NAMES.includes(one.imported.name)) report(one, one.imported.name);
        }
      },
      'MemberExpression[object.name="Math"][property.name="random"]': (node) => report(node, 'random number'),
      'MemberExpression[object.name="Date"][property.name="now"]': (node) => report(node, 'clock'),
      'NewExpression[callee.name="Date"][arguments.length=0]': (node) => report(node, 'clock'),
      'Program:exit': (node) => {
        for (const { identifier } of globalReferences(context.sourceCode, node)) {
          if (IMPURE_GLOBALS.includes(identifier.name)) report(identifier, identifier.name);
        }
      },
    };
  },
};

/** The references that no declaration of the file answers. */
export function globalReferences(sourceCode, program) {
  return sourceCode.getScope(program).through;
}
