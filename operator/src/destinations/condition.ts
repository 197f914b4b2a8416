import { stalled } from '../domain/failure.ts';
import type { Mark } from '../domain/version.ts';
import type { Reading } from './port.ts';

/** The last line of defence: whatever a plan says, no adapter writes over or removes a value that bears no mark. */
export function refuseForeign(observed: Reading): void {
  if (observed.kind === 'unmarked')
    throw stalled('ForeignValue', 'the location holds a value that is not ours; it is left alone');
}

/** A mark as flat texts, as providers keep metadata. The names are a contract: old values must stay readable. */
export type MarkTexts = Readonly<Record<'installation' | 'namespace' | 'name' | 'uid' | 'key-id' | 'epoch' | 'envelope', string>>;

/** Writes a mark as texts. */
export function formatMark(mark: Mark): MarkTexts {
  return {
    installation: mark.installationId,
    namespace: mark.namespace,
    name: mark.name,
    uid: mark.uid,
    'key-id': mark.keyId,
    epoch: String(mark.epoch),
    envelope: mark.envelope,
  };
}

/** Reads a mark from texts; `undefined` when one is missing or malformed: then it is no mark of ours. */
export function parseMark(texts: Readonly<Partial<Record<string, unknown>>>): Mark | undefined {
  const { installation, namespace, name, uid, epoch, envelope } = texts;
  const keyId = texts['key-id'];
  if (typeof installation !== 'string' || typeof namespace !== 'string' || typeof name !== 'string') return undefined;
  if (typeof uid !== 'string' || typeof keyId !== 'string' || typeof envelope !== 'string') return undefined;
  if (typeof epoch !== 'string' || !/^[1-9][0-9]{0,8}$/.test(epoch)) return undefined;
  if ([installation, namespace, name, uid, keyId].includes('')) return undefined;
  return { installationId: installation, namespace, name, uid, keyId, epoch: Number(epoch), envelope };
}
