import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import pg from 'pg';
import type { Kube } from './kube.ts';
import { callOpenBao, type OpenBaoHandle } from './openbao.ts';

/** Somewhere that a value could have got to: its name, and all that is there. */
export interface Place {
  readonly name: string;
  readonly content: Buffer;
}

/** A value that must not be found; `label` names it in a failure, because the value itself may not be shown. */
export interface Canary {
  readonly label: string;
  /** The whole token. */
  readonly value: string;
}

/** How a value may be written: as it is, or in an encoding that a log, a database or a header might choose. */
type Form = readonly [name: string, text: Buffer];

/** Where the canaries are, as `<place>: <label> as <form>`; nothing of a value is repeated. */
export function findCanaries(places: readonly Place[], canaries: readonly Canary[]): readonly string[] {
  return canaries.flatMap(({ label, value }) =>
    formsOf(value).flatMap(([form, text]) =>
      places.filter(({ content }) => content.includes(text)).map(({ name }) => `${name}: ${label} as ${form}`),
    ),
  );
}

/** The 32 characters that make a token secret; what stands before them is the key id, which anybody may see. */
export function secretPart(token: string): string {
  const found = /^[a-z0-9]+_[a-z0-9]+_[0-9A-Za-z]{12}_([0-9A-Za-z]{32})[0-9A-Za-z]{6}$/.exec(token)?.[1];
  if (found === undefined) throw new Error('this is no token');
  return found;
}

function formsOf(token: string): readonly Form[] {
  const secret = secretPart(token);
  // The same bytes look different in base64 at each of three alignments; the ragged ends are cut off.
  const aligned = [0, 1, 2].map((shift): Form => {
    const encoded = Buffer.from(`${'x'.repeat(shift)}${secret}`).toString('base64');
    return [`base64 (${shift})`, Buffer.from(encoded.slice(shift === 0 ? 0 : 4, -4))];
  });
  return [
    ['text', Buffer.from(secret)],
    ['text without its end', Buffer.from(secret.slice(0, 20))],
    ['UTF-16', Buffer.from(secret, 'utf16le')],
    ['hex', Buffer.from(Buffer.from(secret).toString('hex'))],
    ['bytes of a list', Buffer.from([...Buffer.from(secret.slice(0, 12))].join(','))],
    ...aligned,
  ];
}

/** Every row of every table, as text: what `pg_dump --data-only` would write, and the statements that the server remembers. */
export async function databasePlaces(url: string): Promise<readonly Place[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
    );
    const names = [...tables.rows.map(({ name }) => name), 'pg_stat_activity'];
    const places: Place[] = [];
    for (const name of names) {
      const { rows } = await client.query<{ row: string }>(`select t::text as row from ${name} t`);
      places.push(place(`table ${name}`, rows.map(({ row }) => row).join('\n')));
    }
    return places;
  } finally {
    await client.end();
  }
}

/** Every object of the cluster of every kind, with managed fields and events. Of Secrets everything but their data. */
export async function clusterPlaces(kube: Kube): Promise<readonly Place[]> {
  const { stdout } = await kube.kubectl(['api-resources', '--verbs=list', '-o', 'name']);
  const kinds = stdout
    .split('\n')
    .filter((name) => name !== '' && name !== 'secrets')
    .join(',');
  const objects = await kube.kubectl(['get', kinds, '--all-namespaces', '-o', 'yaml', '--show-managed-fields']);
  const secrets = (await kube.request('GET', '/api/v1/secrets')).body as { items: { data?: object }[] };
  const withoutData = secrets.items.map(({ data, ...rest }) => ({ ...rest, entries: Object.keys(data ?? {}) }));
  return [place('objects of the cluster', objects.stdout), place('metadata of Secrets', JSON.stringify(withoutData))];
}

/** The metadata of every path of the KV engine, custom metadata included. */
export async function vaultPlaces(openbao: OpenBaoHandle): Promise<readonly Place[]> {
  const places: Place[] = [];
  const walk = async (folder: string): Promise<void> => {
    const listed = (await callOpenBao(openbao, 'GET', `secret/metadata/${folder}?list=true`)) as
      { data: { keys: string[] } } | undefined;
    for (const name of listed?.data.keys ?? []) {
      if (name.endsWith('/')) await walk(`${folder}${name}`);
      else
        places.push(
          place(
            `metadata ${folder}${name}`,
            JSON.stringify(await callOpenBao(openbao, 'GET', `secret/metadata/${folder}${name}`)),
          ),
        );
    }
  };
  await walk('');
  return places;
}

/** The bytes of every file below a folder but what lies in `except`. */
export function filePlaces(folder: string, except: readonly string[] = []): readonly Place[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !except.some((excluded) => relative(excluded, path) === '' || !relative(excluded, path).startsWith('..')))
    .flatMap((path) => {
      try {
        return [{ name: relative(folder, path), content: readFileSync(path) }];
      } catch {
        // A server removes files of its own while we look.
        return [];
      }
    });
}

/** Text as a place. */
export function place(name: string, text: string): Place {
  return { name, content: Buffer.from(text) };
}
