import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../../operator/src/domain/time.ts';
import { waiting } from '../../../operator/src/domain/failure.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import type { Mark } from '../../../operator/src/domain/version.ts';
import { refuseForeign } from '../../../operator/src/destinations/condition.ts';
import { parseSegments } from '../../../operator/src/destinations/location.ts';
import type {
  DeliveredRecord,
  DeliveredValue,
  Destination,
  Destinations,
  Reading,
  WriteOutcome,
} from '../../../operator/src/destinations/port.ts';
import { foundValue, revealEntries } from '../../../operator/src/destinations/record.ts';

/** The calls of the port. */
export type Operation = 'readMark' | 'readValue' | 'write' | 'promote' | 'withdraw' | 'probe';

/**
 * A moment at which something may go wrong. `before`: nothing was done. `announced` (write only): the mark is there,
 * the value not yet. `after`: the effect is there, the caller has not heard of it.
 */
export interface Step {
  readonly operation: Operation;
  readonly phase: 'before' | 'announced' | 'after';
  readonly path: string;
}

interface Slot {
  readonly version: number;
  readonly entries: Readonly<Record<string, string>> | undefined;
  readonly mark: Mark | undefined;
  /** The version that the mark speaks of. */
  readonly announces: number;
  /** Changes with every change of anything in the slot. */
  readonly revision: number;
  /** Written, and not yet what readers get. */
  readonly staged?: Staged | undefined;
}

interface Staged {
  readonly version: number;
  readonly entries: Readonly<Record<string, string>>;
  readonly mark: Mark;
}

/** How a {@link FakeDestination} behaves. */
export interface FakeDestinationOptions {
  /**
   * As AWS does: a write over something is only staged, whatever was observed, until a promotion on the condition that
   * readers still get what was observed; mark and value come in one step; the same content again is no new version.
   */
  readonly stages?: boolean;
}

/**
 * A destination in memory that behaves as Vault does: versions, a mark that announces the version it speaks of, and
 * conditional writes; or as AWS does, with stages. What a test may do besides the port: stop it ({@link failNext}, {@link onStep}), look
 * ({@link value}), and tamper as people do.
 */
export class FakeDestination implements Destination {
  /** Calls so far, by operation: a resync without a change makes no writes. */
  readonly calls: Record<Operation, number> = { readMark: 0, readValue: 0, write: 0, promote: 0, withdraw: 0, probe: 0 };
  /** Called at every step; whatever it throws is what the caller gets. */
  onStep: ((step: Step) => void) | undefined;
  closed = false;
  readonly #slots = new Map<string, Slot>();
  /** What somebody deleted: what comes after it has another version, as a Secret that is created again has another uid. */
  readonly #last = new Map<string, Slot>();
  readonly #stages: boolean;
  #revision = 0;
  #hanging: { readonly operations: readonly Operation[] | undefined; readonly released: Promise<void> } | undefined;
  #release: () => void = () => {};
  #cutOff: (error: Error) => void = () => {};
  #pending = 0;
  #slow: { readonly clock: Clock; readonly ms: number } | undefined;
  #failing: { readonly error: Error; readonly operations: readonly Operation[] | undefined; left: number } | undefined;

  constructor(options: FakeDestinationOptions = {}) {
    this.#stages = options.stages === true;
  }

  async readMark(location: Location): Promise<Reading> {
    await this.#wait('readMark');
    this.#begin('readMark', location);
    return this.#reading(location.path);
  }

  async readValue(location: Location): Promise<DeliveredValue | undefined> {
    await this.#wait('readValue');
    this.#begin('readValue', location);
    const slot = this.#slots.get(location.path);
    const entries = slot?.staged?.entries ?? slot?.entries;
    if (entries === undefined) return undefined;
    return foundValue(entries, this.#reading(location.path));
  }

  async write(
    location: Location,
    record: DeliveredRecord,
    mark: Mark,
    observed: Reading,
    _attemptId: string,
  ): Promise<WriteOutcome> {
    refuseForeign(observed);
    await this.#wait('write');
    this.#begin('write', location);
    const { path } = location;
    if (this.#stages) return this.#stage(path, revealEntries(record), mark, observed);
    if (this.#reading(path).revision !== observed.revision) return { kind: 'lost' };
    const before = this.#slots.get(path);
    const version = (before ?? this.#last.get(path) ?? { version: 0 }).version + 1;
    this.#put(path, { version: version - 1, entries: before?.entries, mark, announces: version });
    this.#step('write', 'announced', path);
    this.#put(path, { version, entries: revealEntries(record), mark, announces: version });
    this.#step('write', 'after', path);
    return { kind: 'written', providerVersion: String(version), reading: this.#reading(path) };
  }

  async promote(location: Location, mark: Mark, observed: Reading): Promise<WriteOutcome> {
    await this.#wait('promote');
    this.#begin('promote', location);
    if (this.#stages) return this.#publish(location.path, mark, observed);
    const reading = this.#reading(location.path);
    if (reading.kind !== 'marked' || reading.revision !== observed.revision) return { kind: 'lost' };
    return { kind: 'written', providerVersion: reading.providerVersion, reading };
  }

  async withdraw(location: Location, observed: Reading): Promise<'withdrawn' | 'lost'> {
    refuseForeign(observed);
    await this.#wait('withdraw');
    this.#begin('withdraw', location);
    const now = this.#reading(location.path);
    if (now.kind === 'absent') return 'withdrawn';
    if (now.revision !== observed.revision) return 'lost';
    this.#slots.delete(location.path);
    this.#step('withdraw', 'after', location.path);
    return 'withdrawn';
  }

  async probe(): Promise<void> {
    await this.#wait('probe');
    this.#begin('probe', undefined);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  /** The next `count` calls (of these operations, if given) fail before any effect. */
  failNext(options: { readonly count?: number; readonly operations?: readonly Operation[]; readonly error?: Error } = {}): void {
    const error = options.error ?? waiting('DestinationUnavailable', 'the destination does not answer');
    this.#failing = { error, operations: options.operations, left: options.count ?? 1 };
  }

  /**
   * Calls (of these operations, if given) are taken and not answered, until {@link heal}: then they are carried out, late, as a
   * server does that was only slow.
   */
  hang(operations?: readonly Operation[]): void {
    this.#release();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined);
    this.#hanging = { operations, released: promise };
    this.#release = resolve;
    this.#cutOff = reject;
  }

  /** Who called is gone: the calls that hang come to nothing. Later ones hang as before. */
  abandon(): void {
    this.#cutOff(waiting('DestinationUnavailable', 'the connection was lost'));
    if (this.#hanging !== undefined) this.hang(this.#hanging.operations);
  }

  /** Calls that are not answered yet. */
  get pending(): number {
    return this.#pending;
  }

  /** Every call takes so long by the clock; 0 = none. */
  slowDown(clock: Clock, ms: number): void {
    this.#slow = ms === 0 ? undefined : { clock, ms };
  }

  /** Answers again. */
  heal(): void {
    this.#failing = undefined;
    this.#hanging = undefined;
    this.#slow = undefined;
    this.#release();
    this.onStep = undefined;
  }

  /** Whether something is written at a place that readers do not get yet. */
  isStaged(path: string): boolean {
    return this.#slots.get(path)?.staged !== undefined;
  }

  /** What a workload reads as its key; `undefined` when there is none. */
  value(path: string): string | undefined {
    return this.#slots.get(path)?.entries?.['api-key'];
  }

  /** All entries at a place, as texts. */
  entries(path: string): Readonly<Record<string, string>> | undefined {
    return this.#slots.get(path)?.entries;
  }

  /** The mark at a place, whether it carries or not. */
  mark(path: string): Mark | undefined {
    return this.#slots.get(path)?.mark;
  }

  /** All places that hold anything. */
  paths(): readonly string[] {
    return [...this.#slots.keys()];
  }

  /** Somebody deletes value and mark. */
  lose(path: string): void {
    const slot = this.#slots.get(path);
    if (slot !== undefined) this.#last.set(path, slot);
    this.#slots.delete(path);
  }

  /** Somebody deletes the value; the mark stays and does not carry any more. */
  loseValue(path: string): void {
    const slot = this.#required(path);
    this.#put(path, { ...slot, entries: undefined });
  }

  /** Somebody changes the value in place: the mark still claims to carry (as with a Secret that was edited). */
  changeValue(path: string, apiKey: string): void {
    const slot = this.#required(path);
    this.#put(path, { ...slot, entries: { ...slot.entries, 'api-key': apiKey } });
  }

  /** Somebody changes entries in place, or takes out those that are `undefined`; the mark still claims to carry. */
  alter(path: string, change: Readonly<Record<string, string | undefined>>): void {
    const slot = this.#required(path);
    const entries = Object.entries({ ...slot.entries, ...change }).flatMap(([name, text]) =>
      text === undefined ? [] : [[name, text]],
    );
    this.#put(path, { ...slot, entries: Object.fromEntries(entries) as Readonly<Record<string, string>> });
  }

  /** A stranger writes other entries over ours in a new version: the mark stays, and no longer speaks of the value. */
  edit(path: string, change: (found: Readonly<Record<string, string>>) => Readonly<Record<string, string>>): void {
    const slot = this.#required(path);
    this.#put(path, { ...slot, version: slot.version + 1, entries: change(slot.entries ?? {}) });
  }

  /** A stranger writes a new version over ours: the mark stays, and no longer speaks of the value. */
  overwrite(path: string, apiKey: string): void {
    const slot = this.#required(path);
    this.#put(path, { ...slot, version: slot.version + 1, entries: { 'api-key': apiKey } });
  }

  /** A value of somebody else, without our mark. */
  putForeign(path: string, entries: Readonly<Record<string, string>> = { password: 'not ours' }): void {
    this.#put(path, { version: 1, entries, mark: undefined, announces: 0 });
  }

  /** Changes the mark over an untouched value: another installation's, an older uid, an old leader's announcement. */
  changeMark(path: string, change: Partial<Mark>): void {
    const slot = this.#required(path);
    if (slot.mark === undefined) throw new Error(`no mark at ${path}`);
    this.#put(path, { ...slot, mark: { ...slot.mark, ...change } });
  }

  /** A write over something is only staged; over nothing it is there at once. */
  #stage(path: string, entries: Staged['entries'], mark: Mark, observed: Reading): WriteOutcome {
    const slot = this.#slots.get(path);
    if ((slot === undefined) !== (observed.kind === 'absent')) return { kind: 'lost' };
    if (slot === undefined) {
      const version = (this.#last.get(path)?.version ?? 0) + 1;
      this.#put(path, { version, entries, mark, announces: version });
    } else if (slot.mark === undefined) return { kind: 'lost' };
    else if (isSame(slot, entries, mark)) this.#put(path, { ...slot, mark, staged: undefined });
    else {
      // The same content again is no new version. Whose the place is, is said anew only when something else was observed.
      const version = Math.max(slot.version, slot.staged?.version ?? 0) + 1;
      const staged = isSame(slot.staged, entries, mark) ? slot.staged : { version, entries, mark };
      const isOwned = observed.kind === 'marked' && isDeepStrictEqual(ownerIn(observed.mark), ownerIn(mark));
      this.#put(path, { ...slot, mark: isOwned ? slot.mark : { ...slot.mark, ...ownerIn(mark) }, staged });
    }
    this.#step('write', 'after', path);
    const reading = this.#reading(path);
    // The promotion depends on what readers had when the write was planned, and not when it was made.
    const revision =
      slot === undefined ? reading.revision : `${currentOf(observed.revision)}/${reading.revision.split('/')[1] ?? ''}`;
    const providerVersion = 'providerVersion' in reading ? reading.providerVersion : '';
    return { kind: 'written', providerVersion, reading: { ...reading, revision } };
  }

  /** What is staged becomes what readers get, if they still get what was observed. */
  #publish(path: string, mark: Mark, observed: Reading): WriteOutcome {
    const slot = this.#slots.get(path);
    if (slot === undefined) return { kind: 'lost' };
    const { staged } = slot;
    if (isSame(staged, staged?.entries, mark)) {
      if (staged === undefined) return { kind: 'lost' };
      if (currentOf(observed.revision) !== slot.version) {
        // Another leader was quicker: what we staged is taken down.
        this.#put(path, { ...slot, staged: undefined });
        return { kind: 'lost' };
      }
      this.#put(path, { ...staged, announces: staged.version });
      this.#step('promote', 'after', path);
    } else if (!isSame(slot, slot.entries, mark)) return { kind: 'lost' };
    const reading = this.#reading(path);
    return { kind: 'written', providerVersion: 'providerVersion' in reading ? reading.providerVersion : '', reading };
  }

  async #wait(operation: Operation): Promise<void> {
    const hanging = this.#hanging;
    const slow = this.#slow;
    this.#pending += 1;
    try {
      if (hanging !== undefined && (hanging.operations?.includes(operation) ?? true)) await hanging.released;
      if (slow !== undefined) await slow.clock.sleep(slow.ms);
    } finally {
      this.#pending -= 1;
    }
  }

  #begin(operation: Operation, location: Location | undefined): void {
    if (location !== undefined) parseSegments(location.path);
    this.calls[operation] += 1;
    const failing = this.#failing;
    if (failing !== undefined && failing.left > 0 && (failing.operations?.includes(operation) ?? true)) {
      failing.left -= 1;
      throw failing.error;
    }
    this.#step(operation, 'before', location?.path ?? '');
  }

  #step(operation: Operation, phase: Step['phase'], path: string): void {
    this.onStep?.({ operation, phase, path });
  }

  #reading(path: string): Reading {
    const slot = this.#slots.get(path);
    if (slot === undefined) return { kind: 'absent', revision: 'absent' };
    const revision = this.#stages ? `${slot.version}/${slot.revision}` : String(slot.revision);
    if (slot.mark === undefined) return { kind: 'unmarked', revision };
    const { staged } = slot;
    if (staged !== undefined) {
      const providerVersion = String(staged.version);
      const mark = { ...staged.mark, ...ownerIn(slot.mark) };
      return { kind: 'marked', mark, carries: true, staged: true, providerVersion, revision };
    }
    const carries = slot.entries !== undefined && slot.announces === slot.version;
    return { kind: 'marked', mark: slot.mark, carries, providerVersion: String(slot.version), revision };
  }

  #put(path: string, slot: Omit<Slot, 'revision'>): void {
    this.#revision += 1;
    this.#slots.set(path, { ...slot, revision: this.#revision });
  }

  #required(path: string): Slot {
    const slot = this.#slots.get(path);
    if (slot === undefined) throw new Error(`nothing at ${path}`);
    return slot;
  }
}

/** The part of a mark that there is once for a place, whatever is staged there: AWS keeps it in tags of the secret. */
function ownerIn({ installationId, namespace, name, uid }: Mark): Pick<Mark, 'installationId' | 'namespace' | 'name' | 'uid'> {
  return { installationId, namespace, name, uid };
}

/** The same key in the same envelope: what one ClientRequestToken stands for. */
function isSame(standing: Slot | Staged | undefined, entries: Slot['entries'], mark: Mark): boolean {
  if (standing?.mark === undefined || entries === undefined) return false;
  const sameMark =
    standing.mark.keyId === mark.keyId && standing.mark.envelope === mark.envelope && standing.mark.uid === mark.uid;
  return sameMark && JSON.stringify(standing.entries) === JSON.stringify(entries);
}

/** The version that readers got when a reading was made. */
function currentOf(revision: string): number {
  return Number(revision.split('/')[0]);
}

/** Destinations by uid; an unknown uid is DestinationNotFound, as with the real ones. */
export class FakeDestinations implements Destinations {
  readonly #find: (uid: string) => FakeDestination | undefined;
  readonly #opened = new Set<FakeDestination>();

  constructor(find: (uid: string) => FakeDestination | undefined) {
    this.#find = find;
  }

  async open(destinationUid: string): Promise<Destination> {
    const found = this.#find(destinationUid);
    if (found === undefined) throw waiting('DestinationNotFound', 'there is no such destination');
    this.#opened.add(found);
    return found;
  }

  async close(): Promise<void> {
    for (const destination of this.#opened) await destination.close();
  }
}
