import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noteUse, usePostgres } from '../harness/parts.ts';
import { freePort } from '../harness/ports.ts';
import { fingerprint, verify } from '../harness/program.ts';
import {
  checkout,
  playground,
  readEntry,
  runStandalone,
  startStandalone,
  type Playground,
  type Standalone,
  type StandaloneOptions,
} from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const secrets = ['billing-api-key', 'newsletter-api-key'];

beforeAll(() => noteUse('PostgreSQL 18.4 (embedded)'));

/** The arguments for a playground; a port that is free. */
function argsOf({ manifests, data }: Playground, ...more: readonly string[]): readonly string[] {
  return ['--manifests', manifests, '--data', data, '--port', '0', ...more];
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

function fingerprints(data: string): readonly (string | undefined)[] {
  return secrets.map((secret) => fingerprint(readEntry(data, secret)));
}

function textsOf(folder: string): Readonly<Record<string, string>> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

describe('npm start -- --once', () => {
  let place: Playground;
  beforeAll(() => {
    place = playground();
  });
  afterAll(() => place.remove());

  it('delivers the quickstart and ends with 0; everything it makes lies where the reference says', async () => {
    const manifests = textsOf(place.manifests);
    const { code, output, errors } = await runStandalone({ args: argsOf(place, '--once') });
    expect({ code, errors: errors() }).toEqual({ code: 0, errors: '' });
    expect(output()).toContain('default/billing-sync  READY=True  Available');
    expect(output()).toContain('default/newsletter-tests  READY=True  Available');
    expect(output()).toContain(`value in ${place.data}/secrets/default/billing-api-key/api-key`);
    expect(modeOf(join(place.data, 'database.json'))).toBe('600');
    expect(modeOf(join(place.data, 'pepper.json'))).toBe('600');
    for (const file of ['ApiKey/default/billing-sync', 'ApiCatalog/_cluster/default', 'KeyOwner/_cluster/payments-team'])
      expect(modeOf(join(place.data, 'status', `${file}.yaml`))).toBe('600');
    const mounted = join(place.data, 'secrets', 'default', 'billing-api-key');
    const entries = readdirSync(mounted).filter((name) => !name.startsWith('.'));
    expect(entries.sort()).toEqual(['api-key', 'expires-at', 'header', 'key-id', 'provider', 'type']);
    expect(modeOf(mounted)).toBe('700');
    expect(modeOf(join(mounted, 'api-key'))).toBe('600');
    expect(textsOf(place.manifests)).toEqual(manifests);
  });

  it('goes on with the same values at the next start, also with paths from the caller’s folder', async () => {
    const before = fingerprints(place.data);
    const args = ['--manifests', 'manifests', '--data', 'data', '--port', '0', '--once'];
    const { code, output } = await runStandalone({ args, cwd: place.dir });
    expect(code).toBe(0);
    expect(output()).toContain('value in data/secrets/default/billing-api-key/api-key');
    expect(fingerprints(place.data)).toEqual(before);
    expect(before).not.toContain(undefined);
  });

  it('ends with 1 while a key is not Ready, and says why', async () => {
    const manifest = join(place.manifests, 'orphan.yaml');
    const text = readFileSync(join(place.manifests, 'billing-sync.yaml'), 'utf8');
    const changes = {
      'name: billing-sync': 'name: orphan',
      'owner: payments-team': 'owner: nobody',
      'billing-api-key': 'orphan-api-key',
    };
    writeFileSync(
      manifest,
      Object.entries(changes).reduce((all, [from, to]) => all.replace(from, to), text),
    );
    const { code, output } = await runStandalone({ args: argsOf(place, '--once') });
    rmSync(manifest);
    expect(code).toBe(1);
    expect(output()).toContain('default/orphan  READY=False  OwnerNotFound');
    expect(readEntry(place.data, 'orphan-api-key')).toBeUndefined();
  });

  it('names a manifests folder that is not there, and takes it for no deletion', async () => {
    const before = fingerprints(place.data);
    const away = join(place.dir, 'away');
    renameSync(place.manifests, away);
    const { output } = await runStandalone({ args: argsOf(place, '--once') });
    renameSync(away, place.manifests);
    expect(output()).toContain(`! ${place.manifests} the folder is not there`);
    expect(output()).not.toContain('gone');
    expect(fingerprints(place.data)).toEqual(before);
  });

  it('takes no port, so that it runs beside another start', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as AddressInfo;
    const { code, output } = await runStandalone({ args: [...argsOf(place, '--once'), '--port', String(port)] });
    squatter.close();
    expect({ code, output: output() }).toMatchObject({ code: 0 });
  });

  it('ends with 2 on a port that somebody has, and leaves no database running', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as AddressInfo;
    const { code, errors } = await runStandalone({ args: [...argsOf(place), '--port', String(port)] });
    squatter.close();
    expect({ code, errors: errors() }).toEqual({
      code: 2,
      errors: `keywright: port ${port} of 127.0.0.1 is in use; choose another one with --port\n`,
    });
    expect(await place.isDeserted()).toBe(true);
  });
});

describe('npm start -- --once on another database, and other folders', () => {
  let place: Playground;
  let env = { KEYWRIGHT_DATABASE_URL: '' };
  beforeAll(async () => {
    place = playground();
    env = { KEYWRIGHT_DATABASE_URL: (await (await usePostgres()).createDatabase({ migrated: false })).url };
  });
  afterAll(() => place.remove());

  it('works on the database of KEYWRIGHT_DATABASE_URL, and starts none of its own', async () => {
    const { code, output } = await runStandalone({ args: argsOf(place, '--once'), env });
    expect({ code, output: output() }).toMatchObject({ code: 0 });
    expect(output()).toContain('default/billing-sync  READY=True  Available');
    expect(existsSync(join(place.data, 'postgres'))).toBe(false);
    expect(readFileSync(join(place.data, 'keywright.log'), 'utf8')).not.toContain(env.KEYWRIGHT_DATABASE_URL);
  });

  it('refuses the database of another data folder, whose keys it would revoke', async () => {
    const before = fingerprints(place.data);
    const other = { ...place, data: join(place.dir, 'other-data') };
    const { code, errors } = await runStandalone({ args: argsOf(other, '--once'), env });
    expect({ code, errors: errors() }).toEqual({
      code: 2,
      errors:
        'keywright: this database belongs to another cluster or data folder; `keywright migrate --adopt-cluster` hands it over\n',
    });
    const again = await runStandalone({ args: argsOf(place, '--once'), env });
    expect({ code: again.code, output: again.output() }).toMatchObject({ code: 0 });
    expect(fingerprints(place.data)).toEqual(before);
  });

  it('says why it waits for a database that does not answer', async () => {
    const port = await freePort();
    const nobody = { KEYWRIGHT_DATABASE_URL: `postgres://keywright@127.0.0.1:${port}/keywright` };
    const waiting = startStandalone({ args: argsOf({ ...place, data: join(place.dir, 'third') }), env: nobody, cwd: place.dir });
    try {
      await waiting.says('waiting: the database');
    } finally {
      await waiting.killAll();
    }
  });

  it('ends with 1 where there is no manifest to read', async () => {
    const nothing = { ...place, manifests: join(place.dir, 'nowhere'), data: join(place.dir, 'new-data') };
    const fresh = { KEYWRIGHT_DATABASE_URL: (await (await usePostgres()).createDatabase({ migrated: false })).url };
    const { code, output } = await runStandalone({ args: argsOf(nothing, '--once'), env: fresh });
    expect(code).toBe(1);
    expect(output()).toContain(`no ApiKey in ${nothing.manifests} yet`);
    expect(output()).toContain(`! ${nothing.manifests} the folder is not there`);
  });

  it('keeps and lists what another manifests folder lacks, until it is told to prune', async () => {
    const other = { ...place, manifests: join(place.dir, 'other') };
    mkdirSync(other.manifests);
    for (const name of ['catalog.yaml', 'owner.yaml', 'billing-sync.yaml'])
      cpSync(join(place.manifests, name), join(other.manifests, name));
    const before = fingerprints(place.data);
    const kept = await runStandalone({ args: argsOf(other, '--once'), env });
    expect(kept.output()).toContain(
      `- ${place.manifests}/newsletter-tests.yaml ApiKey default/newsletter-tests is not in this manifests folder, and kept; --prune deletes it`,
    );
    expect(fingerprints(place.data)).toEqual(before);
    const pruned = await runStandalone({ args: argsOf(other, '--once', '--prune'), env });
    expect({ code: pruned.code, output: pruned.output() }).toMatchObject({ code: 0 });
    expect(fingerprints(place.data)).toEqual([before[0], undefined]);
  });
});

describe('npm start that cannot start', () => {
  let place: Playground;
  beforeAll(() => {
    place = playground();
  });
  afterAll(() => place.remove());

  const cases: readonly (readonly [title: string, args: readonly string[], message: RegExp, env?: Record<string, string>])[] = [
    ['an unknown option', ['--dta', 'x'], /unknown option '--dta'/],
    ['a port that is none', ['--port', '99999'], /a port is a whole number from 0 to 65535/],
    ['a data folder that is a file', ['--data', process.execPath, '--port', '0'], /the data folder .* cannot be made or opened/],
    [
      'a manifests folder that is a file',
      ['--manifests', process.execPath, '--data', 'data'],
      /is not a folder; --manifests takes/,
    ],
    [
      'a data folder that is the manifests folder',
      ['--manifests', '.', '--data', '.', '--port', '0'],
      /cannot be the data folder, too; choose another one with --data/,
    ],
    ['an unknown variable', ['--data', 'data', '--port', '0'], /KEYWRIGHT_COLOUR/, { KEYWRIGHT_COLOUR: 'red' }],
  ];
  for (const [title, args, message, env] of cases) {
    it(`ends with 2 and one clear message on ${title}`, async () => {
      const options: StandaloneOptions = { args, cwd: place.dir, ...(env === undefined ? {} : { env }) };
      const { code, errors } = await runStandalone(options);
      expect({ code, errors: errors() }).toEqual({ code: 2, errors: expect.stringMatching(message) as string });
      expect(errors()).not.toMatch(/^\s+at /m);
    });
  }
});

it('ends with 2 on a command that does not exist, also when its help is asked for', async () => {
  for (const args of [['verify'], ['verify', '--help']]) {
    const command = [process.execPath, join(checkout, 'scripts', 'run.mjs'), 'keywright', ...args];
    const { code, output } = await runStandalone({ command });
    expect({ code, output: output() }).toEqual({
      code: 2,
      output: expect.stringMatching(/^error: unknown command 'verify'; there are: help, operator, .*\n$/) as string,
    });
  }
});

describe('npm start, live', () => {
  let place: Playground;
  let program: Standalone;
  let url = '';
  const key = (secret: string): string => readEntry(place.data, secret) ?? '';
  const edit = (name: string, from: string | RegExp, to: string): void => {
    const path = join(place.manifests, name);
    const text = readFileSync(path, 'utf8');
    const changed = text.replace(from, to);
    expect(changed).not.toBe(text);
    writeFileSync(path, changed);
  };
  const codeBecomes = (value: string, code: string, deadlineMs: number): Promise<unknown> =>
    until(async () => (await verify(url, value)).code === code, { what: code, deadlineMs, everyMs: 25 });

  beforeAll(async () => {
    place = playground();
    program = startStandalone({ args: argsOf(place) });
    url = await program.url();
    await program.says('default/billing-sync  READY=True');
    await program.says('default/newsletter-tests  READY=True');
  });
  afterAll(async () => {
    await program.killAll();
    await place.remove();
  });

  it('answers for a living key, and for none that it does not know', async () => {
    const living = await verify(url, key('billing-api-key'));
    expect(living).toMatchObject({
      allowed: false,
      code: 'endpoint_not_allowed',
      keyId: readEntry(place.data, 'billing-api-key', 'key-id'),
    });
    const value = key('billing-api-key');
    const unknown = `${value.slice(0, -1)}${value.endsWith('x') ? 'y' : 'x'}`;
    expect(await verify(url, unknown)).toMatchObject({ status: 401, code: 'key_invalid' });
  });

  it('refuses a second start on the same data folder with one line that names the first', async () => {
    const { code, output } = await runStandalone({ args: argsOf(place) });
    expect(code).toBe(2);
    expect(output()).toMatch(
      /^keywright: process [0-9]+ already runs on the data folder \S+; stop it first, or choose another folder with --data\n$/,
    );
  });

  it('has its database on a socket alone, where other commands reach it with the password', async () => {
    const { password } = JSON.parse(readFileSync(join(place.data, 'database.json'), 'utf8')) as { password: string };
    const url = `postgresql://keywright:${password}@/keywright?host=${join(place.data, 'postgres', 'socket')}`;
    const { code, output } = await runStandalone({
      command: [process.execPath, join(checkout, 'scripts', 'run.mjs'), 'keywright', 'orphans'],
      env: { KEYWRIGHT_DATABASE_URL: url },
    });
    expect({ code, output: output() }).toEqual({
      code: 0,
      output: 'every key in a namespace that the operator serves has its ApiKey\n',
    });
  });

  it('follows an edit: a suspended key is refused, and lives again', async () => {
    const value = key('newsletter-api-key');
    edit('newsletter-tests.yaml', /^ {2}suspend: false$/m, '  suspend: true');
    await codeBecomes(value, 'key_suspended', 2_000);
    await program.says('default/newsletter-tests  READY=False  Suspended');
    edit('newsletter-tests.yaml', /^ {2}suspend: true$/m, '  suspend: false');
    await until(async () => (await verify(url, value)).allowed, { what: 'allowed again', deadlineMs: 2_000, everyMs: 25 });
    expect(fingerprint(key('newsletter-api-key'))).toBe(fingerprint(value));
  });

  it('keeps the last good version of a broken manifest, and names file and line until it is repaired', async () => {
    const value = key('billing-api-key');
    edit('billing-sync.yaml', 'accessType: Integrations', 'accessType: [Integrations');
    await program.says('! billing-sync.yaml:');
    expect(program.output()).toMatch(/^! billing-sync\.yaml:\d+ is not valid YAML/m);
    expect(await verify(url, value)).toMatchObject({ code: 'endpoint_not_allowed' });
    edit('billing-sync.yaml', 'accessType: [Integrations', 'accessType: Integrations');
    await program.says('settled: ! billing-sync.yaml:');
    expect(fingerprint(key('billing-api-key'))).toBe(fingerprint(value));
  });

  it('loses nothing to an editor that empties a file while it saves, nor to one that removes and writes anew', async () => {
    const path = join(place.manifests, 'billing-sync.yaml');
    const text = readFileSync(path, 'utf8');
    const value = key('billing-api-key');
    writeFileSync(path, '');
    await program.says('the file is empty, which deletes nothing');
    writeFileSync(path, text);
    for (let round = 0; round < 3; round += 1) {
      rmSync(path);
      writeFileSync(path, text);
    }
    await program.says('settled: - billing-sync.yaml the file is empty');
    expect(fingerprint(key('billing-api-key'))).toBe(fingerprint(value));
    expect(await verify(url, value)).toMatchObject({ code: 'endpoint_not_allowed' });
  });

  it('names the second of two manifests with one name, and unknown fields, each with its line', async () => {
    const value = key('billing-api-key');
    cpSync(join(place.manifests, 'billing-sync.yaml'), join(place.manifests, 'copy.yaml'));
    await program.says(
      '! copy.yaml:3 ApiKey default/billing-sync is already declared in billing-sync.yaml:3; this one is ignored',
    );
    rmSync(join(place.manifests, 'copy.yaml'));
    edit('newsletter-tests.yaml', /^ {2}suspend: false$/m, '  suspended: false');
    const line =
      readFileSync(join(place.manifests, 'newsletter-tests.yaml'), 'utf8').split('\n').indexOf('  suspended: false') + 1;
    await program.says(`! newsletter-tests.yaml:${line} spec`);
    edit('newsletter-tests.yaml', /^ {2}suspended: false$/m, '  suspend: false');
    await program.says(`settled: ! newsletter-tests.yaml:${line} spec`);
    expect(fingerprint(key('billing-api-key'))).toBe(fingerprint(value));
  });

  it('names what keys depend on when it is not valid, until it is repaired', async () => {
    edit('catalog.yaml', 'endpoints: [list-campaigns]', 'endpoints: [list-campaign]');
    await program.says('! ApiCatalog/default InvalidSpec: spec.scopes[1].endpoints[0]:');
    edit('catalog.yaml', 'endpoints: [list-campaign]', 'endpoints: [list-campaigns]');
    await program.says('settled: ! ApiCatalog/default');
    edit('owner.yaml', 'accessTypes: [Integrations', 'accessTypes: [Robot, Integrations');
    await program.says('! KeyOwner/payments-team ');
    edit('owner.yaml', 'accessTypes: [Robot, ', 'accessTypes: [');
    await program.says('settled: ! KeyOwner/payments-team ');
  });

  it('loses nothing to a checkout of another branch and back, and shows the grace while it runs', async () => {
    const value = key('newsletter-api-key');
    const [path, away] = [join(place.manifests, 'newsletter-tests.yaml'), join(place.dir, 'away.yaml')];
    renameSync(path, away);
    await program.says(
      '- newsletter-tests.yaml ApiKey default/newsletter-tests is not in the folder any more: it will be deleted at ',
    );
    expect(await verify(url, value)).toMatchObject({ allowed: true });
    renameSync(away, path);
    await program.says('settled: - newsletter-tests.yaml ApiKey default/newsletter-tests is not in the folder any more');
    expect(await verify(url, value)).toMatchObject({ allowed: true });
    expect(fingerprint(key('newsletter-api-key'))).toBe(fingerprint(value));
  });

  it('prints nothing of a Secret that is no YAML', async () => {
    const text =
      'apiVersion: v1\nkind: Secret\nmetadata: { name: x, namespace: keywright-system }\nstringData: { token: {{hvs.ABC}} }\n';
    writeFileSync(join(place.manifests, 'secret.yaml'), text);
    await program.says('! secret.yaml:4 is not valid YAML: a key that is not a string');
    rmSync(join(place.manifests, 'secret.yaml'));
    await program.says('settled: ! secret.yaml:4');
    expect(program.output()).not.toContain('hvs');
    expect(readFileSync(join(place.data, 'keywright.log'), 'utf8')).not.toContain('hvs');
    expect(program.errors()).toBe('');
  });

  it('refuses a key two seconds after the grace of its deleted manifest, and takes its files along [S0-4] [S2-17]', async () => {
    const value = key('newsletter-api-key');
    rmSync(join(place.manifests, 'newsletter-tests.yaml'));
    await codeBecomes(value, 'key_invalid', 7_000);
    await program.says('default/newsletter-tests  gone');
    expect(existsSync(join(place.data, 'secrets', 'default', 'newsletter-api-key'))).toBe(false);
    expect(existsSync(join(place.data, 'status', 'ApiKey', 'default', 'newsletter-tests.yaml'))).toBe(false);
    expect(await verify(url, key('billing-api-key'))).toMatchObject({ code: 'endpoint_not_allowed' });
  });

  it('stops on Ctrl-C with 0, and the database with it', async () => {
    expect(await program.ctrlC()).toEqual({ code: 0, signal: null });
    expect(program.output()).toMatch(/\nstopped; the next start goes on from here\n$/);
    expect(program.errors()).toBe('');
    expect(await place.isDeserted()).toBe(true);
  });
});
