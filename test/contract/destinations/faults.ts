import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Destination, Reading } from '../../../operator/src/destinations/port.ts';
import { Failure, type FailureKind } from '../../../operator/src/domain/failure.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { put, version, write, written, type KeyRef, type Version } from './version.ts';

/** What goes wrong with a provider, as a title says it. */
export const faultTitles = {
  refused: 'is not there',
  silent: 'takes a call and never answers',
  slow: 'answers without an end',
  reset: 'hangs up',
  truncated: 'hangs up half way through its answer',
  garbage: 'answers with something that is no answer',
  otherJson: 'answers in another shape',
  huge: 'answers with more than anybody reads',
  redirect: 'sends us elsewhere',
  failed: 'fails',
  throttled: 'limits our rate',
  denied: 'denies us the right',
  expired: 'does not know our login any more',
  full: 'has no room left',
} as const;

/** A name of one of {@link faultTitles}. */
export type FaultName = keyof typeof faultTitles;

/** What a destination says of a fault. */
export interface Said {
  /** Default `waiting` or `transient`: something that passes. */
  readonly kind?: FailureKind;
  readonly message: RegExp;
  /** The least delay that the failure asks for, in milliseconds. */
  readonly retryAfterMs?: number;
  /** The calls of the port that fail. Default those of {@link FaultTable.calls}; half an answer is for reads alone. */
  readonly calls?: readonly PortCall[];
}

/** The rows of a {@link FaultTable} for all that does not come from the provider itself: one sentence, for each of them. */
export function strangersSay(said: Said) {
  const names = ['refused', 'silent', 'slow', 'reset', 'truncated', 'garbage', 'otherJson', 'huge', 'redirect'] as const;
  return Object.fromEntries(names.map((name) => [name, said])) as Readonly<Record<(typeof names)[number], Said>>;
}

/** The calls of the port that may fail; `create` and `replace` are both `write`. */
export type PortCall = 'readMark' | 'readValue' | 'create' | 'replace' | 'promote' | 'withdraw' | 'probe';

/** What a destination can show. A sentence in a fault's place says why it cannot be shown; none may be left out. */
export interface FaultTable {
  readonly calls: readonly PortCall[];
  readonly faults: Readonly<Record<FaultName, Said | string>>;
  /** A value of so many bytes, and what is said of it. */
  readonly oversized: (Said & { readonly bytes: number }) | string;
  /** Whether an effect can happen without its answer. */
  readonly lostAnswers: true | string;
}

/** A destination whose provider can be broken. */
export interface Breakable {
  /** Its calls have a deadline of {@link Breakable.timeoutMs}. */
  readonly destination: Destination;
  /** Short, and far below the destination's own default, so that a deadline that is not kept shows. */
  readonly timeoutMs: number;
  readonly owner: KeyRef;
  /** A location that was never used. */
  fresh(): Location;
  /** From now on every call fails in this way. `lostAnswers`: what changes something is done, and its answer lost. */
  break(fault: FaultName | 'lostAnswers'): Promise<void>;
  heal(): Promise<void>;
  /** Calls that the provider has got so far; `undefined` where nobody can count them. */
  calls(): number | undefined;
  /** The most calls to the provider that one call of the port makes, its own tries included. */
  readonly mostCalls: number;
  /** What no failure may say: the login, the address, what the provider's error texts hold. */
  readonly hidden: readonly string[];
  close(): Promise<void>;
}

interface Prepared {
  readonly call: PortCall;
  readonly run: () => Promise<unknown>;
  /** What the same call comes to once all is well. */
  readonly expected: unknown;
}

const allCalls: readonly PortCall[] = ['readMark', 'readValue', 'create', 'replace', 'promote', 'withdraw', 'probe'];
const reads: readonly PortCall[] = ['readMark', 'readValue'];
/** Of the whole fault, all calls of the port at once; below the default deadline of any provider. */
const settlesWithinMs = 9_000;

/** What every destination keeps to while its provider misbehaves, and afterwards. */
export function destinationFaults(name: string, table: FaultTable, open: () => Promise<Breakable>): void {
  describe(`${name}, broken`, () => {
    let subject: Breakable;
    beforeAll(async () => {
      subject = await open();
    });
    afterEach(() => subject.heal());
    afterAll(() => subject.close());

    const shown = Object.entries(table.faults).flatMap(([fault, said]) =>
      typeof said === 'string' ? [] : [{ fault: fault as FaultName, title: faultTitles[fault as FaultName], said }],
    );

    it.each(shown)('says in our words, in time and after few calls, that the provider $title', async ({ fault, said }) => {
      // What a write came to when its answer is cut off, `lostAnswers` shows.
      const calls = said.calls ?? (fault === 'truncated' ? reads : table.calls);
      const prepared = (await prepare(subject)).filter((one) => calls.includes(one.call));
      await subject.break(fault);
      const before = subject.calls() ?? 0;
      const failures = await inTime(prepared.map((one) => failureOf(one)));
      const made = (subject.calls() ?? 0) - before;
      for (const [index, failure] of failures.entries()) expectSaid(failure, said, prepared[index]?.call, subject);
      expect(made).toBeLessThanOrEqual(prepared.length * subject.mostCalls);
      await subject.heal();
      for (const one of prepared) expect({ [one.call]: await one.run() }).toMatchObject({ [one.call]: one.expected });
    });

    const { lostAnswers, oversized } = table;
    if (lostAnswers === true)
      it('finds again what was done when the answer was lost', async () => {
        const { destination } = subject;
        const location = subject.fresh();
        const first = version(subject.owner, 1);
        const absent = await destination.readMark(location);
        await subject.break('lostAnswers');
        await expectUnconfirmed(put(destination, location, absent, first), subject);
        await subject.heal();
        const found = await destination.readMark(location);
        // What is there is ours or nothing: then the same write is made again.
        if (found.kind === 'absent' || (found.kind === 'marked' && !found.carries))
          written(await put(destination, location, found, first));
        const whole = await destination.readMark(location);
        expect(whole).toMatchObject({ kind: 'marked', mark: first.mark, carries: true });
        expect((await destination.readValue(location))?.apiKey?.reveal()).toBe(first.token);
        await subject.break('lostAnswers');
        await expectUnconfirmed(destination.withdraw(location, whole), subject);
        await subject.heal();
        expect(await destination.withdraw(location, await destination.readMark(location))).toBe('withdrawn');
        expect((await destination.readMark(location)).kind).toBe('absent');
      });

    if (typeof oversized !== 'string') {
      it('says that a value is too large, and leaves the place as it was', async () => {
        const { destination, owner } = subject;
        const location = subject.fresh();
        const small = version(owner, 1);
        const reading = written(await put(destination, location, await destination.readMark(location), small));
        const large = version(owner, 2, {}, oversized.bytes);
        const failure = await failureOf({ call: 'replace', run: () => put(destination, location, reading, large) });
        expectSaid(failure, oversized, 'replace', subject);
        const after = await destination.readMark(location);
        expect((await destination.readValue(location))?.apiKey?.reveal()).toBe(small.token);
        written(await put(destination, location, after, version(owner, 3)));
      });
    }
  });
}

/** One call of each kind, on a place of its own, planned while all is well. */
async function prepare(subject: Breakable): Promise<readonly Prepared[]> {
  const { destination, owner } = subject;
  const [first, second] = [version(owner, 1), version(owner, 2)];
  const delivered = async (): Promise<{ location: Location; reading: Reading }> => {
    const location = subject.fresh();
    return { location, reading: written(await put(destination, location, await destination.readMark(location), first)) };
  };
  const [read, replaced, withdrawn, promoted, created] = [
    await delivered(),
    await delivered(),
    await delivered(),
    await delivered(),
    subject.fresh(),
  ];
  const absent = await destination.readMark(created);
  const staged = written(await write(destination, promoted.location, promoted.reading, second));
  const made = (one: Version) => ({ kind: 'written', reading: { kind: 'marked', mark: one.mark } });
  const all: Readonly<Record<PortCall, Omit<Prepared, 'call'>>> = {
    readMark: {
      run: () => destination.readMark(read.location),
      expected: { kind: 'marked', mark: first.mark, carries: true },
    },
    readValue: {
      run: async () => (await destination.readValue(read.location))?.apiKey?.reveal(),
      expected: first.token,
    },
    create: { run: () => write(destination, created, absent, first), expected: made(first) },
    replace: { run: () => write(destination, replaced.location, replaced.reading, second), expected: made(second) },
    promote: { run: () => destination.promote(promoted.location, second.mark, staged), expected: made(second) },
    withdraw: { run: () => destination.withdraw(withdrawn.location, withdrawn.reading), expected: 'withdrawn' },
    probe: { run: () => destination.probe(), expected: undefined },
  };
  return allCalls.map((call) => ({ call, ...all[call] }));
}

/** What a call throws; a call that comes to something is an error here. */
async function failureOf({ call, run }: Pick<Prepared, 'call' | 'run'>): Promise<unknown> {
  let outcome: unknown;
  try {
    outcome = await run();
  } catch (error) {
    return error;
  }
  throw new Error(`${call} did not fail: ${inspect(outcome)}`);
}

async function inTime<T>(work: readonly Promise<T>[]): Promise<readonly T[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('the deadline of a call was not kept')), settlesWithinMs);
  });
  try {
    return await Promise.race([Promise.all(work), late]);
  } finally {
    clearTimeout(timer);
  }
}

function expectSaid(failure: unknown, said: Said, call: PortCall | undefined, subject: Breakable): void {
  expect(failure, String(call)).toBeInstanceOf(Failure);
  const { kind, reason, message, retryAfterMs } = failure as Failure;
  const told = `${call}: ${kind} ${reason}: ${message}`;
  expect(told).toContain(' DestinationUnavailable: ');
  expect(said.kind === undefined ? ['waiting', 'transient'] : [said.kind], told).toContain(kind);
  expect(told).toMatch(said.message);
  if (said.retryAfterMs !== undefined) expect(retryAfterMs ?? 0, String(call)).toBeGreaterThanOrEqual(said.retryAfterMs);
  expectSilent(failure as Failure, subject);
}

/** Nothing of the value, the login, the address or the provider's own text, wherever one looks. */
function expectSilent(failure: Failure, subject: Breakable): void {
  const shown = [
    inspect(failure, { depth: 9, showHidden: true }),
    String(failure),
    JSON.stringify(failure),
    failure.stack,
  ].join();
  const values = [1, 2, 3].map((epoch) => version(subject.owner, epoch).token);
  for (const hidden of [...subject.hidden, ...values, 's'.repeat(31)]) expect(shown).not.toContain(hidden);
  expect(failure.cause).toBeUndefined();
}

/** An effect whose answer was lost is never told as made, nor as something of a stranger. */
async function expectUnconfirmed(work: Promise<unknown>, subject: Breakable): Promise<void> {
  try {
    expect([{ kind: 'lost' }, 'lost', 'withdrawn']).toContainEqual(await work);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    expect(error.reason).toBe('DestinationUnavailable');
    expectSilent(error, subject);
  }
}
