import type { Location } from '../domain/key.ts';
import type { Plaintext } from '../domain/plaintext.ts';
import type { Mark } from '../domain/version.ts';

/**
 * What stands at a location, without its value.
 * - `absent`: nothing is there.
 * - `marked`: our mark format is there. Whether it is *ours* (installation, name, uid) is the plan's question.
 *   `carries` is false when the mark does not speak of the value that stands there now: a stranger's write after ours,
 *   or a write of ours that stopped half way.
 *   `undressed` (Secrets only): our label or our owner reference is missing or changed.
 *   `staged`, where a provider has stages (AWS): the value that the mark speaks of is written, but readers still get the
 *   one before it, until it is promoted. `readValue` gives the staged value then.
 * - `unmarked`: a value without our mark: somebody else's.
 */
export type Reading =
  | { readonly kind: 'absent'; readonly revision: string }
  | {
      readonly kind: 'marked';
      readonly mark: Mark;
      readonly carries: boolean;
      readonly staged?: true;
      readonly undressed?: true;
      readonly providerVersion: string;
      readonly revision: string;
    }
  | { readonly kind: 'unmarked'; readonly revision: string };

/**
 * The flat entries of a delivered record: the same names in every destination, stable while a key lives (Service
 * Binding style). `api-key` and `header` hold the key; the rest is the envelope.
 */
export interface DeliveredRecord {
  readonly entries: Readonly<Record<'api-key' | 'header', Plaintext>> &
    Readonly<Record<'key-id' | 'expires-at' | 'type' | 'provider', string>>;
}

/** The contents of the entries at a location, by their names; `undefined` = not a text. Any of them may hold a value. */
export type FoundEntries = ReadonlyMap<string, Plaintext | undefined>;

/** The value at a location: all entries that readers get there. `apiKey` is the one under `api-key`, if it is a text. */
export interface DeliveredValue {
  readonly apiKey: Plaintext | undefined;
  readonly entries: FoundEntries;
  readonly reading: Reading;
}

/** What a conditional write came to. `lost` = the location is not in the observed state any more: observe again. */
export type WriteOutcome =
  { readonly kind: 'written'; readonly providerVersion: string; readonly reading: Reading } | { readonly kind: 'lost' };

/**
 * One destination: a Vault mount, an AWS account and region, a namespace's Secrets, a folder.
 * Every call has a timeout and a bounded retry of its own, throws only {@link Failure} (DestinationUnavailable, with
 * its class of error in our words), and never logs, throws or keeps a value.
 */
export interface Destination {
  /** Mark and revision of what stands there; reads no value where the provider can tell them apart. */
  readMark(location: Location): Promise<Reading>;
  /** The value and its mark, read at one moment. Absent value = `undefined`. */
  readValue(location: Location): Promise<DeliveredValue | undefined>;
  /**
   * Writes value and mark on the condition that the location is still as `observed`. After `lost` no value that a
   * reader gets was changed. Where the provider has no conditional write (AWS), the value is only staged, and the
   * condition is that of {@link Destination.promote}. The caller may write over `absent` and over what it knows to be ours; never over anything else.
   * `attemptId` is the version's uuid (an idempotency token for providers that take one).
   */
  write(location: Location, record: DeliveredRecord, mark: Mark, observed: Reading, attemptId: string): Promise<WriteOutcome>;
  /**
   * Makes the written value the one that readers get, where the provider has stages (AWS), on the condition that they
   * still get what was observed; elsewhere it is already.
   */
  promote(location: Location, mark: Mark, observed: Reading): Promise<WriteOutcome>;
  /** Removes our value and mark, conditional on `observed`. Twice is once. */
  withdraw(location: Location, observed: Reading): Promise<'withdrawn' | 'lost'>;
  /** Proves login and rights, writing nothing; throws {@link Failure}. */
  probe(): Promise<void>;
  /** Ends logins and timers. */
  close(): Promise<void>;
}

/** Gives the destination for a location. One instance per destination uid and generation, made on first use. */
export interface Destinations {
  /** Throws a `waiting` {@link Failure} (DestinationNotFound) when there is none of that uid. */
  open(destinationUid: string): Promise<Destination>;
  close(): Promise<void>;
}
