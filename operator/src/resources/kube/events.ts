import { createHash } from 'node:crypto';
import type { ObjectMeta } from '../../api/meta.ts';
import type { Clock, Instant } from '../../domain/time.ts';
import type { Log } from '../../telemetry/log.ts';
import type { EventRecord, WatchedKind } from '../port.ts';
import type { KubeClient } from './client.ts';
import { endpoints } from './endpoints.ts';
import { faultOf } from './fault.ts';
import { formatMicroTime } from './microtime.ts';

/** An event that was asked for, with its repeats. */
interface Folded {
  readonly kind: WatchedKind;
  readonly metadata: ObjectMeta;
  readonly event: EventRecord;
  readonly name: string;
  readonly firstAt: Instant;
  lastAt: Instant;
  count: number;
  /** The count that the server has; 0 = it does not have the event. */
  sentCount: number;
  /** Monotonic; not sent again before. */
  notBeforeMs: number;
}

/** A repeat after this long is a new event; the server forgets events after an hour. */
const foldedForMs = 10 * 60_000;
/** An event waits this long for its first repeats, so that a burst is one call. */
const gatherMs = 250;
/** Between two updates of one event. */
const repeatAfterMs = 60_000;
/** Between two calls, so that a storm of events costs the API server ten calls a second at most. */
const callGapMs = 100;
const remembered = 1_000;
/** On closing. */
const lastSends = 20;
const sendTimeoutMs = 2_000;
const longestNote = 1_024;

/** Writes events in the background: repeats are folded, the rate is bounded, and what fails is logged and dropped. */
export class EventRecorder {
  readonly #client: Pick<KubeClient, 'sendRaw'>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #identity: string;
  /** In the order of their last record. */
  readonly #folded = new Map<string, Folded>();
  readonly #stop = new AbortController();
  #pumping: Promise<void> | undefined;
  #named = 0;

  /** `identity` says which process reports. */
  constructor(client: Pick<KubeClient, 'sendRaw'>, clock: Clock, log: Log, identity: string) {
    this.#client = client;
    this.#clock = clock;
    this.#log = log;
    this.#identity = identity;
  }

  record(kind: WatchedKind, metadata: ObjectMeta, event: EventRecord): void {
    if (this.#stop.signal.aborted) return;
    const now = this.#clock.now();
    const key = [kind, metadata.uid, event.type, event.reason, event.message].join('\n');
    const known = this.#folded.get(key);
    this.#folded.delete(key);
    if (known !== undefined && now - known.lastAt < foldedForMs) {
      known.count += 1;
      known.lastAt = now;
      this.#folded.set(key, known);
    } else {
      const name = this.#nameOf(metadata, key, now);
      const notBeforeMs = this.#clock.monotonicMs() + gatherMs;
      this.#folded.set(key, { kind, metadata, event, name, firstAt: now, lastAt: now, count: 1, sentCount: 0, notBeforeMs });
    }
    for (const oldest of this.#folded.keys()) {
      if (this.#folded.size <= remembered) break;
      this.#folded.delete(oldest);
    }
    this.#pumping ??= this.#pump().finally(() => (this.#pumping = undefined));
  }

  /**
   * A name that sorts by the instant, then by the order of recording. `kubectl describe` sorts events by a field that those of
   * events.k8s.io/v1 must leave empty, so that they stay in the server's order, which is that of names.
   */
  #nameOf(metadata: ObjectMeta, key: string, now: Instant): string {
    this.#named = (this.#named + 1) % 0x10000;
    const order = `${now.toString(16).padStart(12, '0')}${this.#named.toString(16).padStart(4, '0')}`;
    const digest = createHash('sha256').update(key).digest('hex').slice(0, 8);
    return `${metadata.name.slice(0, 200)}.${order}${digest}`;
  }

  /** Takes nothing more, and sends what the server has not heard of yet, as far as that is a matter of moments. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#pumping;
    const unheard = [...this.#folded.values()].filter((one) => one.sentCount === 0);
    await Promise.all(unheard.slice(-lastSends).map((one) => this.#send(one)));
  }

  /** Runs as long as something is unsent. */
  async #pump(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const unsent = [...this.#folded.values()].filter((one) => one.sentCount < one.count);
      const [first] = unsent.sort((a, b) => a.notBeforeMs - b.notBeforeMs);
      if (first === undefined) return;
      const waitMs = first.notBeforeMs - this.#clock.monotonicMs();
      if (waitMs <= 0) await this.#send(first);
      // A new event may come in the meantime, which needs not wait.
      await this.#clock.sleep(Math.min(Math.max(waitMs, callGapMs), 1_000), this.#stop.signal).catch(() => undefined);
    }
  }

  async #send(folded: Folded): Promise<void> {
    const { count } = folded;
    folded.notBeforeMs = this.#clock.monotonicMs() + repeatAfterMs;
    const namespace = folded.metadata.namespace ?? 'default';
    const collection = `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`;
    const isFirst = folded.sentCount === 0;
    folded.sentCount = count;
    const series = count === 1 ? {} : { series: { count, lastObservedTime: formatMicroTime(folded.lastAt) } };
    const call = { kind: 'Event', timeoutMs: sendTimeoutMs };
    try {
      const { status } = isFirst
        ? await this.#client.sendRaw({
            ...call,
            verb: 'create',
            path: collection,
            body: { ...this.#bodyOf(folded, namespace), ...series },
          })
        : await this.#client.sendRaw({
            ...call,
            verb: 'patch',
            path: `${collection}/${encodeURIComponent(folded.name)}`,
            body: series,
          });
      // The server has forgotten it: the next repeat makes a new one.
      if (status === 404) folded.sentCount = 0;
      if (status >= 300) this.#logLoss(folded, String(status));
    } catch (error) {
      this.#logLoss(folded, String(faultOf(error).code));
    }
  }

  #bodyOf({ kind, metadata, event, name, firstAt }: Folded, namespace: string): object {
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace },
      eventTime: formatMicroTime(firstAt),
      type: event.type,
      reason: event.reason,
      note: event.message.slice(0, longestNote),
      action: 'Reconcile',
      reportingController: 'keywright.dev/operator',
      reportingInstance: this.#identity.slice(0, 128),
      regarding: {
        apiVersion: endpoints[kind].apiVersion,
        kind,
        name: metadata.name,
        uid: metadata.uid,
        resourceVersion: metadata.resourceVersion,
        ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      },
    };
  }

  #logLoss({ kind, metadata, event }: Folded, failure: string): void {
    this.#log.warn('event lost', { kind, name: metadata.name, reason: event.reason, failure });
  }
}
