import { sourcePath } from './place.mjs';
import { globalReferences } from './purity.mjs';

/** Who may pass each door of the program. Outside operator/src (scripts, tests) the doors stand open. */
const MAY_REVEAL = /^(keys|destinations)\//;
const MAY_READ_ENVIRONMENT = /^(main|config)$/;
const MAY_READ_CLOCK = /^domain\/time$/;
const CLOCK_GLOBALS = ['performance', 'setTimeout', 'setInterval'];
const CLOCK_MODULES = /^(node:)?(timers|timers\/promises|perf_hooks)$/;

/**
 * The plaintext of a key is read only where it is made and where it is delivered.
 *
 * @type {import('eslint').Rule.RuleModule}
 */
export const reveal = {
  meta: { type: 'problem', schema: [], messages: { closed: 'Only keys/ and destinations/ may reveal a plaintext.' } },
  create(context) {
    const path = sourcePath(context.filename);
    if (path === undefined || MAY_REVEAL.test(path)) return {};
    const report = (node) => context.report({ node, messageId: 'closed' });
    return {
      'MemberExpression[computed=false][property.name="reveal"]': report,
      'MemberExpression[computed=true][property.value="reveal"]': report,
      'ObjectPattern > Property[key.name="reveal"]': report,
    };
  },
};

/**
 * The environment is read once, by the configuration.
 *
 * @type {import('eslint').Rule.RuleModule}
 */
export const environment = {
  meta: {
    type: 'problem',
    schema: [],
    messages: { closed: 'Only main.ts and config.ts read the environment; take a value by parameter.' },
  },
  create(context) {
    const path = sourcePath(context.filename);
    if (path === undefined || MAY_READ_ENVIRONMENT.test(path)) return {};
    const report = (node) => context.report({ node, messageId: 'closed' });
    return {
      'MemberExpression[object.name="process"][property.name="env"]': report,
      'MemberExpression[object.name="process"][property.value="env"]': report,
      'MemberExpression[object.property.name="process"][property.name="env"]': report,
      'VariableDeclarator[init.name="process"] > ObjectPattern > Property[key.name="env"]': report,
      'ImportDeclaration[source.value=/^(node:)?process$/] > ImportSpecifier[imported.name="env"]': report,
    };
  },
};

/**
 * Time comes in by parameter (domain/time.ts, Clock), so that a test can set it.
 *
 * @type {import('eslint').Rule.RuleModule}
 */
export const clock = {
  meta: {
    type: 'problem',
    schema: [],
    messages: { closed: 'Only domain/time.ts reads the real clock; take a Clock or an Instant by parameter.' },
  },
  create(context) {
    const path = sourcePath(context.filename);
    if (path === undefined || MAY_READ_CLOCK.test(path)) return {};
    const report = (node) => context.report({ node, messageId: 'closed' });
    return {
      'MemberExpression[object.name="Date"][property.name="now"]': report,
      'NewExpression[callee.name="Date"][arguments.length=0]': report,
      'CallExpression[callee.name="Date"]': report,
      'MemberExpression[object.name="process"][property.name=/^(hrtime|uptime)$/]': report,
      ImportDeclaration: (node) => {
        if (CLOCK_MODULES.test(String(node.source.value))) report(node);
      },
      'Program:exit': (node) => {
        for (const { identifier } of globalReferences(context.sourceCode, node)) {
          if (CLOCK_GLOBALS.includes(identifier.name)) report(identifier);
        }
      },
    };
  },
};
