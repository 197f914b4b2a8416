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

/** The maximum length of a text that says whose a value is: that of a Kubernetes name. */
const longestText = 253;

/**
 * Reads a mark from untrusted texts: anybody with write access to the place may have written them. `undefined` = they do not say
 * whose the value is, so this is not our mark. If they say whose, but the rest is unreadable, the version is `unknownVersion`: a
 * tampered member must not turn our value into a foreign one.
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
