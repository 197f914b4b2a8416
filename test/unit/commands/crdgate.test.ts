import { afterEach, describe, expect, it } from 'vitest';
import { toCrd } from '../../../operator/src/api/crd.ts';
import type { ApiKind } from '../../../operator/src/api/kinds.ts';
import { whenCrdsFit } from '../../../operator/src/commands/crdgate.ts';
import { transient, waiting } from '../../../operator/src/domain/failure.ts';
import { silentLog, type LogFields } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const stop: AbortController[] = [];
afterEach(() => {
  for (const one of stop.splice(0)) one.abort();
});

/** The gate over CRDs that a test gives by kind; whatever it gives not is this version's own. */
function gate(given: Partial<Record<ApiKind, unknown>>) {
  const clock = new FakeClock();
  const told: string[] = [];
  const note = (_event: string, fields?: LogFields): void => void told.push(fields?.message ?? '');
  const ended = new AbortController();
  stop.push(ended);
  const readCrd = (kind: ApiKind): Promise<unknown> => {
    const crd = kind in given ? given[kind] : toCrd(kind);
    return crd instanceof Error ? Promise.reject(crd) : Promise.resolve(crd);
  };
  const state = { isOpen: false };
  const opened = whenCrdsFit({ readCrd, clock, log: { ...silentLog, error: note, warn: note }, signal: ended.signal }).then(
    () => (state.isOpen = true),
    () => false,
  );
  return { given, clock, told, state, opened, ended };
}

const older = { spec: { versions: [{ name: 'v1alpha1', served: true, schema: { openAPIV3Schema: {} } }] } };

describe('the gate of the CRDs', () => {
  it('opens at once where they are of this version', async () => {
    const { clock, state, told } = gate({});
    await clock.advance(0);
    expect([state.isOpen, told]).toEqual([true, []]);
  });

  it('waits while one is older, says once what it lacks and what to do, and opens when it is applied', async () => {
    const { given, clock, state, told } = gate({ KeyOwner: older });
    await clock.advance(60_000);
    expect(state.isOpen).toBe(false);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain('keyowners.keywright.dev is older than this operator: it lacks apiVersion, kind, metadata, spec');
    expect(told[0]).toContain('helm upgrade');
    delete given.KeyOwner;
    await clock.advance(5_000);
    expect(state.isOpen).toBe(true);
  });

  it('waits for one that is missing, and for an API server that does not answer', async () => {
    const { given, clock, state, told } = gate({ ApiKey: undefined, KeyOwner: transient('InternalError', 'no answer') });
    await clock.advance(1_000);
    expect(told.map((line) => line.split(';')[0])).toEqual([
      'keyowners.keywright.dev no answer',
      'apikeys.keywright.dev does not exist',
    ]);
    delete given.ApiKey;
    delete given.KeyOwner;
    await clock.advance(5_000);
    expect(state.isOpen).toBe(true);
  });

  it('goes on where a CRD may not be read, and says so', async () => {
    const { clock, state, told } = gate({ ApiCatalog: waiting('InternalError', 'look at our role') });
    await clock.advance(0);
    expect([state.isOpen, told]).toEqual([true, ['look at our role']]);
  });

  it('ends with its process', async () => {
    const { clock, opened, ended } = gate({ ApiKey: undefined });
    await clock.advance(1_000);
    ended.abort();
    expect(await opened).toBe(false);
  });
});
