import { crdGaps } from '../api/crdgaps.ts';
import { apiKinds, kindTable, type ApiKind } from '../api/kinds.ts';
import { group } from '../api/meta.ts';
import { Failure } from '../domain/failure.ts';
import type { Clock } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';

/** What {@link whenCrdsFit} needs. */
export interface CrdGateInit {
  /** The CustomResourceDefinition as it is installed; `undefined` = there is none. */
  readonly readCrd: (kind: ApiKind) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const lookAgainMs = 5_000;
/** As many as a person needs to see what is going on. */
const namedFields = 5;

/**
 * Resolves when the CustomResourceDefinitions of the cluster are at least as new as this program. Under older ones the API
 * server would drop what we write, without a word: so nothing is begun, this process is not ready, and during an upgrade the
 * operator before it goes on. Where they may not be read, that is said, and nobody waits. Rejects when the signal is aborted.
 */
export async function whenCrdsFit(init: CrdGateInit): Promise<void> {
  const { clock, signal } = init;
  let told = '';
  for (;;) {
    const faults = await lookAtCrds(init);
    if (faults.length === 0) return;
    const text = faults.map(({ name, message }) => `${name} ${message}`).join('\n');
    if (text !== told) for (const fault of faults) tell(init.log, fault);
    told = text;
    await clock.sleep(lookAgainMs, signal);
  }
}

interface CrdFault {
  readonly name: string;
  readonly message: string;
}

async function lookAtCrds({ readCrd, log }: CrdGateInit): Promise<readonly CrdFault[]> {
  const found = await Promise.all(
    apiKinds.map(async (kind): Promise<readonly CrdFault[]> => {
      const name = `${kindTable[kind].plural}.${group}`;
      try {
        const crd = await readCrd(kind);
        if (crd === undefined) return [{ name, message: 'does not exist' }];
        const gaps = crdGaps(kind, crd);
        return gaps.length === 0 ? [] : [{ name, message: `is older than this operator: it lacks ${listed(gaps)}` }];
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.kind === 'transient') return [{ name, message: error.message }];
        log.warn('CRD not looked at', { kind: 'CustomResourceDefinition', name, message: error.message });
        return [];
      }
    }),
  );
  return found.flat();
}

function tell(log: Log, { name, message }: CrdFault): void {
  const cure = 'apply the CRDs of this version (helm upgrade with crds.install, or keywright crds)';
  log.error('CRD does not fit', { kind: 'CustomResourceDefinition', name, message: `${name} ${message}; ${cure}` });
}

function listed(gaps: readonly string[]): string {
  const more = gaps.length - namedFields;
  return `${gaps.slice(0, namedFields).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
