import type { Clock } from '../../domain/time.ts';
import type { Log } from '../../telemetry/log.ts';
import type { KubeAnswer, KubeClient } from './client.ts';
import { faultOf } from './fault.ts';
import { formatMicroTime } from './microtime.ts';

/** What a {@link LeaderElection} is made of. */
export interface LeaderElectionInit {
  readonly client: Pick<KubeClient, 'sendRaw'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  /** Of the Lease. */
  readonly namespace: string;
  readonly name: string;
  /** Different in every process, also in one that was restarted under the same Pod name. */
  readonly identity: string;
  /** How long a leader that says nothing is believed in, in milliseconds; 15 s when absent. */
  readonly leaseDurationMs?: number;
  readonly note?: LeaseNote;
  /** Called once when leadership was had and is lost: the process must stop changing anything (exit 3). */
  readonly onLost: () => void;
}

/** What each leader leaves for the next one, in an annotation of the Lease. */
export interface LeaseNote {
  readonly annotation: string;
  /** What to leave now; `undefined` = nothing new. */
  readonly text: () => string | undefined;
  /** Leadership was taken: what the last leader left. */
  readonly taken: (text: string | undefined) => void;
  /** Somebody removed the annotation under this leader. */
  readonly removed: () => void;
}

/** The parts of a coordination.k8s.io/v1 Lease that count. */
interface Lease {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly uid: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: LeaseSpec;
}

/** What a Lease says; without a holder, or with an empty one, nobody has it. */
export interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

/** Where the API server has a Lease. */
export function leasePath(namespace: string, name: string): string {
  return `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases/${encodeURIComponent(name)}`;
}

const defaultLeaseDurationMs = 15_000;
/** client-go's proportions: 15 s lease, 10 s to renew, 2 s between tries, each up to 1.2 times that. */
const renewShare = 10 / 15;
const retryShare = 2 / 15;
const jitter = 1.2;

/**
 * Leader election over a Lease, as client-go does it: whether another's lease has run out is judged by the own
 * monotonic clock since its last observed change, never by the instants in it, because machines' clocks differ.
 */
export class LeaderElection {
  readonly #init: LeaderElectionInit;
  readonly #leaseMs: number;
  readonly #stop = new AbortController();
  /** The lease as last seen, and when it last changed, by the own clock. */
  #seen: { readonly lease: Lease; readonly changedMs: number } | undefined;
  /** Monotonic: when the last successful renewal was begun. */
  #renewedMs: number | undefined;
  #renewing: Promise<void> = Promise.resolve();
  #isLost = false;

  constructor(init: LeaderElectionInit) {
    this.#init = init;
    this.#leaseMs = init.leaseDurationMs ?? defaultLeaseDurationMs;
  }

  /** Resolves when this process leads; from then on the lease is renewed until {@link release}. Rejects when `signal` is aborted. */
  async acquire(signal: AbortSignal): Promise<void> {
    const { clock, log, name, identity } = this.#init;
    while (!(await this.#tryOnce(signal))) {
      signal.throwIfAborted();
      await clock.sleep(this.#retryMs(), signal);
    }
    log.info('leading', { kind: 'Lease', name, message: identity });
    this.#renewing = this.#renew();
  }

  /**
   * Until when leadership is certain, by the monotonic clock: another process may lead after it. Ask it before every
   * effect outside. 0 = not leading.
   */
  holdsUntil(): number {
    return this.#renewedMs === undefined || this.#isLost ? 0 : this.#renewedMs + this.#leaseMs * renewShare;
  }

  /** Whether leadership is certain now. */
  holds(): boolean {
    return this.#init.clock.monotonicMs() < this.holdsUntil();
  }

  /** Stops renewing and hands the lease over, so that the next leader need not wait. Best effort; never throws. */
  async release(): Promise<void> {
    this.#stop.abort();
    await this.#renewing;
    const lease = this.#seen?.lease;
    if (this.#renewedMs === undefined || this.#isLost || lease === undefined) return;
    this.#renewedMs = undefined;
    const now = formatMicroTime(this.#init.clock.now());
    // As client-go: an empty holder with a lease of one second.
    const spec = { holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now };
    await this.#write('patch', lease, spec).catch(() => undefined);
  }

  /** Renews until it is stopped, or has failed for so long that another may lead. */
  async #renew(): Promise<void> {
    const { clock, log, name, onLost } = this.#init;
    const { signal } = this.#stop;
    for (;;) {
      await clock.sleep(this.#leaseMs * retryShare, signal).catch(() => undefined);
      if (signal.aborted) return;
      const leftMs = this.holdsUntil() - clock.monotonicMs();
      // A call that outlives the deadline could renew what another has taken: it is given up at the deadline.
      const held = leftMs > 0 && (await this.#tryOnce(AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(leftMs))])));
      if (signal.aborted) return;
      if (held || (this.holds() && !this.#isTaken())) continue;
      this.#isLost = true;
      log.error('leadership lost', { kind: 'Lease', name });
      onLost();
      return;
    }
  }

  /** Another process stands in the lease: nothing is left to renew. */
  #isTaken(): boolean {
    const holder = this.#seen?.lease.spec?.holderIdentity;
    return holder !== undefined && holder !== '' && holder !== this.#init.identity;
  }

  /** Reads the lease and takes or renews it, if it may. `false` = not now. */
  async #tryOnce(signal: AbortSignal): Promise<boolean> {
    const { clock, log, identity, name, note } = this.#init;
    try {
      const hadNote = this.#noteIn(this.#seen?.lease) !== undefined;
      const lease = await this.#read(signal);
      // The lease counts from before the call: the server may have written it long before its answer came.
      const startedMs = clock.monotonicMs();
      if (lease !== undefined && !this.#mayTake(lease)) return false;
      const now = formatMicroTime(clock.now());
      const isOurs = lease?.spec?.holderIdentity === identity;
      if (this.#renewedMs !== undefined && hadNote && this.#noteIn(lease) === undefined) note?.removed();
      const text = this.#renewedMs === undefined ? undefined : note?.text();
      const transitions = lease?.spec?.leaseTransitions ?? 0;
      const spec = {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(this.#leaseMs / 1000),
        acquireTime: isOurs ? (lease.spec.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: lease === undefined || isOurs ? transitions : transitions + 1,
      };
      const written = await this.#write(lease === undefined ? 'create' : 'patch', lease, spec, { text, signal });
      if (written === undefined) return false;
      if (this.#renewedMs === undefined) note?.taken(this.#noteIn(written));
      this.#seen = { lease: written, changedMs: startedMs };
      this.#renewedMs = startedMs;
      return true;
    } catch (error) {
      if (!signal.aborted) log.warn('lease not reached', { kind: 'Lease', name, failure: String(faultOf(error).code) });
      return false;
    }
  }

  #noteIn(lease: Lease | undefined): string | undefined {
    const { note } = this.#init;
    return note === undefined ? undefined : lease?.metadata.annotations?.[note.annotation];
  }

  #mayTake(lease: Lease): boolean {
    const { clock, identity } = this.#init;
    const nowMs = clock.monotonicMs();
    if (this.#seen?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion) this.#seen = { lease, changedMs: nowMs };
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder === '' || holder === identity) return true;
    const durationMs = (lease.spec?.leaseDurationSeconds ?? this.#leaseMs / 1000) * 1000;
    return nowMs >= (this.#seen?.changedMs ?? nowMs) + durationMs;
  }

  async #read(signal: AbortSignal): Promise<Lease | undefined> {
    const answer = await this.#init.client.sendRaw(
      { verb: 'get', kind: 'Lease', path: this.#path(), timeoutMs: this.#callMs() },
      signal,
    );
    this.#warnOf(answer.status, [200, 404]);
    return answer.status === 200 ? (answer.body as Lease) : undefined;
  }

  /** Conditional on the version that was read; `undefined` = another was quicker. */
  async #write(
    verb: 'create' | 'patch',
    lease: Lease | undefined,
    spec: object,
    { text, signal }: { readonly text?: string | undefined; readonly signal?: AbortSignal } = {},
  ): Promise<Lease | undefined> {
    const { name, namespace, client, note } = this.#init;
    const annotations = note === undefined || text === undefined ? {} : { annotations: { [note.annotation]: text } };
    const { uid, resourceVersion } = lease?.metadata ?? {};
    const body = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace, uid, resourceVersion, ...annotations },
      spec,
    };
    const path = verb === 'create' ? this.#path().replace(/\/[^/]*$/, '') : this.#path();
    const answer: KubeAnswer = await client.sendRaw({ verb, kind: 'Lease', path, body, timeoutMs: this.#callMs() }, signal);
    this.#warnOf(answer.status, [200, 201, 409, 422]);
    return answer.status < 300 ? (answer.body as Lease) : undefined;
  }

  /** An answer that no rival explains: the namespace of the Lease is missing, or we may not write there. */
  #warnOf(status: number, expected: readonly number[]): void {
    const { log, name, namespace } = this.#init;
    if (expected.includes(status)) return;
    const message = status === 404 ? `the namespace ${namespace} does not exist` : `refused in the namespace ${namespace}`;
    log.warn('lease not reached', { kind: 'Lease', name, failure: String(status), message });
  }

  #path(): string {
    const { name, namespace } = this.#init;
    return leasePath(namespace, name);
  }

  /** A call that hangs must leave time for another one before the deadline. */
  #callMs(): number {
    // Whole milliseconds: a timeout takes nothing else.
    return Math.floor((this.#leaseMs * renewShare) / 2);
  }

  #retryMs(): number {
    return this.#leaseMs * retryShare * (1 + (jitter - 1) * this.#init.random());
  }
}
