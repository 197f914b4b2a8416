import type { ApiCatalog, ApiKey } from '../api/kinds.ts';
import { printable } from '../domain/text.ts';
import { parseInstant } from '../domain/time.ts';
import type { Instant } from '../domain/time.ts';
import type { Fault } from '../resources/files/declared.ts';
import { suggest } from './suggest.ts';
import { valueFiles } from './values.ts';

/** Everything that the table shows. Paths are as the reader may type them. */
export interface TableModel {
  readonly keys: readonly ApiKey[];
  readonly catalogs: readonly ApiCatalog[];
  readonly faults: readonly Fault[];
  readonly now: Instant;
  readonly manifestsFolder: string;
  readonly dataFolder: string;
  /** Where the authorizer answers, as `http://127.0.0.1:8080`; absent: it does not run. */
  readonly authorizerUrl?: string;
}

/** One key as a line. */
interface Row {
  readonly name: string;
  readonly ready: string;
  readonly reason: string;
  readonly owner: string;
  readonly key: string;
  readonly expires: string;
  /** Only how far off the end is. */
  readonly left: string;
}

const headings: Row = {
  name: 'NAME',
  ready: 'READY',
  reason: 'REASON',
  owner: 'OWNER',
  key: 'KEY',
  expires: 'EXPIRES',
  left: 'EXPIRES',
};

/** From the widest on: what a narrow window can do without goes first. */
const layouts: readonly (readonly (keyof Row)[])[] = [
  ['name', 'ready', 'reason', 'owner', 'key', 'expires'],
  ['name', 'ready', 'reason', 'owner', 'key', 'left'],
  ['name', 'ready', 'reason', 'key', 'left'],
  ['name', 'ready', 'key', 'left'],
  ['name', 'ready', 'left'],
];

/** How many keys the table shows; the rest is counted. It is drawn four times a second by the thread that answers verdicts. */
const keysShown = 500;

/** Whether a key is Ready for what its manifest says now: what `--once` answers for. */
export function isReady(key: ApiKey): boolean {
  const ready = readyOf(key);
  return ready?.status === 'True' && isCurrent(key) && key.metadata.deletionTimestamp === undefined;
}

/**
 * The whole picture: keys, where their values lie, faults, what to try next. The table takes as few of its columns as
 * `width` asks for; other lines are not cut: some are there to be copied.
 */
export function renderTable(model: TableModel, width = Infinity): readonly string[] {
  const shown = model.keys.slice(0, keysShown);
  const rest = model.keys.length - shown.length;
  const rows = shown.map((key) => rowOf(key, model.now));
  const table = align([headings, ...rows], width);
  const lines = [table[0] ?? ''];
  for (const [at, key] of shown.entries()) lines.push(table[at + 1] ?? '', ...detailsOf(key, model.dataFolder));
  if (rest > 0) lines.push(`… ${rest.toLocaleString('en-US')} more keys`);
  if (model.keys.length === 0) lines.push(`no ApiKey in ${model.manifestsFolder} yet`);
  if (model.faults.length > 0) lines.push('', ...model.faults.map(formatFault));
  if (model.authorizerUrl !== undefined) lines.push('', standingOf(model.authorizerUrl, model.dataFolder));
  lines.push('', ...suggest(model));
  return lines.map(printable);
}

function standingOf(authorizerUrl: string, dataFolder: string): string {
  return `${authorizerUrl}/v1/verify answers. Ctrl-C stops; what was made stays in ${dataFolder}, the log too.`;
}

/** What is new since `before`, one line each: for logs and pipes, where nothing can be drawn over. */
export function renderChanges(before: TableModel | undefined, after: TableModel): readonly string[] {
  const old = new Map((before?.keys ?? []).map((key) => [nameOf(key), key]));
  const lines: string[] = [];
  if (before?.authorizerUrl !== after.authorizerUrl && after.authorizerUrl !== undefined)
    lines.push(standingOf(after.authorizerUrl, after.dataFolder));
  for (const key of after.keys) {
    const known = old.get(nameOf(key));
    old.delete(nameOf(key));
    // The same object has the same lines: of thousands of keys, only those that changed cost anything.
    if (known === key) continue;
    const now = linesOf(key, after);
    if (known === undefined || linesOf(known, after).join('\n') !== now.join('\n')) lines.push(...now);
  }
  for (const name of old.keys()) lines.push(`${name}  gone`);
  if (before === undefined && after.keys.length === 0) lines.push(`no ApiKey in ${after.manifestsFolder} yet`);
  const oldFaults = new Set((before?.faults ?? []).map(formatFault));
  const faults = new Set(after.faults.map(formatFault));
  for (const fault of faults) if (!oldFaults.has(fault)) lines.push(fault);
  for (const fault of oldFaults) if (!faults.has(fault)) lines.push(`settled: ${fault}`);
  return lines.map(printable);
}

function linesOf(key: ApiKey, { now, dataFolder }: TableModel): readonly string[] {
  const row = rowOf(key, now);
  const { name, ready, reason, owner, key: display } = row;
  return [
    `${name}  READY=${ready}  ${reason}  owner=${owner}  key=${display}  expires=${row.expires}`,
    ...detailsOf(key, dataFolder),
  ];
}

function rowOf(key: ApiKey, now: Instant): Row {
  const condition = readyOf(key);
  const leaving = key.metadata.deletionTimestamp !== undefined;
  return {
    name: nameOf(key),
    ready: leaving ? 'False' : isCurrent(key) ? (condition?.status ?? 'Unknown') : 'Unknown',
    reason: leaving ? 'being deleted' : isCurrent(key) ? (condition?.reason ?? 'Pending') : 'changed, being looked at',
    owner: key.spec.owner,
    key: key.status?.currentKey?.display ?? '-',
    ...expiryOf(key, now),
  };
}

/** Below a key: where its value lies, and what keeps it from being Ready. */
function detailsOf(key: ApiKey, dataFolder: string): readonly string[] {
  const condition = readyOf(key);
  const files = valueFiles(key, dataFolder);
  const secretTargets = new Set(key.spec.deliverTo.flatMap(({ name, secret }) => (secret === undefined ? [] : [name])));
  const elsewhere = (key.status?.destinations ?? []).filter(({ name, keyId }) => !secretTargets.has(name) && keyId !== undefined);
  const failing = (key.status?.destinations ?? []).filter(({ reason }) => reason !== undefined);
  return [
    ...files.map((file) => `  value in ${file}`),
    ...elsewhere.map(({ name, location }) => `  value in ${name}: ${location}`),
    ...failing.map(({ name, location, reason }) => `  ${name} (${location}): ${reason ?? ''}`),
    ...(condition === undefined || condition.status === 'True' || condition.message === '' ? [] : [`  ${condition.message}`]),
  ];
}

function readyOf(key: ApiKey) {
  return key.status?.conditions.find(({ type }) => type === 'Ready');
}

/** Whether the status speaks of the manifest as it is now. */
function isCurrent(key: ApiKey): boolean {
  const condition = readyOf(key);
  return condition === undefined || (condition.observedGeneration ?? 0) >= (key.metadata.generation ?? 0);
}

function nameOf({ metadata: { namespace = 'default', name } }: ApiKey): string {
  return `${namespace}/${name}`;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** The day and how far off it is; and the latter alone. */
function expiryOf(key: ApiKey, now: Instant): Pick<Row, 'expires' | 'left'> {
  const alone = (text: string) => ({ expires: text, left: text });
  const current = key.status?.currentKey;
  if (current === undefined) return alone('-');
  if (current.expiresAt === undefined) return alone('never');
  const at = parseInstant(current.expiresAt);
  if (at === undefined) return alone(current.expiresAt);
  const remainingMs = at - now;
  // A key of 90 days has 90 days when it was just made, although its end was rounded up to a whole second.
  const left = remainingMs <= 0 ? 'over' : `in ${remaining(remainingMs)}`;
  return { expires: `${current.expiresAt.slice(0, 10)} (${left})`, left };
}

function remaining(ms: number): string {
  if (ms > 48 * hourMs) return `${Math.round(ms / (24 * hourMs))} d`;
  if (ms >= hourMs) return `${Math.floor(ms / hourMs)} h`;
  return ms >= minuteMs ? `${Math.floor(ms / minuteMs)} min` : `${Math.floor(ms / 1_000)} s`;
}

function formatFault({ file, line, message, level }: Fault): string {
  return `${level === 'error' ? '!' : '-'} ${file}${line === undefined ? '' : `:${line}`} ${message}`;
}

function align(rows: readonly Row[], width: number): readonly string[] {
  const columns = Object.keys(headings) as readonly (keyof Row)[];
  const widths = new Map(columns.map((column) => [column, Math.max(...rows.map((row) => row[column].length))]));
  const widthOf = (column: keyof Row): number => widths.get(column) ?? 0;
  const total = (chosen: readonly (keyof Row)[]): number => chosen.reduce((sum, column) => sum + widthOf(column) + 2, -2);
  const layout = layouts.find((chosen) => total(chosen) <= width) ?? layouts.at(-1) ?? [];
  return rows.map((row) =>
    layout
      .map((column) => row[column].padEnd(widthOf(column)))
      .join('  ')
      .trimEnd(),
  );
}
