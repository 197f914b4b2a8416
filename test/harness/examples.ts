import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { parse } from 'yaml';
import * as z from 'zod';

/** The examples with a table of requests and answers. */
export const exampleNames = ['marketing-types', 'personal-keys', 'management-keys', 'channel-scopes'] as const;

const folder = join(import.meta.dirname, '..', '..', 'examples');

const rowSchema = z.strictObject({
  /** The requirement that the row shows. */
  id: z.string().regex(/^S[0-9]-[0-9]+$/),
  /** The name of the ApiKey; left out = no key. Its value is delivered to the Secret of that name. */
  key: z.string().optional(),
  /** Method and path. */
  request: z.string().regex(/^[A-Z]+ \//),
  scheme: z.string().default('https'),
  host: z.string().optional(),
  customer: z.string().optional(),
  targetChannels: z.array(z.string()).optional(),
  attributes: z.array(z.string()).optional(),
  answer: z.looseObject({ allowed: z.boolean() }),
});

/** One row of an example's table. */
export type ExampleRow = z.output<typeof rowSchema>;

/** The folder of manifests of an example. */
export function manifestsOf(name: string): string {
  return join(folder, name, 'manifests');
}

/** The table of an example; every row has its host. */
export function rowsOf(name: string): readonly (ExampleRow & { readonly host: string })[] {
  const text = readFileSync(join(folder, name, 'requests.yaml'), 'utf8');
  const table = z.strictObject({ host: z.string(), requests: z.array(rowSchema).min(1) }).parse(parse(text));
  return table.requests.map((row) => ({ ...row, host: row.host ?? table.host }));
}

/** A row in a few words, for messages. */
export function describeRow({ id, key = 'no key', request: what, answer, ...more }: ExampleRow): string {
  const given = { ...more, host: undefined, scheme: undefined };
  return `[${id}] ${key}: ${what} ${JSON.stringify(given)} → ${JSON.stringify(answer)}`;
}

/** Asks a verify API as a row says. */
export async function ask(url: string, row: ExampleRow & { readonly host: string }, value: string | undefined): Promise<unknown> {
  const { host, scheme, customer, targetChannels, attributes } = row;
  const [method, path] = row.request.split(' ');
  const body = {
    ...(value === undefined ? {} : { key: value }),
    request: { host, scheme, method, path, customer, targetChannels, attributes },
  };
  const answer = await request(`${url}/v1/verify`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  return answer.body.json();
}
