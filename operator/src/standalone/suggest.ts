import type { ApiCatalog, ApiKey } from '../api/kinds.ts';
import type { TableModel } from './table.ts';
import { valueFiles } from './values.ts';

/** What a newcomer may try next: commands that work as they stand, on the keys that are there. */
export function suggest(model: TableModel): readonly string[] {
  const key = model.keys.find((one) => valueFiles(one, model.dataFolder).length > 0) ?? model.keys[0];
  if (key === undefined) return ['Try next: put an ApiKey into the folder; examples/quickstart shows one.'];
  const [file] = valueFiles(key, model.dataFolder);
  const manifest = manifestOf(key, model.manifestsFolder);
  const lines = ['Try next:', `  edit ${quote(manifest)}: the table follows within a second`];
  if (file !== undefined) lines.push(`  cat ${quote(file)}`);
  if (file !== undefined && model.authorizerUrl !== undefined)
    lines.push(`  ${verifyCommand(model.authorizerUrl, file, requestOf(key, model.catalogs))}`);
  lines.push(`  rm ${quote(manifest)}: a few seconds later its key is refused, and its files go`);
  return lines;
}

/** The manifest's path as the reader may type it. */
function manifestOf(key: ApiKey, manifestsFolder: string): string {
  const source = key.metadata.annotations?.['keywright.dev/manifest'] ?? '';
  const name = source.slice(source.lastIndexOf('/') + 1);
  const at = source.indexOf(`/${manifestsFolder}/`);
  return at === -1 ? (source === '' ? `${manifestsFolder}/${name}` : source) : source.slice(at + 1);
}

/** A request that the key's own catalog knows, so that the answer shows more than an unknown path. */
function requestOf(key: ApiKey, catalogs: readonly ApiCatalog[]): Readonly<Record<string, string>> {
  const spec = catalogs.find(({ metadata: { name } }) => name === key.spec.catalog)?.spec;
  const scoped = spec?.scopes?.find(({ name }) => key.spec.scopes?.includes(name))?.endpoints ?? [];
  const wanted = key.spec.endpoints?.[0] ?? scoped[0];
  const endpoint = spec?.endpoints?.find(({ name }) => name === wanted) ?? spec?.endpoints?.[0];
  return {
    host: spec?.requests?.hosts?.[0] ?? 'api.example.com',
    method: endpoint?.method ?? 'GET',
    path: endpoint?.path.replaceAll(/\{[^}]*\}/g, '1') ?? '/',
    scheme: 'https',
  };
}

/** The value goes from its file into the request: it stands in no argument and no history. */
function verifyCommand(url: string, file: string, request: Readonly<Record<string, string>>): string {
  const rest = JSON.stringify({ request }).slice(1);
  return `printf '{"key":"%s",%s' "$(cat ${quote(file)})" ${quote(rest)} | curl -s ${url}/v1/verify -d @-`;
}

/** For a shell. */
function quote(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
