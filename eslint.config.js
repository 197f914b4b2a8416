import tseslint from 'typescript-eslint';
import { clock, environment, reveal } from './scripts/lint/doors.mjs';
import { layers } from './scripts/lint/layers.mjs';
import { purity } from './scripts/lint/purity.mjs';

const keywright = { rules: { clock, environment, layers, purity, reveal } };

const noDefaultExport = { selector: 'ExportDefaultDeclaration', message: 'Export by name: one name everywhere.' };
const noModuleState = [
  {
    selector: 'Program > VariableDeclaration[kind!="const"]',
    message: 'No state in a module: pass it, or hold it in an object.',
  },
  { selector: 'Program > ExportNamedDeclaration > VariableDeclaration[kind!="const"]', message: 'No state in a module.' },
  {
    selector:
      ':matches(Program, Program > ExportNamedDeclaration) > VariableDeclaration NewExpression[callee.name=/^(Map|Set|WeakMap|WeakSet)$/][arguments.length=0]:not(:function *)',
    message: 'An empty collection in a module is state: pass it, or hold it in an object.',
  },
];

export default tseslint.config(
  {
    ignores: [
      '**/node_modules/',
      '.keywright/',
      'dist/',
      'pulumi/dist/',
      'pulumi/component/',
      'pulumi/src/generated/',
      'test/tools/',
    ],
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { keywright },
    rules: {
      'keywright/clock': 'error',
      'keywright/environment': 'error',
      'keywright/layers': 'error',
      'keywright/purity': 'error',
      'keywright/reveal': 'error',
      'no-restricted-syntax': ['error', noDefaultExport],
      eqeqeq: 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // An async method that answers at once still belongs to a port of promises.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
    },
  },
  {
    // It is what others install: of the program it has the schemas and nothing more.
    files: ['pulumi/src/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: '/operator/src/(?!api/)', message: 'The Pulumi package has the schemas of the operator (api) only.' },
          ],
        },
      ],
    },
  },
  {
    files: ['operator/src/**/*.ts'],
    rules: {
      'no-restricted-syntax': ['error', noDefaultExport, ...noModuleState],
      'no-console': 'error',
    },
  },
  {
    files: ['*.config.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
);
