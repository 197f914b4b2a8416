import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openTestResources } from '../harness/kuberesources.ts';
import { useKube } from '../harness/parts.ts';
import { privateDir } from '../harness/process.ts';

const kube = await useKube();
const dir = privateDir('kubeconfig');

type Members = Record<string, unknown>;
interface Entry {
  readonly name: string;
  readonly cluster?: Members;
  readonly user?: Members;
  readonly context?: { readonly cluster: string; readonly user: string };
}
interface File {
  readonly clusters?: readonly Entry[] | null;
  readonly users?: readonly Entry[] | null;
  readonly contexts?: readonly Entry[] | null;
  readonly 'current-context'?: string;
}

const admin = { token: kube.token() };
/** Is known to the API server, and may read nothing. */
const outsider = { token: kube.token('outsider') };
const { cluster: serverOf } = (JSON.parse(readFileSync(kube.kubeconfig(), 'utf8')) as { clusters: [{ cluster: Members }] })
  .clusters[0];
const { 'certificate-authority-data': authority, ...server } = serverOf as { 'certificate-authority-data': string };

const clusters = (cluster: Members = serverOf): readonly Entry[] => [{ name: 'here', cluster }];
const users = (user: Members): readonly Entry[] => [{ name: 'me', user }];
const contexts: readonly Entry[] = [{ name: 'mine', context: { cluster: 'here', user: 'me' } }];
const current = { 'current-context': 'mine' };
const whole = (user: Members, cluster?: Members): File => ({
  clusters: clusters(cluster),
  users: users(user),
  contexts,
  ...current,
});
const missing = 'missing';

/** An exec plugin that says the token where `when` holds, and warns. */
const plugin = (when: string): string =>
  [
    '#!/bin/sh',
    'echo "warning: this plugin is deprecated" >&2',
    `${when} || exit 3`,
    `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"${kube.token()}"}}'`,
  ].join('\n');
const exec = (command: string): Members => ({
  exec: { apiVersion: 'client.authentication.k8s.io/v1', command, interactiveMode: 'Never' },
});

interface Case {
  readonly title: string;
  /** A text is a file as it is; `missing` is none. */
  readonly files: readonly (File | string)[];
  /** Beside the files. */
  readonly beside?: Readonly<Record<string, string>>;
  /** Who it is at the API server. Otherwise: part of what we say. */
  readonly is: 'admin' | 'outsider' | { readonly says: string };
}

const cases: readonly Case[] = [
  { title: 'one file', files: [whole(admin)], is: 'admin' },
  { title: 'a file that does not exist, before another', files: [missing, whole(admin)], is: 'admin' },
  { title: 'a file that does not exist, after another', files: [whole(admin), missing], is: 'admin' },
  { title: 'an empty file before another', files: ['', whole(admin)], is: 'admin' },
  { title: 'a file of comments before another', files: ['# nothing here yet\n', whole(admin)], is: 'admin' },
  { title: 'lists that are null', files: [{ clusters: null, users: null, contexts: null }, whole(admin)], is: 'admin' },
  { title: 'the same names in two files: the first has them', files: [whole(admin), whole(outsider)], is: 'admin' },
  { title: 'the same names in two files, the other way round', files: [whole(outsider), whole(admin)], is: 'outsider' },
  {
    title: 'two contexts: the first file that sets the current one',
    files: [
      { ...whole(outsider), 'current-context': '' },
      { users: [{ name: 'other', user: admin }], contexts: [{ name: 'theirs', context: { cluster: 'here', user: 'other' } }] },
      { 'current-context': 'theirs' },
      current,
    ],
    is: 'admin',
  },
  {
    title: 'a context, its cluster and its user in three files',
    files: [{ clusters: clusters() }, { users: users(admin) }, { contexts, ...current }],
    is: 'admin',
  },
  { title: 'the same file twice', files: [whole(admin), '=1'], is: 'admin' },
  { title: 'a token file beside it', files: [whole({ tokenFile: 'token' })], beside: { token: kube.token() }, is: 'admin' },
  {
    title: 'a token file and a token: the file counts',
    files: [whole({ tokenFile: 'token', ...outsider })],
    beside: { token: kube.token() },
    is: 'admin',
  },
  {
    title: 'an authority beside it',
    files: [whole(admin, { ...server, 'certificate-authority': 'ca.crt' })],
    beside: { 'ca.crt': Buffer.from(authority, 'base64').toString('utf8') },
    is: 'admin',
  },
  { title: 'a server that is not checked', files: [whole(admin, { ...server, 'insecure-skip-tls-verify': true })], is: 'admin' },
  {
    title: 'an exec plugin beside it, which warns',
    files: [whole(exec('./plugin'))],
    beside: { plugin: plugin('true') },
    is: 'admin',
  },
  {
    title: 'an exec plugin that reads what is wanted of it',
    files: [whole(exec('./plugin'))],
    beside: { plugin: plugin('echo "$KUBERNETES_EXEC_INFO" | grep -q client.authentication.k8s.io/v1') },
    is: 'admin',
  },
  { title: 'somebody whom the administrator plays', files: [whole({ ...admin, as: 'outsider' })], is: 'outsider' },
  {
    title: 'YAML instead of JSON',
    files: [`current-context: mine\ncontexts: [{name: mine, context: {cluster: here, user: me}}]`, whole(admin)],
    is: 'admin',
  },
  { title: 'no file at all', files: [missing], is: { says: 'there is no ' } },
  {
    title: 'no current context',
    files: [{ ...whole(admin), 'current-context': '' }],
    is: { says: 'no current-context is set in ' },
  },
  {
    title: 'a current context that is not there',
    files: [{ ...whole(admin), 'current-context': 'gone' }],
    is: { says: 'there is no context "gone" in ' },
  },
  {
    title: 'a cluster that is not there',
    files: [{ users: users(admin), contexts, ...current }],
    is: { says: 'there is no cluster "here" in ' },
  },
  {
    title: 'a user that is not there',
    files: [{ clusters: clusters(), contexts, ...current }],
    is: { says: 'there is no user "me" in ' },
  },
  { title: 'a user without credentials', files: [whole({})], is: { says: ' has no credentials' } },
  {
    title: 'two entries of one name in one file',
    files: [{ ...whole(admin), users: [...users(outsider), ...users(admin)] }],
    is: { says: ' has two users "me"' },
  },
  { title: 'what is not YAML', files: ['a: [', whole(admin)], is: { says: ' is not valid YAML' } },
  { title: 'what is no kubeconfig', files: ['- a list', whole(admin)], is: { says: ' is no kubeconfig' } },
];

function variableOf({ files, beside = {} }: Case, at: number): string {
  const folder = join(dir, String(at));
  mkdirSync(folder);
  for (const [name, text] of Object.entries(beside)) {
    writeFileSync(join(folder, name), text);
    if (name === 'plugin') chmodSync(join(folder, name), 0o700);
  }
  const paths = files.map((file, index) => {
    const path = join(folder, `${String(index + 1)}.yaml`);
    if (typeof file === 'string' && file.startsWith('=')) return join(folder, `${file.slice(1)}.yaml`);
    if (file !== missing) writeFileSync(path, typeof file === 'string' ? file : JSON.stringify(file));
    return path;
  });
  return paths.join(delimiter);
}

/** What kubectl says of who it is: `admin`, `outsider`, or that it cannot tell. */
async function whoKubectlIs(variable: string): Promise<string> {
  const env = { PATH: process.env['PATH'], HOME: dir, KUBECONFIG: variable };
  const said = await new Promise<string>((resolve) => {
    const args = ['get', 'namespace', 'kube-system', '-o', 'name'];
    const child = execFile(kube.handle.kubectl, args, { env, timeout: 30_000 }, (error, _stdout, stderr) =>
      resolve(error === null ? 'admin' : stderr),
    );
    // Without credentials it asks for a user name.
    child.stdin?.end();
  });
  if (said === 'admin') return said;
  return /User "(?:[^"]*:)?outsider" cannot/.test(said) ? 'outsider' : 'nobody';
}

async function whoWeAre(variable: string): Promise<string> {
  const resources = await openTestResources({ kubeconfig: variable });
  try {
    return await resources.readLive('Namespace', { name: 'kube-system' }).then(
      (found) => (found === undefined ? 'nobody' : 'admin'),
      (error: unknown) => ((error as { kind?: string }).kind === 'waiting' ? 'outsider' : String(error)),
    );
  } finally {
    await resources.close();
  }
}

describe('KUBECONFIG is read as kubectl reads it', () => {
  it.each(cases.map((one, at) => [one.title, one, at] as const))('%s', async (_title, one, at) => {
    const variable = variableOf(one, at);
    if (typeof one.is === 'string') {
      expect(await whoKubectlIs(variable)).toBe(one.is);
      expect(await whoWeAre(variable)).toBe(one.is);
    } else {
      expect(await whoKubectlIs(variable)).toBe('nobody');
      await expect(whoWeAre(variable)).rejects.toThrow(one.is.says);
    }
  });

  it.each(['as-groups', 'as-uid', 'as-user-extra'])('refuses %s, which it does not send', async (member) => {
    const path = join(dir, `${member}.yaml`);
    writeFileSync(path, JSON.stringify(whole({ ...admin, as: 'outsider', [member]: ['system:masters'] })));
    await expect(whoWeAre(path)).rejects.toThrow(`user "me" in ${path}: ${member} is not supported`);
  });
});
