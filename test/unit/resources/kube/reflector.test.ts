import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cacheKey } from '../../../../operator/src/resources/kube/cache.ts';
import { KubeFault } from '../../../../operator/src/resources/kube/fault.ts';
import { Reflector } from '../../../../operator/src/resources/kube/reflector.ts';
import type { Page, WatchMessage, WatchQuery, WatchSource } from '../../../../operator/src/resources/kube/reflector.ts';
import { silentLog } from '../../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../../harness/fakes/clock.ts';

interface Thing {
  readonly metadata: { readonly name: string; readonly uid: string; readonly resourceVersion: string };
}
type Change = { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: Thing; readonly version: number };

/** What a watch of the {@link Server} does next, besides telling the truth. */
type Fault = 'reset' | 'close' | 'gone' | 'throttled' | 'error500' | 'silence';

/** A watch that is open: messages that are not read yet, then perhaps an end. */
class Stream implements AsyncIterable<WatchMessage<Thing>> {
  readonly #messages: WatchMessage<Thing>[] = [];
  #wake: () => void = () => undefined;
  #end: (() => IteratorResult<WatchMessage<Thing>>) | undefined;
  isSilent = false;

  push(message: WatchMessage<Thing>): void {
    if (this.isSilent || this.#end !== undefined) return;
    this.#messages.push(message);
    this.#wake();
  }

  end(fault?: KubeFault): void {
    this.#end ??= () => {
      if (fault !== undefined) throw fault;
      return { done: true, value: undefined };
    };
    this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<WatchMessage<Thing>> {
    return {
      next: async () => {
        for (;;) {
          const message = this.#messages.shift();
          if (message !== undefined) return { done: false, value: message };
          if (this.#end !== undefined) return this.#end();
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
      },
    };
  }
}

/** An API server of one kind, with a history that can be forgotten, and faults. */
class Server implements WatchSource<Thing> {
  readonly things = new Map<string, Thing>();
  readonly calls: string[] = [];
  knowsWatchList = true;
  /** The next calls fail with these. */
  readonly failures: KubeFault[] = [];
  readonly #history: Change[] = [];
  readonly #streams = new Set<Stream>();
  #version = 1;
  #forgotten = 0;

  put(name: string): void {
    const known = this.things.get(name);
    this.#version += 1;
    const object = {
      metadata: { name, uid: known?.metadata.uid ?? `uid-${String(this.#version)}`, resourceVersion: String(this.#version) },
    };
    this.things.set(name, object);
    this.#record({ type: known === undefined ? 'ADDED' : 'MODIFIED', object, version: this.#version });
  }

  remove(name: string): void {
    const known = this.things.get(name);
    if (known === undefined) return;
    this.#version += 1;
    this.things.delete(name);
    const object = { metadata: { ...known.metadata, resourceVersion: String(this.#version) } };
    this.#record({ type: 'DELETED', object, version: this.#version });
  }

  compact(): void {
    this.#forgotten = this.#version;
  }

  bookmark(): void {
    for (const stream of this.#streams) stream.push(this.#bookmark(false));
  }

  fault(fault: Fault): void {
    for (const stream of this.#streams) {
      if (fault === 'silence') stream.isSilent = true;
      else if (fault === 'close') stream.end();
      else if (fault === 'reset') stream.end(new KubeFault('broken'));
      else stream.push({ type: 'ERROR', fault: new KubeFault({ gone: 410, throttled: 429, error500: 500 }[fault]) });
    }
    // A silent connection is dead: it tells nothing more, but nobody has said so.
    this.#streams.clear();
  }

  list(resourceVersion: string, next: string | undefined): Promise<Page<Thing>> {
    this.calls.push(`list ${resourceVersion}`);
    const failure = this.failures.shift();
    if (failure !== undefined) return Promise.reject(failure);
    const all = [...this.things.values()];
    const from = Number(next ?? 0);
    const page = { items: all.slice(from, from + 2), resourceVersion: String(this.#version) };
    return Promise.resolve(from + 2 < all.length ? { ...page, next: String(from + 2) } : page);
  }

  watch(query: WatchQuery, signal: AbortSignal): Promise<AsyncIterable<WatchMessage<Thing>>> {
    this.calls.push(`${query.sendInitialEvents ? 'watchlist' : 'watch'} ${query.resourceVersion}`);
    const failure = this.failures.shift();
    if (failure !== undefined) return Promise.reject(failure);
    const stream = new Stream();
    const since = Number(query.resourceVersion);
    if (query.sendInitialEvents && !this.knowsWatchList) {
      // An old server: an ordinary watch from now on.
      this.#streams.add(stream);
    } else if (query.sendInitialEvents) {
      for (const object of this.things.values()) stream.push({ type: 'ADDED', object });
      stream.push(this.#bookmark(true));
      this.#streams.add(stream);
    } else if (since < this.#forgotten) {
      stream.push({ type: 'ERROR', fault: new KubeFault(410) });
    } else {
      for (const change of this.#history) if (change.version > since) stream.push({ type: change.type, object: change.object });
      this.#streams.add(stream);
    }
    signal.addEventListener('abort', () => {
      this.#streams.delete(stream);
      stream.end(new KubeFault('broken'));
    });
    return Promise.resolve(stream);
  }

  #bookmark(endsInitialEvents: boolean): WatchMessage<Thing> {
    return { type: 'BOOKMARK', resourceVersion: String(this.#version), endsInitialEvents };
  }

  #record(change: Change): void {
    this.#history.push(change);
    for (const stream of this.#streams) stream.push({ type: change.type, object: change.object });
  }
}

function setUp() {
  const clock = new FakeClock();
  const server = new Server();
  const told: { type: string; name: string; uid: string; initial: boolean }[] = [];
  const abort = new AbortController();
  const reflector = new Reflector<Thing>({
    kind: 'Thing',
    source: server,
    clock,
    log: silentLog,
    random: () => 0.5,
    onChange: (change, initial) =>
      told.push({ type: change.type, name: change.object.metadata.name, uid: change.object.metadata.uid, initial }),
  });
  const run = () => reflector.run(abort.signal);
  return { clock, server, told, abort, reflector, run };
}

const versionsOf = (things: Iterable<Thing>) =>
  [...things].map((thing) => `${thing.metadata.name} ${thing.metadata.resourceVersion}`).sort();

describe('the reflector', () => {
  it('lists by a watch, and follows on the same one', async () => {
    const { clock, server, told, abort, reflector, run } = setUp();
    server.put('a');
    const running = run();
    await reflector.synced;
    server.put('b');
    server.remove('a');
    await clock.advance(0);
    expect(told.map(({ type, name, initial }) => [type, name, initial])).toEqual([
      ['upsert', 'a', true],
      ['upsert', 'b', false],
      ['delete', 'a', false],
    ]);
    expect(server.calls).toEqual(['watchlist ']);
    abort.abort();
    await running;
  });

  it.each([
    ['refuses it', (server: Server) => server.failures.push(new KubeFault(422))],
    ['takes it for an ordinary watch', (server: Server) => (server.knowsWatchList = false)],
  ])('lists by pages when the server does not know WatchList and %s', async (_title, makeOld) => {
    const { clock, server, abort, reflector, run } = setUp();
    makeOld(server);
    for (const name of ['a', 'b', 'c', 'd', 'e']) server.put(name);
    const running = run();
    await clock.advance(10_000);
    await reflector.synced;
    expect([...reflector.cache.keys()]).toEqual(['/a', '/b', '/c', '/d', '/e']);
    await clock.advance(0);
    expect(server.calls).toEqual(['watchlist ', 'list ', 'list ', 'list ', 'watch 6']);
    abort.abort();
    await running;
  });

  it.each(['by a watch', 'by pages'])(
    'knows that the server does not have the kind any more, until it has it again, when it lists %s',
    async (how) => {
      const { clock, server, abort, reflector, run } = setUp();
      server.knowsWatchList = how === 'by a watch';
      const running = run();
      await clock.advance(20_000);
      expect(reflector.isServed).toBe(true);
      server.failures.push(...Array.from({ length: 3 }, () => new KubeFault(404)));
      server.fault('close');
      await clock.advance(2_000);
      expect(reflector.isServed).toBe(false);
      await clock.advance(60_000);
      expect(reflector.isServed).toBe(true);
      abort.abort();
      await running;
    },
  );

  it.each(['reset', 'throttled', 'silence'] as const)('goes on from its version after %s, without a list', async (fault) => {
    const { clock, server, abort, reflector, run } = setUp();
    server.put('a');
    const running = run();
    await reflector.synced;
    server.fault(fault);
    server.put('b');
    await clock.advance(160_000);
    expect([...reflector.cache.keys()]).toEqual(['/a', '/b']);
    expect(server.calls.slice(0, 2)).toEqual(['watchlist ', 'watch 2']);
    expect(server.calls.slice(2).filter((call) => !call.startsWith('watch '))).toEqual([]);
    abort.abort();
    await running;
  });

  it('does not list when the server comes back after it refused connections', async () => {
    const { clock, server, abort, reflector, run } = setUp();
    const running = run();
    await reflector.synced;
    server.failures.push(new KubeFault('refused'), new KubeFault('refused'), new KubeFault(429));
    server.fault('reset');
    await clock.advance(60_000);
    expect(server.calls).toEqual(['watchlist ', 'watch 1', 'watch 1', 'watch 1', 'watch 1']);
    abort.abort();
    await running;
  });

  it('lists anew from its version after a server error, and from the newest after 410', async () => {
    const { clock, server, abort, reflector, run } = setUp();
    server.put('a');
    const running = run();
    await reflector.synced;
    server.fault('error500');
    await clock.advance(2_000);
    server.put('b');
    server.fault('gone');
    await clock.advance(4_000);
    expect(server.calls).toEqual(['watchlist ', 'watchlist 2', 'watchlist ']);
    abort.abort();
    await running;
  });

  it('tells of a deletion that it missed, also when the name was taken again', async () => {
    const { clock, server, told, abort, reflector, run } = setUp();
    server.put('a');
    server.put('b');
    const running = run();
    await reflector.synced;
    server.fault('silence');
    for (const name of ['a', 'b']) server.remove(name);
    server.put('a');
    server.compact();
    await clock.advance(200_000);
    expect(told.slice(2).map(({ type, name, uid, initial }) => [type, name, uid, initial])).toEqual([
      ['delete', 'a', 'uid-2', true],
      ['delete', 'b', 'uid-3', true],
      ['upsert', 'a', 'uid-6', true],
    ]);
    abort.abort();
    await running;
  });

  it('has the same objects as the server after any sequence of changes and faults, and has told each difference', async () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('put' as const), name }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), name }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(5_000) }) },
      fc.record({
        kind: fc.constant('fault' as const),
        fault: fc.constantFrom<Fault>('reset', 'close', 'gone', 'throttled', 'error500', 'silence'),
      }),
      fc.record({
        kind: fc.constant('failure' as const),
        code: fc.constantFrom('refused' as const, 'broken' as const, 'timeout' as const, 410, 429, 500, 503, 403, 404),
      }),
      fc.constant({ kind: 'compact' as const }),
      fc.constant({ kind: 'bookmark' as const }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), async (steps, knowsWatchList) => {
        const { clock, server, told, abort, reflector, run } = setUp();
        server.knowsWatchList = knowsWatchList;
        const running = run();
        for (const one of steps) {
          if (one.kind === 'put') server.put(one.name);
          else if (one.kind === 'remove') server.remove(one.name);
          else if (one.kind === 'advance') await clock.advance(one.ms);
          else if (one.kind === 'fault') server.fault(one.fault);
          else if (one.kind === 'failure') server.failures.push(new KubeFault(one.code));
          else if (one.kind === 'compact') server.compact();
          else server.bookmark();
        }
        // Longer than every watchdog and every back-off together.
        await clock.advance(3_600_000);
        expect(versionsOf(reflector.cache.values())).toEqual(versionsOf(server.things.values()));
        const believed = new Map<string, string>();
        for (const { type, name: of, uid } of told) {
          if (type === 'upsert') believed.set(of, uid);
          else if (believed.get(of) === uid) believed.delete(of);
          else expect.fail(`told of the deletion of ${of}, which nobody had heard of`);
        }
        expect(believed).toEqual(new Map([...server.things.values()].map((thing) => [thing.metadata.name, thing.metadata.uid])));
        expect([...reflector.cache.keys()].sort()).toEqual(
          [...server.things.values()].map((thing) => cacheKey(thing.metadata)).sort(),
        );
        abort.abort();
        await running;
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});
