import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { isApiKind } from '../../operator/src/api/kinds.ts';
import { parseManifestObject } from '../../operator/src/api/parse.ts';
import { noteUse } from '../harness/parts.ts';
import { freePort, isFree } from '../harness/ports.ts';
import { fingerprint, type VerifyAnswer } from '../harness/program.ts';
import { checkout, playground, runStandalone, startStandalone, type Playground, type Standalone } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
const readmePort = 8080;

/** The fenced blocks of one language, in their order. */
function blocks(language: string): readonly string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, text = '']) => text);
}

/** A block by a word that only it has. */
function block(language: string, word: string): string {
  const found = blocks(language).filter((text) => text.includes(word));
  expect(found, `${language} blocks with ${word}`).toHaveLength(1);
  return found[0] ?? '';
}

/** A checkout as a newcomer has it after the install: its own files, and what is made beside them. */
function copyCheckout(place: Playground): string {
  const copy = join(place.dir, 'keywright');
  mkdirSync(copy);
  for (const name of ['package.json', 'package-lock.json', '.npmrc', 'README.md', 'operator', 'scripts', 'examples', 'crds'])
    cpSync(join(checkout, name), join(copy, name), { recursive: true });
  symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

beforeAll(() => noteUse('PostgreSQL 18.4 (embedded)'));

describe('the README', () => {
  let place: Playground;
  let home = '';
  let port = readmePort;
  let program: Standalone | undefined;
  const shell = (script: string): readonly string[] => ['/bin/bash', '-euc', script];
  const start = async (): Promise<Standalone> => {
    const command = block('sh', 'npm start').trim();
    expect(command).toBe('npm start');
    program = startStandalone({ command: shell(port === readmePort ? command : `${command} -- --port ${port}`), cwd: home });
    await program.says('default/billing-sync  READY=True');
    await program.says('default/newsletter-tests  READY=True');
    return program;
  };
  const ask = async (): Promise<VerifyAnswer> => {
    const script = block('sh', 'curl').replaceAll(String(readmePort), String(port));
    const { code, output } = await runStandalone({ command: shell(script), cwd: home });
    expect({ code, output: output() }).toMatchObject({ code: 0 });
    return JSON.parse(output()) as VerifyAnswer;
  };

  beforeAll(async () => {
    place = playground();
    home = copyCheckout(place);
    // As written where nobody has the port; else with the flag that the README names for that case.
    if (!(await isFree(readmePort))) port = await freePort();
  });
  afterAll(async () => {
    await program?.killAll();
    await place.remove();
  });

  it('names the flag for a port that somebody has', () => {
    expect(readme).toContain(`\`npm start -- --port ${readmePort + 1}\``);
  });

  it('shows with npm start where the values are, and asks with curl what a key may do [S2-14]', async () => {
    const { output } = await start();
    const file = '.keywright/secrets/default/billing-api-key/api-key';
    expect(output()).toContain(`value in ${file}`);
    expect(existsSync(join(home, file))).toBe(true);
    const keyId = readFileSync(join(home, '.keywright/secrets/default/billing-api-key/key-id'), 'utf8');
    expect(await ask()).toMatchObject({ allowed: true, endpoint: 'list-subscribers', keyId });
  });

  it('stops with Ctrl-C, and goes on with the same data at the second start', async () => {
    const value = (): string | undefined =>
      fingerprint(readFileSync(join(home, '.keywright/secrets/default/billing-api-key/api-key'), 'utf8'));
    const before = value();
    const first = program;
    expect((await first?.ctrlC())?.code).toBe(0);
    expect(first?.output()).toContain('stopped; the next start goes on from here');
    await until(() => place.isDeserted(), { what: 'the end of the database' });
    await start();
    expect(value()).toBe(before);
    expect((await ask()).allowed).toBe(true);
  });

  it('refuses a key after its manifest was deleted, and its files go [S2-17]', async () => {
    const script = block('sh', 'curl').replaceAll(String(readmePort), String(port));
    const [assignment = '', ...question] = script.split('\n');
    const key = (await runStandalone({ command: shell(`${assignment}; printf %s "$KEY"`), cwd: home })).output();
    rmSync(join(home, 'examples/quickstart/billing-sync.yaml'));
    await program?.says('default/billing-sync  gone');
    expect(existsSync(join(home, '.keywright/secrets/default/billing-api-key'))).toBe(false);
    const { output } = await runStandalone({ command: shell(question.join('\n')), cwd: home, env: { KEY: key } });
    expect(JSON.parse(output())).toMatchObject({ allowed: false, status: 401, code: 'key_invalid' });
  });

  it('shows an ApiKey that is accepted as it stands', () => {
    const raw = parse(block('yaml', 'kind: ApiKey')) as { readonly kind: string };
    if (!isApiKind(raw.kind)) throw new Error(`no kind ${raw.kind}`);
    expect(parseManifestObject(raw.kind, raw)).toMatchObject({ ok: true });
  });

  it('links to nothing that is not there, and knows every folder', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, path = '']) => path);
    const folders = [...readme.matchAll(/^\| `([^`]+)` \|/gm)].map(([, path = '']) => path);
    expect(links.length).toBeGreaterThan(0);
    expect(folders.length).toBeGreaterThan(0);
    expect([...links, ...folders].filter((path) => !existsSync(join(checkout, path)))).toEqual([]);
  });
});
