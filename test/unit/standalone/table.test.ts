import { describe, expect, it } from 'vitest';
import type { ApiCatalog, ApiKey } from '../../../operator/src/api/kinds.ts';
import { decideOnce } from '../../../operator/src/standalone/quiescence.ts';
import { isReady, renderChanges, renderTable } from '../../../operator/src/standalone/table.ts';
import type { TableModel } from '../../../operator/src/standalone/table.ts';
import { showTable } from '../../../operator/src/standalone/display.ts';
import type { Screen } from '../../../operator/src/standalone/display.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const now = Date.parse('2026-01-01T00:00:00Z');

function keyNamed(name: string, status?: object, metadata: object = {}): ApiKey {
  return {
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'ApiKey',
    metadata: {
      namespace: 'payments',
      name,
      uid: name,
      resourceVersion: '1',
      generation: 1,
      annotations: { 'keywright.dev/manifest': `/home/ana/project/examples/quickstart/${name}.yaml` },
      ...metadata,
    },
    spec: {
      displayName: name,
      catalog: 'default',
      owner: 'ana',
      accessType: 'Admin',
      deliverTo: [{ name: 'local', secret: { name: `${name}-key` } }],
    },
    ...(status === undefined ? {} : { status }),
  } as unknown as ApiKey;
}

function statusWith(status: 'True' | 'False', reason: string, message = '', more: object = {}): object {
  return {
    conditions: [{ type: 'Ready', status, reason, message, observedGeneration: 1, lastTransitionTime: '2026-01-01T00:00:00Z' }],
    currentKey: {
      id: '7Gq2mW0pX4tZ',
      display: 'acme_live_7Gq2mW0pX4tZ',
      epoch: 1,
      issuedAt: '2026-01-01T00:00:00Z',
      expiresAt: '2026-04-01T00:00:00Z',
    },
    destinations: [{ name: 'local', location: 'payments/billing-key', keyId: '7Gq2mW0pX4tZ' }],
    ...more,
  };
}

const catalog = {
  metadata: { name: 'default' },
  spec: { requests: { hosts: ['api.acme.test'] }, endpoints: [{ name: 'get-x', method: 'GET', path: '/v1/x/{id}' }] },
} as unknown as ApiCatalog;

function modelOf(keys: readonly ApiKey[], more: Partial<TableModel> = {}): TableModel {
  return {
    keys,
    catalogs: [catalog],
    faults: [],
    now,
    manifestsFolder: 'examples/quickstart',
    dataFolder: '.keywright',
    authorizerUrl: 'http://127.0.0.1:8080',
    ...more,
  };
}

const standing = 'http://127.0.0.1:8080/v1/verify answers. Ctrl-C stops; what was made stays in .keywright, the log too.';

describe('the table', () => {
  it('shows each key with its condition, owner, display form, expiry, and the file of its value', () => {
    const lines = renderTable(modelOf([keyNamed('billing', statusWith('True', 'Available'))]));
    expect(lines.slice(0, 3)).toEqual([
      'NAME              READY  REASON     OWNER  KEY                     EXPIRES',
      'payments/billing  True   Available  ana    acme_live_7Gq2mW0pX4tZ  2026-04-01 (in 90 d)',
      '  value in .keywright/secrets/payments/billing-key/api-key',
    ]);
  });

  it('counts 90 days from the first second of a key to its twelfth hour', () => {
    const key = keyNamed('billing', statusWith('True', 'Available'));
    for (const at of [now - 999, now, now + 11 * 3_600_000])
      expect(renderTable(modelOf([key], { now: at }))[1]).toContain('2026-04-01 (in 90 d)');
  });

  it('leaves out in a narrow window what one can do without, and wraps no row of 80 columns, nor of 70 or 50', () => {
    const model = modelOf([keyNamed('newsletter-tests', statusWith('True', 'Available'))]);
    expect(renderTable(model, 90).slice(0, 2)).toEqual([
      'NAME                       READY  REASON     OWNER  KEY                     EXPIRES',
      'payments/newsletter-tests  True   Available  ana    acme_live_7Gq2mW0pX4tZ  in 90 d',
    ]);
    expect(renderTable(model, 80)[1]).toBe('payments/newsletter-tests  True   Available  acme_live_7Gq2mW0pX4tZ  in 90 d');
    for (const width of [70, 50])
      for (const line of renderTable(model, width).slice(0, 2)) expect(line.length).toBeLessThanOrEqual(width);
    expect(renderTable(model, 70)[1]).toBe('payments/newsletter-tests  True   acme_live_7Gq2mW0pX4tZ  in 90 d');
  });

  it('says where the verify API answers, how to stop, and what stays', () => {
    expect(renderTable(modelOf([]))).toContain(standing);
  });

  it('says why a key is not Ready, and shows no file that is not there', () => {
    const failing = statusWith('False', 'CatalogNotFound', 'the catalog "default" does not exist yet', {
      destinations: [],
      currentKey: undefined,
    });
    const lines = renderTable(modelOf([keyNamed('billing', failing)]));
    expect(lines[1]).toBe('payments/billing  False  CatalogNotFound  ana    -    -');
    expect(lines[2]).toBe('  the catalog "default" does not exist yet');
    expect(lines.join('\n')).not.toContain('.keywright/secrets');
  });

  it('does not call a key Ready for an older manifest, nor one that is being deleted', () => {
    const changed = keyNamed('billing', statusWith('True', 'Available'), { generation: 2 });
    const leaving = keyNamed('billing', statusWith('True', 'Available'), { deletionTimestamp: '2026-01-01T00:00:00Z' });
    expect([changed, leaving, keyNamed('billing')].map(isReady)).toEqual([false, false, false]);
    expect(isReady(keyNamed('billing', statusWith('True', 'Available')))).toBe(true);
    expect(renderTable(modelOf([changed]))[1]).toContain('Unknown  changed, being looked at');
    expect(renderTable(modelOf([leaving]))[1]).toContain('False  being deleted');
  });

  it('names faults with file and line', () => {
    const lines = renderTable(
      modelOf([], { faults: [{ file: 'a.yaml', line: 3, message: 'is not valid YAML', level: 'error' }] }),
    );
    expect(lines).toContain('! a.yaml:3 is not valid YAML');
    expect(lines).toContain('no ApiKey in examples/quickstart yet');
  });

  it('says what to try next, with a request that the catalog knows', () => {
    const lines = renderTable(modelOf([keyNamed('billing', statusWith('True', 'Available'))]));
    expect(lines.slice(lines.indexOf('Try next:') + 1)).toEqual([
      '  edit examples/quickstart/billing.yaml: the table follows within a second',
      '  cat .keywright/secrets/payments/billing-key/api-key',
      `  printf '{"key":"%s",%s' "$(cat .keywright/secrets/payments/billing-key/api-key)" '"request":{"host":"api.acme.test","method":"GET","path":"/v1/x/1","scheme":"https"}}' | curl -s http://127.0.0.1:8080/v1/verify -d @-`,
      '  rm examples/quickstart/billing.yaml: a few seconds later its key is refused, and its files go',
    ]);
  });

  it('shows the first 500 keys and counts the others, because it is drawn where verdicts are answered', () => {
    const keys = Array.from({ length: 1_502 }, (_, at) => keyNamed(`key-${at}`));
    const lines = renderTable(modelOf(keys));
    expect(lines.filter((line) => line.startsWith('payments/key-'))).toHaveLength(500);
    expect(lines).toContain('… 1,002 more keys');
  });

  it('lets no control character through to the terminal', () => {
    const lines = renderTable(modelOf([keyNamed('billing', statusWith('False', 'InvalidSpec', 'bad \u001B[2J value'))]));
    expect(lines.join('')).not.toContain('\u001B');
  });
});

describe('changes as lines', () => {
  it('cost nothing for a key that has not changed', () => {
    let reads = 0;
    const { spec, ...rest } = keyNamed('billing', statusWith('True', 'Available'));
    const key: ApiKey = Object.defineProperty({ ...rest, spec }, 'spec', { get: () => ((reads += 1), spec) });
    const before = modelOf([key]);
    expect(renderChanges(before, modelOf([key, keyNamed('other')]))).toHaveLength(1);
    expect(reads).toBe(0);
  });

  it('tell of a key when it changes and when it goes, and of faults when they come and go', () => {
    const pending = modelOf([keyNamed('billing')], { faults: [{ file: 'a.yaml', message: 'broken', level: 'error' }] });
    const ready = modelOf([keyNamed('billing', statusWith('True', 'Available'))]);
    expect(renderChanges(undefined, pending)).toEqual([
      standing,
      'payments/billing  READY=Unknown  Pending  owner=ana  key=-  expires=-',
      '! a.yaml broken',
    ]);
    expect(renderChanges(pending, pending)).toEqual([]);
    expect(renderChanges(pending, ready)).toEqual([
      'payments/billing  READY=True  Available  owner=ana  key=acme_live_7Gq2mW0pX4tZ  expires=2026-04-01 (in 90 d)',
      '  value in .keywright/secrets/payments/billing-key/api-key',
      'settled: ! a.yaml broken',
    ]);
    expect(renderChanges(ready, modelOf([]))).toEqual(['payments/billing  gone']);
    expect(renderChanges(undefined, modelOf([]))).toContain('no ApiKey in examples/quickstart yet');
  });
});

class TestScreen implements Screen {
  readonly isTerminal: boolean;
  columns = 200;
  rows = 50;
  written: string[] = [];

  constructor(isTerminal: boolean) {
    this.isTerminal = isTerminal;
  }

  size(): { readonly columns: number; readonly rows: number } {
    return { columns: this.columns, rows: this.rows };
  }

  write(text: string): void {
    this.written.push(text);
  }
}

describe('the display', () => {
  async function show(screen: TestScreen, models: readonly TableModel[]): Promise<void> {
    const clock = new FakeClock();
    const abort = new AbortController();
    let at = 0;
    const shown = showTable({
      screen,
      clock,
      signal: abort.signal,
      model: () => models[Math.min(at, models.length - 1)] ?? modelOf([]),
    });
    for (at = 1; at < models.length; at += 1) await clock.advance(250);
    abort.abort();
    await shown;
  }

  it('draws over the last picture on a terminal, and only when something changed', async () => {
    const screen = new TestScreen(true);
    const first = modelOf([keyNamed('billing')]);
    await show(screen, [first, first, modelOf([keyNamed('billing', statusWith('True', 'Available'))])]);
    expect(screen.written).toHaveLength(2);
    expect(screen.written[1]).toContain(`\u001B[${renderTable(first).length}A`);
  });

  it('counts a line that wraps as what it takes, and leaves out what the window does not hold', async () => {
    const screen = new TestScreen(true);
    screen.columns = 20;
    screen.rows = 6;
    await show(screen, [modelOf([keyNamed('billing')]), modelOf([keyNamed('billing', statusWith('True', 'Available'))])]);
    expect(screen.written[0]).toMatch(/… \d+ more lines\n$/);
    expect(Number(/\[(\d+)A/.exec(screen.written[1] ?? '')?.[1])).toBeLessThan(6);
  });

  it('writes changes as lines elsewhere', async () => {
    const screen = new TestScreen(false);
    const first = modelOf([keyNamed('billing')]);
    await show(screen, [first, first, modelOf([])]);
    expect(screen.written).toEqual([
      `${standing}\npayments/billing  READY=Unknown  Pending  owner=ana  key=-  expires=-\n`,
      'payments/billing  gone\n',
    ]);
  });
});

describe('--once', () => {
  const quiet = { scansCompleted: 2, deletionsWaiting: 0, queued: 0, inFlight: 0, elapsedMs: 1_000 };

  it('is done after two looks with nothing queued or in flight', () => {
    expect(decideOnce(quiet)).toBe('quiet');
    expect(decideOnce({ ...quiet, scansCompleted: 1 })).toBe('busy');
    expect(decideOnce({ ...quiet, deletionsWaiting: 1 })).toBe('busy');
    expect(decideOnce({ ...quiet, queued: 1 })).toBe('busy');
    expect(decideOnce({ ...quiet, inFlight: 1 })).toBe('busy');
  });

  it('gives up after a minute', () => {
    expect(decideOnce({ ...quiet, queued: 1, elapsedMs: 60_000 })).toBe('late');
  });
});
