import type { Clock } from '../domain/time.ts';
import type { CatalogRow, KeyRecord, Store } from '../store/port.ts';
import { Batches } from './batches.ts';

/** What a verdict asks the store for; `undefined` = not asked for. */
export interface Question {
  readonly keyId: string | undefined;
  /** A normalised host. */
  readonly host: string | undefined;
  /** The catalog that the caller names. */
  readonly catalog: string | undefined;
}

/** What the store knows. */
export interface Answer {
  readonly record: KeyRecord | undefined;
  /** The catalog that the request addresses. */
  readonly catalog: CatalogRow | undefined;
}

/**
 * Which queue a question waits in. `proven`: this process has proven this very token lately. `limited`: its source has had too
 * many refusals. `new`: everything else.
 */
export type Lane = 'proven' | 'new' | 'limited';

/** How many questions may wait in each lane; further ones are shed at once. */
export type LaneBounds = Readonly<Record<Lane, number>>;

/** The bounds of an authorizer. A question takes well under a kilobyte. */
export const defaultLaneBounds: LaneBounds = { proven: 2_000, new: 1_000, limited: 200 };

/** The minimum time between two shared look-ups of unproven keys, in milliseconds: at most 50 a second in all. */
export const defaultSpacingMs = 20;

/** What {@link StoreReads} needs. */
export interface StoreReadsInput {
  readonly store: Pick<Store, 'findByKeyIds' | 'findCatalogs'>;
  readonly clock: Clock;
  readonly bounds?: LaneBounds | undefined;
  readonly spacingMs?: number | undefined;
}

/** Three batches of two queries each leave connections of the pool (10) to everything else. */
const provenConcurrent = 3;
const batchSize = 500;

/**
 * The only way from a verdict to the store. Proven keys have their own batches. All others share one look-up at a time, so that
 * no number of unknown keys takes the store away from proven ones.
 */
export class StoreReads {
  readonly #proven: Batches<Question, Answer>;
  readonly #others: Batches<Question, Answer>;

  constructor({ store, clock, bounds = defaultLaneBounds, spacingMs = defaultSpacingMs }: StoreReadsInput) {
    const shared = { clock, size: batchSize, ask: (questions: readonly Question[]) => askStore(store, questions) };
    this.#proven = new Batches({ ...shared, concurrent: provenConcurrent, spacingMs: 0, lanes: [bounds.proven] });
    this.#others = new Batches({ ...shared, concurrent: 1, spacingMs, lanes: [bounds.new, bounds.limited] });
  }

  /** `undefined` = the lane is full. Rejects with the store's failure. */
  ask(question: Question, lane: Lane, signal: AbortSignal): Promise<Answer> | undefined {
    if (lane === 'proven') return this.#proven.ask(question, 0, signal);
    return this.#others.ask(question, lane === 'new' ? 0 : 1, signal);
  }
}

async function askStore(
  store: StoreReadsInput['store'],
  questions: readonly Question[],
): Promise<(question: Question) => Answer> {
  const keyIds = distinct(questions.map(({ keyId }) => keyId));
  // A named catalog is found by its name, any other by the host.
  const hosts = distinct(questions.map(({ host, catalog }) => (catalog === undefined ? host : undefined)));
  const names = distinct(questions.map(({ catalog }) => catalog));
  const [records, catalogs] = await Promise.all([
    keyIds.length === 0 ? new Map<string, KeyRecord>() : store.findByKeyIds(keyIds),
    hosts.length + names.length === 0 ? [] : store.findCatalogs({ hosts, names }),
  ]);
  return ({ keyId, host, catalog }) => ({
    record: keyId === undefined ? undefined : records.get(keyId),
    catalog: host === undefined ? undefined : findAddressed(catalogs, host, catalog),
  });
}

/** The catalog that the request names, if the host is one of its hosts; without a name, the oldest catalog that has the host. */
function findAddressed(catalogs: readonly CatalogRow[], host: string, named: string | undefined): CatalogRow | undefined {
  return catalogs.find((row) => (named === undefined || row.name === named) && row.model.requests.hosts.includes(host));
}

function distinct(values: readonly (string | undefined)[]): readonly string[] {
  return [...new Set(values.filter((value) => value !== undefined))];
}
