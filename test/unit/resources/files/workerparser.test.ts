import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../operator/src/domain/time.ts';
import { openWorkerParser, parseLimitMs } from '../../../../operator/src/resources/files/workerparser.ts';
import type { ParsedFile } from '../../../../operator/src/resources/files/parser.ts';
import { badManifests } from '../../../builders/badmanifests.ts';
import { keyText } from '../../../builders/manifestfolder.ts';
import { FakeClock } from '../../../harness/fakes/clock.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A thread that answers when the test says so. */
class FakeWorker extends EventEmitter {
  readonly asked: number[] = [];
  ended = false;

  postMessage(bytes: Uint8Array): void {
    this.asked.push(bytes.length);
  }

  async terminate(): Promise<number> {
    this.ended = true;
    this.emit('exit', 1);
    return 1;
  }
}

function open() {
  const clock = new FakeClock();
  const workers: FakeWorker[] = [];
  const parser = openWorkerParser({
    clock,
    startWorker: () => {
      const worker = new FakeWorker();
      workers.push(worker);
      return worker as unknown as Worker;
    },
  });
  return { clock, workers, parser };
}

const answer: ParsedFile = { ok: true, documents: [], unnamed: false, empty: true, faults: [], more: 0 };

describe('files are parsed in threads of their own', () => {
  it('while this one goes on: it has its turns, and a small file is answered, before a large one is done', async () => {
    const parser = openWorkerParser({ clock: systemClock });
    const order: string[] = [];
    const large = parser.parse(bytesOf(badManifests(400_000)['unknown fields'] ?? '')).then(() => order.push('large'));
    let turns = 0;
    const small = parser.parse(bytesOf(keyText('one'))).then((parsed) => {
      order.push('small');
      return parsed;
    });
    while (order.length < 2) {
      turns += 1;
      await turn();
    }
    await large;
    expect(order).toEqual(['small', 'large']);
    expect(turns).toBeGreaterThan(100);
    expect(await small).toMatchObject({ ok: true, documents: [{ type: 'object', id: 'ApiKey/default/one' }] });
    await parser.close();
  });

  it('and give the same answer as one that is parsed at once', async () => {
    const parser = openWorkerParser({ clock: systemClock });
    const parsed = await parser.parse(bytesOf(`${keyText('one')}---\napiVersion: keywright.dev/v1alpha1\nkind: ApiKey\n`));
    expect(parsed).toMatchObject({ ok: true, unnamed: true, documents: [{ id: 'ApiKey/default/one' }] });
    await parser.close();
  });

  it('without taking more memory than they may: the thread ends, the process does not', { timeout: 120_000 }, async () => {
    const parser = openWorkerParser({ clock: systemClock });
    const parsed = await parser.parse(bytesOf('['.repeat(1_000_000)));
    expect(parsed.ok ? 'fine' : parsed.fault.message).toMatch(/too much memory|nested too deeply|longer than/);
    expect(await parser.parse(bytesOf(keyText('one')))).toMatchObject({ ok: true });
    await parser.close();
  });
});

describe('a thread', () => {
  it('that answers nothing in time is ended, the file is a fault, and the next file gets a new one', async () => {
    const { clock, workers, parser } = open();
    const first = parser.parse(bytesOf('a'));
    const second = parser.parse(bytesOf('b'));
    await turn();
    await clock.advance(parseLimitMs);
    expect(await first).toEqual({ ok: false, fault: { message: 'the file takes longer than 30 s to parse' } });
    await turn();
    expect(workers.map(({ ended }) => ended)).toEqual([true, false]);
    workers[1]?.emit('message', answer);
    expect(await second).toBe(answer);
  });

  it('that dies makes its file a fault', async () => {
    const { workers, parser } = open();
    const first = parser.parse(bytesOf('a'));
    await turn();
    workers[0]?.emit('error', new Error('out of memory'));
    workers[0]?.emit('exit', 1);
    expect(await first).toEqual({ ok: false, fault: { message: 'the file takes too much memory to parse' } });
  });

  it('takes the smallest file that waits, is kept for small ones, and ends after a large one', async () => {
    const { workers, parser } = open();
    const asked = [3, 2, 1].map((length) => parser.parse(new Uint8Array(length)));
    const large = parser.parse(new Uint8Array(200_000));
    for (let at = 0; at < 3; at += 1) {
      await turn();
      workers[0]?.emit('message', answer);
    }
    workers[1]?.emit('message', answer);
    await Promise.all([...asked, large]);
    await turn();
    expect(workers.map((worker) => worker.asked)).toEqual([[3, 1, 2], [200_000]]);
    expect(workers.map(({ ended }) => ended)).toEqual([false, true]);
  });
});
