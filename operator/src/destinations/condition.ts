import { stalled } from '../domain/failure.ts';
import { maxEpoch, unknownVersion, type Mark, type VersionMark } from '../domain/version.ts';
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

/** The longest of the texts that say whose a value is: the name of a Kubernetes object. */
const longestText = 253;

/**
 * Reads a mark from texts that anybody may have written who may write beside the value. `undefined` when it does not say whose
 * the value is: then it is no mark of ours. One that says whose, and nothing readable of which, is `unknownVersion`: a poisoned
 * member must not make a value of ours a stranger's.
 */
export function parseMark(texts: Readonly<Partial<Record<string, unknown>>>): Mark | undefined {
  const { installation, namespace, name, uid } = texts;
  if (!isText(installation) || !isText(namespace) || !isText(name) || !isText(uid)) return undefined;
  return { installationId: installation, namespace, name, uid, ...(parseVersion(texts) ?? unknownVersion) };
}

function parseVersion({ 'key-id': keyId, epoch, envelope }: Readonly<Partial<Record<string, unknown>>>): VersionMark | undefined {
  if (typeof keyId !== 'string' || !/^[0-9A-Za-z]{1,64}$/.test(keyId)) return undefined;
  if (typeof epoch !== 'string' || !/^[1-9][0-9]{0,9}$/.test(epoch) || Number(epoch) > maxEpoch) return undefined;
  if (typeof envelope !== 'string' || !/^[0-9a-z]{0,64}$/.test(envelope)) return undefined;
  return { keyId, epoch: Number(epoch), envelope };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= longestText;
}
