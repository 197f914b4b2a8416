import { readFile } from 'node:fs/promises';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { isCode } from '../../domain/systemcode.ts';

/** The kubeconfig cannot be used. The message names files, fields and entries, but nothing else that they contain. */
export class KubeconfigFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'KubeconfigFault';
  }
}

/** The one cluster and the one user of the current context, with absolute paths, in the form of a kubeconfig. */
export interface CurrentContext {
  readonly cluster: Members;
  readonly user: Members;
}

/** A kubeconfig file that is there. */
export interface KubeconfigText {
  readonly path: string;
  readonly text: string;
}

type Members = Readonly<Record<string, unknown>>;

const members = z.record(z.string(), z.unknown()).nullish();
const name = z.string().min(1);
const schema = z.looseObject({
  'current-context': z.string().nullish(),
  clusters: z.array(z.looseObject({ name, cluster: members })).nullish(),
  users: z.array(z.looseObject({ name, user: members })).nullish(),
  contexts: z
    .array(
      z.looseObject({ name, context: z.looseObject({ cluster: z.string().nullish(), user: z.string().nullish() }).nullish() }),
    )
    .nullish(),
});
type Kubeconfig = z.infer<typeof schema>;

/** Reads the files of `$KUBECONFIG`. As kubectl does, it leaves out those that do not exist. Throws {@link KubeconfigFault}. */
export async function readKubeconfigs(variable: string): Promise<readonly KubeconfigText[]> {
  const paths = [...new Set(variable.split(delimiter).filter((path) => path !== ''))];
  const files: KubeconfigText[] = [];
  for (const path of paths) {
    try {
      files.push({ path, text: await readFile(path, 'utf8') });
    } catch (error) {
      if (!isCode(error, 'ENOENT')) throw new KubeconfigFault(`${path} cannot be read`);
    }
  }
  if (files.length === 0) throw new KubeconfigFault(`there is no ${paths.join(', and no ')}`);
  return files;
}

/**
 * The current context, found as kubectl finds it: of several files, the first one that sets `current-context` sets it, and the
 * first one that has an entry of a name has it; a path is relative to its file. Throws {@link KubeconfigFault}.
 */
export function currentContextOf(files: readonly KubeconfigText[]): CurrentContext {
  const configs = files.map(({ path, text }) => ({ path, config: parseOne(path, text) }));
  const where = files.map(({ path }) => path).join(', ');
  const current = configs.map(({ config }) => config['current-context'] ?? '').find((one) => one !== '');
  if (current === undefined) throw new KubeconfigFault(`no current-context is set in ${where}`);
  const find = <T>(kind: string, wanted: string, from: (config: Kubeconfig) => T | undefined): { path: string; entry: T } => {
    for (const { path, config } of configs) {
      const entry = from(config);
      if (entry !== undefined) return { path, entry };
    }
    throw new KubeconfigFault(`there is no ${kind} ${JSON.stringify(wanted)} in ${where}`);
  };
  const { entry: context } = find('context', current, ({ contexts }) => contexts?.find((one) => one.name === current));
  const { cluster: clusterName = '', user: userName = '' } = context.context ?? {};
  const cluster = find('cluster', clusterName ?? '', ({ clusters }) => clusters?.find((one) => one.name === clusterName));
  const user = find('user', userName ?? '', ({ users }) => users?.find((one) => one.name === userName));
  return {
    cluster: withPaths(cluster.entry.cluster ?? {}, cluster.path, ['certificate-authority']),
    user: userOf(user.entry.user ?? {}, userName ?? '', user.path),
  };
}

function parseOne(path: string, text: string): Kubeconfig {
  let value: unknown;
  try {
    value = parse(text, { logLevel: 'error' });
  } catch {
    throw new KubeconfigFault(`${path} is not valid YAML`);
  }
  const parsed = schema.safeParse(value ?? {});
  if (!parsed.success) {
    const field = parsed.error.issues[0]?.path.map(String).join('.') ?? '';
    throw new KubeconfigFault(`${path} is no kubeconfig${field === '' ? '' : `: ${field} is not as kubectl wants it`}`);
  }
  for (const [list, entries] of Object.entries({
    clusters: parsed.data.clusters,
    users: parsed.data.users,
    contexts: parsed.data.contexts,
  })) {
    const names = (entries ?? []).map((entry) => entry.name);
    const twice = names.find((one, at) => names.indexOf(one) !== at);
    if (twice !== undefined) throw new KubeconfigFault(`${path} has two ${list} ${JSON.stringify(twice)}`);
  }
  return parsed.data;
}

/** The user as client-node understands it. Anything that would be ignored, and give other rights, is refused. */
function userOf(given: Members, name: string, path: string): Members {
  const user = withPaths(given, path, ['client-certificate', 'client-key', 'tokenFile']);
  const what = `user ${JSON.stringify(name)} in ${path}`;
  for (const member of ['as-groups', 'as-uid', 'as-user-extra'])
    if (isSet(user[member])) throw new KubeconfigFault(`${what}: ${member} is not supported`);
  const proofs = ['token', 'tokenFile', 'client-certificate', 'client-certificate-data', 'username', 'exec', 'auth-provider'];
  if (!proofs.some((member) => isSet(user[member]))) throw new KubeconfigFault(`${what} has no credentials`);
  const { token, tokenFile, exec, ...others } = user;
  // kubectl prefers the file. client-node knows another name for it, and would read it once.
  if (isSet(tokenFile)) return { ...others, 'auth-provider': { name: 'tokenFile', config: { tokenFile } } };
  return { ...others, ...(isSet(token) ? { token } : {}), ...(isSet(exec) ? { exec: execOf(exec as Members, path) } : {}) };
}

/** An exec plugin as kubectl starts it: a command with a slash is relative to its file, and the variable says what is wanted. */
function execOf(exec: Members, path: string): Members {
  const { command, apiVersion, env } = exec;
  const isPath = typeof command === 'string' && command.includes('/');
  const info = { kind: 'ExecCredential', apiVersion, spec: { interactive: false } };
  return {
    ...exec,
    ...(isPath ? { command: absolute(command, path) } : {}),
    env: [
      ...(Array.isArray(env) ? (env as readonly unknown[]) : []),
      { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) },
    ],
  };
}

function withPaths(entry: Members, path: string, fields: readonly string[]): Members {
  const resolved = fields.flatMap((field) => {
    const value = entry[field];
    return typeof value === 'string' && value !== '' ? [[field, absolute(value, path)] as const] : [];
  });
  return { ...entry, ...Object.fromEntries(resolved) };
}

function absolute(value: string, file: string): string {
  return isAbsolute(value) ? value : join(dirname(file), value);
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}
